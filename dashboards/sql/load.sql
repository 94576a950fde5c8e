-- The stream, for load testers. Samples are written every 15 seconds; a minute without one is no data.

-- name: rate_now
SELECT sum(w.rate_per_s) AS rate FROM city.worker w WHERE w.at > now() - interval '10 seconds' LIMIT 1

-- name: behind_now
SELECT f.behind_s AS behind FROM city.flow f WHERE f.at > now() - interval '1 minute' ORDER BY f.at DESC LIMIT 1

-- name: in_flight_now
SELECT sum(w.in_flight) AS messages FROM city.worker w WHERE w.at > now() - interval '10 seconds' LIMIT 1

-- name: held_now
SELECT f.broker_messages AS messages FROM city.flow f WHERE f.at > now() - interval '1 minute' ORDER BY f.at DESC LIMIT 1

-- name: dropped_now
SELECT f.broker_dropped AS messages FROM city.flow f WHERE f.at > now() - interval '1 minute' ORDER BY f.at DESC LIMIT 1

-- name: balance
SELECT abs(sum(l.received - l.stored - l.duplicate - l.quarantined)) AS difference
FROM city.ledger l
WHERE l.minute > now() - interval '1 day'
LIMIT 1

-- name: rates
SELECT $__timeGroupAlias(s.at, $__interval, NULL), avg(s.rate_per_s) AS rate
{samples[flow]}

-- name: lags
SELECT $__timeGroupAlias(s.at, $__interval, NULL), max(s.lag_s) AS lag, max(s.behind_s) AS behind
{samples[flow]}

-- name: waiting_messages
SELECT $__timeGroupAlias(s.at, $__interval, NULL), max(s.in_flight) AS in_flight, max(s.broker_messages) AS held
{samples[flow]}

-- name: ledger_hour
SELECT l.inbox, sum(l.received) AS received, sum(l.stored) AS stored, sum(l.duplicate) AS duplicate,
       sum(l.quarantined) AS quarantined, sum(l.partial) AS partial,
       abs(sum(l.received - l.stored - l.duplicate - l.quarantined)) AS difference,
       100.0 * sum(l.quarantined) / nullif(sum(l.received), 0) AS share
FROM city.ledger l
WHERE l.minute > now() - interval '1 hour'
GROUP BY l.inbox
ORDER BY received DESC
LIMIT 50

-- name: family_rates
SELECT {family_name} AS family, r.per_minute, r.per_minute / 60.0 AS per_second
FROM city.rate r
WHERE r.per_minute > 0
ORDER BY r.per_minute DESC
LIMIT 60
