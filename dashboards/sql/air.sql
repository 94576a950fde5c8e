-- Environment and air.

-- name: air_above
WITH {zone}
SELECT count(*) AS stations
FROM city.air_index_1h x
WHERE x.bucket = (SELECT max(w.bucket) FROM city.air_worst w) AND x.vn_aqi > 100 AND x.area IN (SELECT area FROM zone)
HAVING (SELECT max(w.bucket) FROM city.air_worst w) IS NOT NULL
LIMIT 1

-- name: air_now
WITH {zone}
SELECT z.name AS district, w.vn_aqi, w.{band} AS band, upper(w.dominant) AS dominant, w.us_aqi, w.devices AS stations,
       w.{advice} AS advice, w.device, z.area
FROM city.air_worst w JOIN zone z ON z.area = w.area
ORDER BY w.vn_aqi DESC NULLS LAST, z.area
LIMIT 100

-- name: air_trend
WITH {zone},
r AS MATERIALIZED (
    SELECT x.bucket, x.area, max(x.vn_aqi) AS value
    FROM city.air_index_1h x
    WHERE $__timeFilter(x.bucket) AND x.area IN (SELECT area FROM zone) AND {hourly}
    GROUP BY 1, 2
    UNION ALL
    SELECT x.bucket, x.area, max(x.vn_aqi)
    FROM city.air_index_1d x
    WHERE $__timeFilter(x.bucket) AND x.area IN (SELECT area FROM zone) AND {daily}
    GROUP BY 1, 2
),
{grid}
{area_lines}

-- name: air_stations
WITH {zone}
SELECT x.device, z.name AS district, x.vn_aqi, l.pm25, l.pm10, x.complete, z.area
FROM city.air_index_1h x JOIN zone z ON z.area = x.area
LEFT JOIN LATERAL (SELECT n.pm25, n.pm10 FROM city.latest_air_quality n WHERE n.device = x.device LIMIT 1) l ON true
WHERE x.bucket = (SELECT max(w.bucket) FROM city.air_worst w) AND x.vn_aqi IS NOT NULL
ORDER BY x.vn_aqi DESC, x.device
LIMIT 20
