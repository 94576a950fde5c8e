-- The province wall.

-- name: worst_air
WITH {zone}
SELECT w.vn_aqi, z.name || ': ' || w.{band} AS place
FROM city.air_worst w JOIN zone z ON z.area = w.area
WHERE w.vn_aqi IS NOT NULL
ORDER BY w.vn_aqi DESC
LIMIT 1

-- name: highest_river
WITH {zone}
SELECT CASE r.class WHEN 'above III' THEN 3 WHEN 'above II' THEN 2 WHEN 'above I' THEN 1 ELSE 0 END AS level,
       r.station || ': ' || round(r.water_level::numeric, 2) || ' m, ' || r.{class_} AS station
FROM city.river_state r JOIN zone z ON z.area = r.area
WHERE NOT r.stale
ORDER BY level DESC, r.water_level - r.level_1_m DESC
LIMIT 1

-- name: fire_danger
WITH {zone}
SELECT f.level, z.name || ': ' || f.{level_name} AS place
FROM city.fire_danger f JOIN zone z ON z.area = f.area
WHERE f.day = (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AND f.level IS NOT NULL
ORDER BY f.level DESC, f.p DESC
LIMIT 1

-- name: density
SELECT 100.0 * sum(devices) / nullif(sum(people), 0) AS density, min(target_low) AS target
FROM city.plan
WHERE province IN ($province)
LIMIT 1

-- name: ages
WITH {zone},
feed AS (
    SELECT column1 AS family, column2 AS sector, column3 AS interval_s FROM (VALUES {sector_feeds}) v
),
newest AS (
    SELECT f.sector, extract(epoch FROM now() - max(least(n.time, now()))) / f.interval_s AS intervals
    FROM city.newest_time n JOIN feed f ON f.family = n.family
    WHERE n.area IN (SELECT area FROM zone)
    GROUP BY f.sector, f.family, f.interval_s
)
SELECT {by_sector}
FROM newest
LIMIT 1

-- name: fine_dust
WITH {zone},
r AS MATERIALIZED (
    SELECT r.bucket, r.area, r.pm25_avg AS pm25
    FROM city.air_quality_area_1h r
    WHERE $__timeFilter(r.bucket) AND r.area IN (SELECT area FROM zone) AND {hourly}
    UNION ALL
    SELECT r.bucket, r.area, r.pm25_avg
    FROM city.air_quality_area_1d r
    WHERE $__timeFilter(r.bucket) AND r.area IN (SELECT area FROM zone) AND {daily}
),
{grid}
SELECT g.bucket AS time, max(r.pm25) AS highest, percentile_cont(0.5) WITHIN GROUP (ORDER BY r.pm25) AS middle
FROM grid g LEFT JOIN r ON r.bucket = g.bucket
WHERE EXISTS (SELECT FROM r)
GROUP BY 1
ORDER BY 1
LIMIT 5000
