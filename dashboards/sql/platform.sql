-- The platform itself.

-- name: workers_now
SELECT count(*) AS workers FROM city.worker w WHERE w.at > now() - interval '10 seconds' LIMIT 1

-- name: disk_days
SELECT d.days_left AS days FROM city.disk_left d LIMIT 1

-- name: disk_free
SELECT 100.0 * d.free_bytes / d.total_bytes AS share FROM city.disk_left d LIMIT 1

-- name: database_size
SELECT s.bytes FROM city.database_state() s LIMIT 1

-- name: connections
SELECT 100.0 * s.connections / s.most_connections AS share FROM city.database_state() s LIMIT 1

-- name: quarantined
SELECT 100.0 * sum(quarantined) / nullif(sum(received), 0) AS share
FROM city.ledger
WHERE minute > now() - interval '1 hour'
LIMIT 1

-- name: inboxes_alone
SELECT count(*) FILTER (WHERE i.worker IS NULL OR i.seen < now() - interval '2 minutes') AS inboxes
FROM city.inbox i
LIMIT 1

-- name: workers
SELECT w.worker, (SELECT count(*) FROM city.inbox i WHERE i.worker = w.worker) AS inboxes, w.rate_per_s AS rate,
       w.in_flight, w.lag_s AS lag, extract(epoch FROM now() - w.at) AS age
FROM city.worker w
WHERE w.at > now() - interval '1 day'
ORDER BY w.worker
LIMIT 50

-- name: feeds
WITH feed AS (SELECT column1 AS family, column2 AS title, column3 AS interval_s FROM (VALUES {feeds}) v),
newest AS (SELECT n.family, max(least(n.time, now())) AS newest FROM city.newest_time n GROUP BY n.family),
heard AS (
    SELECT c.family, sum(c.online + c.late + c.silent + c.never) AS devices, sum(c.online) AS online
    FROM city.connectivity c
    GROUP BY c.family
)
SELECT f.title AS family, extract(epoch FROM now() - n.newest) AS age,
       extract(epoch FROM now() - n.newest) / f.interval_s AS intervals, r.per_minute, h.devices,
       100.0 * h.online / nullif(h.devices, 0) AS share
FROM feed f JOIN heard h ON h.family = f.family LEFT JOIN newest n ON n.family = f.family
LEFT JOIN city.rate r ON r.family = f.family
ORDER BY intervals DESC NULLS FIRST
LIMIT 100

-- name: disk_over_time
SELECT $__timeGroupAlias(s.at, $__interval, NULL), min(s.free_bytes) AS free
{samples[disk]}

-- name: quarantine_reasons
SELECT q.reason, q.layer, count(*) AS messages, count(DISTINCT q.device) AS devices,
       extract(epoch FROM now() - max(q.received)) AS age, (array_agg(q.detail ORDER BY q.received DESC))[1] AS example
FROM (SELECT * FROM city.quarantine q WHERE q.received > now() - interval '1 day' ORDER BY q.received DESC LIMIT 20000) q
GROUP BY q.reason, q.layer
ORDER BY messages DESC
LIMIT 30

-- name: tables
SELECT concat_ws('.', s.schema, s.name) AS table, s.chunks, s.bytes AS size,
       extract(epoch FROM s.newest - s.oldest) / 86400 AS days
FROM city.storage s
ORDER BY s.bytes DESC NULLS LAST
LIMIT 30

-- name: events
SELECT extract(epoch FROM now() - e.time) AS age, e.severity, e.kind, e.message
FROM city.event e
ORDER BY e.time DESC
LIMIT 50

-- name: database
SELECT s.connections, s.most_connections, s.active, s.longest_s AS longest, s.waiting_locks,
       100 * s.cache_hit_share AS hits, s.deadlocks, s.temporary_bytes AS temporary,
       extract(epoch FROM now() - s.started) AS running
FROM city.database_state() s
LIMIT 1
