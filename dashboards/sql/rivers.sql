-- Rivers and rain.

-- name: rivers_above
WITH {zone}
SELECT count(*) FILTER (WHERE r.class <> 'below I') AS gauges
FROM city.river_state r JOIN zone z ON z.area = r.area
WHERE NOT r.stale
HAVING count(*) > 0
LIMIT 1

-- name: gauges
WITH {zone}
SELECT {gauge} AS station, r.river, z.name AS district,
       CASE r.class WHEN 'above III' THEN 3 WHEN 'above II' THEN 2 WHEN 'above I' THEN 1 ELSE 0 END AS class,
       r.water_level, r.level_1_m, r.level_2_m, r.level_3_m, r.rise_m_per_h AS rise, r.hours_to_next, r.age_s AS age,
       r.device, z.area
FROM city.river_state r JOIN zone z ON z.area = r.area
ORDER BY class DESC, r.water_level - r.level_1_m DESC NULLS LAST, r.station
LIMIT 100

-- name: gauge_levels
WITH {zone},
gauge AS MATERIALIZED (
    SELECT r.device, {gauge} AS station
    FROM city.river_state r
    WHERE r.area IN (SELECT area FROM zone)
    ORDER BY r.river = '', r.station, r.device
    LIMIT 12
),
r AS MATERIALIZED (
    SELECT h.bucket, s.device, h.water_level
    FROM gauge s CROSS JOIN LATERAL (
        SELECT x.bucket, x.water_level_avg AS water_level
        FROM city.water_level_1h x
        WHERE x.device = s.device AND $__timeFilter(x.bucket) AND {hourly}
        UNION ALL
        SELECT x.bucket, x.water_level_avg
        FROM city.water_level_1d x
        WHERE x.device = s.device AND $__timeFilter(x.bucket) AND {daily}
    ) h
),
{grid}
SELECT g.bucket AS time, s.station AS metric, r.water_level
FROM grid g CROSS JOIN gauge s LEFT JOIN r ON r.bucket = g.bucket AND r.device = s.device
WHERE s.device IN (SELECT device FROM r)
ORDER BY 1, 2
LIMIT 5000

-- A gauge that does not tell of 24 hours is added up from the hours of its counter that are at hand: 30 in each district.

-- name: rain_day
WITH {zone},
gauge AS MATERIALIZED (
    SELECT l.device, l.area, l.precipitation_24h AS told
    FROM city.latest_rain l
    WHERE l.area IN (SELECT area FROM zone) AND l.time > now() - interval '2 hours'
),
counted AS MATERIALIZED (
    SELECT g.device, h.rain
    FROM (SELECT device, row_number() OVER (PARTITION BY area ORDER BY device) AS place FROM gauge WHERE told IS NULL) g
    CROSS JOIN LATERAL (
        SELECT sum(r.rain_total_increase) AS rain
        FROM city.rain_1h r
        WHERE r.device = g.device AND r.bucket > now() - interval '24 hours' AND {at_hand[rain.1h]}
    ) h
    WHERE g.place <= 30
)
SELECT z.name AS district, max(coalesce(g.told, c.rain)) AS highest,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY coalesce(g.told, c.rain)) AS middle, count(*) AS stations, z.area
FROM gauge g JOIN zone z ON z.area = g.area LEFT JOIN counted c ON c.device = g.device
WHERE coalesce(g.told, c.rain) IS NOT NULL
GROUP BY z.name, z.area
ORDER BY highest DESC
LIMIT 100
