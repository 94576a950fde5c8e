-- What alert rules ask: one number a row; text columns become labels. Every statement reads city.* alone.

-- name: stale-feed
WITH feed AS (SELECT column1 AS family, column2 AS interval_s FROM (VALUES {feeds}) v)
SELECT n.family, max(extract(epoch FROM now() - least(n.time, now())) / f.interval_s)::float8 AS value
FROM (SELECT family, max(time) AS time FROM city.newest_time GROUP BY family) n JOIN feed f ON f.family = n.family
GROUP BY n.family
LIMIT 100

-- name: stale-feed.feed
('{family}', {interval_s})

-- name: offline-district
SELECT area, (100.0 * sum(silent) / sum(online + late + silent))::float8 AS value
FROM city.connectivity
GROUP BY area
HAVING sum(online + late + silent) >= 10
LIMIT 100

-- name: alarm-flood
SELECT coalesce(area, '-') AS area, count(*)::float8 AS value
FROM city.alarm
WHERE raised > now() - interval '10 minutes'
GROUP BY 1
LIMIT 100

-- name: critical-unacknowledged
SELECT coalesce(area, '-') AS area, count(*)::float8 AS value
FROM city.alarm
WHERE severity = 'critical' AND state = 'unacknowledged' AND raised < now() - interval '5 minutes'
GROUP BY 1
LIMIT 100

-- name: ledger-imbalance
SELECT coalesce(sum(abs(received - stored - duplicate - quarantined)), 0)::float8 AS value
FROM city.ledger
WHERE minute > now() - interval '1 hour'
LIMIT 1

-- name: disk-days-left
SELECT days_left::float8 AS value FROM city.disk_left WHERE days_left IS NOT NULL LIMIT 1
