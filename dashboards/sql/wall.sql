-- The province wall. Names in braces are filled in from the family files; what begins with a dollar sign is Grafana's.
-- Every statement reads city.* alone and is bounded by a LIMIT or by the dashboard's time range.
-- A device's clock may run ahead by minutes, hence least(time, now()): no age is below zero.

-- name: provinces
SELECT DISTINCT province AS __value, {label} AS __text FROM city.plan ORDER BY 2 LIMIT 100

-- name: reporting
WITH zone AS MATERIALIZED (SELECT area FROM city.plan WHERE province IN ($province))
SELECT coalesce(sum(online), 0) AS reporting,
       coalesce(sum(online + late + silent + never), 0) AS expected,
       100.0 * sum(online) / nullif(sum(online + late + silent + never), 0) AS share
FROM city.connectivity
WHERE area IN (SELECT area FROM zone)
LIMIT 1

-- name: rate
SELECT coalesce(sum(stored), 0) / greatest(1, extract(epoch FROM now() - min(minute)) / 60) AS per_minute
FROM city.ledger
WHERE minute > now() - interval '5 minutes'
LIMIT 1

-- name: quarantined
SELECT 100.0 * sum(quarantined) / nullif(sum(received), 0) AS share
FROM city.ledger
WHERE minute > now() - interval '1 hour'
LIMIT 1

-- name: density
SELECT 100.0 * sum(devices) / nullif(sum(people), 0) AS density, min(target_low) AS target
FROM city.plan
WHERE province IN ($province)
LIMIT 1

-- name: worst_age
WITH zone AS MATERIALIZED (SELECT area FROM city.plan WHERE province IN ($province)),
feed AS (SELECT column1 AS family, column2 AS interval_s FROM (VALUES {feeds}) v),
newest AS (
    SELECT family, max(least(time, now())) AS newest
    FROM city.newest_time
    WHERE area IN (SELECT area FROM zone)
    GROUP BY family
)
SELECT extract(epoch FROM now() - n.newest) AS age, extract(epoch FROM now() - n.newest) / f.interval_s AS intervals
FROM newest n JOIN feed f ON f.family = n.family
ORDER BY intervals DESC
LIMIT 1

-- name: worst_age.feed
('{family}', {interval_s})

-- name: ages
WITH zone AS MATERIALIZED (SELECT area FROM city.plan WHERE province IN ($province))
SELECT {feeds}
FROM city.newest_time
WHERE area IN (SELECT area FROM zone)
LIMIT 1

-- name: ages.feed
extract(epoch FROM now() - max(least(time, now())) FILTER (WHERE family = '{family}')) AS {family}

-- name: districts
WITH heard AS MATERIALIZED (
    SELECT area, sum(online + late + silent + never) AS expected, sum(online) AS reporting
    FROM city.connectivity
    GROUP BY area
)
SELECT concat_ws(E'\n', {name}, round(100.0 * h.reporting / nullif(h.expected, 0)) || ' %') AS label,
       p.lat, p.lon, 100.0 * h.reporting / nullif(h.expected, 0) AS share, p.devices, h.reporting, p.people, p.devices_per_100,
       p.target_low, p.target_high
FROM city.plan p LEFT JOIN heard h ON h.area = p.area
WHERE p.province IN ($province)
ORDER BY p.area
LIMIT 100

-- name: newest
WITH zone AS MATERIALIZED (SELECT area, {name} AS name FROM city.plan p WHERE province IN ($province))
SELECT z.name AS district, n.family, extract(epoch FROM now() - least(n.time, now())) AS age, n.device, n.reading
FROM ({feeds}) n JOIN zone z ON z.area = n.area
ORDER BY n.time DESC
LIMIT 100

-- name: newest.feed
(SELECT t.area, {label} AS family, r.time, r.device, concat_ws(' · ', {metrics}) AS reading
FROM city.newest_time t CROSS JOIN LATERAL (SELECT * FROM city.latest_{family} l WHERE l.device = t.device LIMIT 1) r
WHERE t.family = '{family}' AND t.area IN (SELECT area FROM zone))

-- name: fine_dust
WITH zone AS MATERIALIZED (SELECT area, {name} AS name FROM city.plan p WHERE province IN ($province))
SELECT $__timeGroupAlias(r.time, $__interval, NULL), z.name AS metric, avg(r.pm25) AS pm25
FROM city.air_quality r JOIN zone z ON z.area = r.area
WHERE $__timeFilter(r.time)
GROUP BY 1, 2
ORDER BY 1

-- name: settled
SELECT $__timeGroupAlias(minute, $__interval, NULL),
       60000.0 * sum(stored) / $__interval_ms AS stored,
       60000.0 * sum(duplicate) / $__interval_ms AS duplicate,
       60000.0 * sum(quarantined) / $__interval_ms AS quarantined
FROM city.ledger
WHERE $__timeFilter(minute) AND minute < date_trunc('minute', now())
GROUP BY 1
ORDER BY 1
