-- Forest fire.

-- name: fire_signs
WITH {zone}
SELECT count(*) AS signs
FROM city.fire_evidence e
WHERE e.until IS NULL AND e.kind <> 'gate' AND e.area IN (SELECT area FROM zone)
LIMIT 1

-- name: fire_evidence
WITH {zone}
SELECT {kind} AS kind, e.device, z.name AS district, extract(epoch FROM now() - e.since) AS age, e.score, z.area
FROM city.fire_evidence e JOIN zone z ON z.area = e.area
WHERE e.until IS NULL
ORDER BY e.since DESC
LIMIT 30

-- name: fire_today
WITH {zone}
SELECT z.name AS district, f.level, f.{level_name} AS level_name, f.p, f.fwi, f.t13 AS temperature, f.rh13 AS humidity,
       f.rain_24h AS rain, f.wind, f.source, z.area
FROM city.fire_danger f JOIN zone z ON z.area = f.area
WHERE f.day = (SELECT max(l.day) FROM city.fire_danger l WHERE l.day >= {today} - 1)
ORDER BY f.level DESC NULLS LAST, f.p DESC NULLS LAST, z.area
LIMIT 100

-- name: fire_levels
WITH {zone},
day AS (
    SELECT d::date AS day
    FROM generate_series(date_trunc('day', $__timeFrom()::timestamptz AT TIME ZONE 'Asia/Ho_Chi_Minh'),
                         $__timeTo()::timestamptz AT TIME ZONE 'Asia/Ho_Chi_Minh', interval '1 day') d
    ORDER BY d DESC
    LIMIT 200
),
r AS MATERIALIZED (
    SELECT f.day, f.area, f.level
    FROM city.fire_danger f
    WHERE f.day IN (SELECT day FROM day) AND f.area IN (SELECT area FROM zone)
)
SELECT (d.day + time '13:00') AT TIME ZONE 'Asia/Ho_Chi_Minh' AS time, z.name AS metric, r.level
FROM day d CROSS JOIN zone z LEFT JOIN r ON r.day = d.day AND r.area = z.area
WHERE z.area IN (SELECT area FROM r)
ORDER BY 1, 2
LIMIT 5000

