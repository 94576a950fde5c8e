-- One device. ${{device:sqlstring}} is its id in quotes, also when the address of the page names several.

-- name: choices.device
SELECT device AS __value, concat_ws(' · ', device, name) AS __text
FROM city.device
WHERE device >= ${{find:sqlstring}}
ORDER BY device
LIMIT 200

-- name: choices.metric
SELECT v.metric AS __value, v.label AS __text
FROM (VALUES {metrics}) v(family, place, metric, label)
JOIN city.device d ON d.family = v.family
WHERE d.device = ${{device:sqlstring}}
  AND v.metric IN (SELECT k.name
                   FROM city.device_readings(${{device:sqlstring}}, now() - interval '30 days', now() + interval '1 hour', 5) r
                   CROSS JOIN LATERAL jsonb_each(r.metrics) k(name, value))
ORDER BY v.place
LIMIT 60

-- name: life
SELECT {device_state} AS state FROM city.device d WHERE d.device = ${{device:sqlstring}} LIMIT 1

-- name: silence
SELECT extract(epoch FROM now() - least(d.last_seen, now())) / p.interval_s AS intervals
FROM city.device d JOIN city.profile p ON p.profile = d.profile
WHERE d.device = ${{device:sqlstring}}
LIMIT 1

-- name: skew
SELECT abs(extract(epoch FROM r.received - r.time)) AS seconds
FROM city.device_readings(${{device:sqlstring}}, now() - interval '30 days', now() + interval '1 hour', 1) r
LIMIT 1

-- name: battery
SELECT 100 * (r.metrics ->> 'battery_level')::double precision AS level
FROM city.device_readings(${{device:sqlstring}}, now() - interval '30 days', now() + interval '1 hour', 50) r
WHERE r.metrics ? 'battery_level'
ORDER BY r.time DESC
LIMIT 1

-- name: sent_hour
SELECT count(*) AS readings
FROM city.device_readings(${{device:sqlstring}}, now() - interval '1 hour', now() + interval '1 hour', 5000) r
LIMIT 1

-- name: refused_day
SELECT count(*) AS messages
FROM (SELECT 1 FROM city.quarantine q
      WHERE q.device = ${{device:sqlstring}} AND q.received > now() - interval '1 day' LIMIT 1000) q
LIMIT 1

-- name: device_findings_open
SELECT count(*) AS findings FROM city.finding f WHERE f.device = ${{device:sqlstring}} AND f.until IS NULL LIMIT 1

-- name: device_alarms_open
SELECT count(*) AS alarms FROM city.alarm a WHERE a.device = ${{device:sqlstring}} AND a.cleared IS NULL LIMIT 1

-- name: identity
SELECT d.device, d.name, {device_family} AS family, concat_ws(': ', d.profile, {profile_title}) AS profile, z.name AS district,
       p.interval_s AS interval, d.last_seq, d.lat, d.lon, d.area
FROM city.device d JOIN city.profile p ON p.profile = d.profile
JOIN (SELECT p.area, {name} AS name FROM city.plan p) z ON z.area = d.area
WHERE d.device = ${{device:sqlstring}}
LIMIT 1

-- name: series
WITH step AS (SELECT make_interval(secs => $__interval_ms / 1000.0) AS step),
about AS MATERIALIZED (
    SELECT d.family, greatest(p.interval_s, $__interval_ms / 1000.0) * interval '1 s' AS usual
    FROM city.device d JOIN city.profile p ON p.profile = d.profile
    WHERE d.device = ${{device:sqlstring}}
),
r AS MATERIALIZED (
    SELECT r.bucket, r.metric, r.value, lead(r.bucket) OVER (PARTITION BY r.metric ORDER BY r.bucket) AS next
    FROM step s CROSS JOIN LATERAL
         city.device_series(${{device:sqlstring}}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, s.step) r
    WHERE r.metric IN ($metric)
),
label AS (
    SELECT v.metric, v.label
    FROM (VALUES {metrics}) v(family, place, metric, label)
    WHERE v.family IN (SELECT family FROM about)
),
limits AS (
    SELECT v.metric, v.title, v.at
    FROM (VALUES {limits}) v(family, metric, title, at)
    WHERE v.family IN (SELECT family FROM about) AND v.metric IN ($metric)
)
SELECT r.bucket AS time, coalesce(l.label, r.metric) AS metric, r.value
FROM r LEFT JOIN label l ON l.metric = r.metric
UNION ALL
SELECT r.bucket + a.usual, coalesce(l.label, r.metric), NULL
FROM r CROSS JOIN about a LEFT JOIN label l ON l.metric = r.metric
WHERE r.next - r.bucket > 3 * a.usual
UNION ALL
SELECT r.bucket, m.title, m.at
FROM limits m JOIN r ON r.metric = m.metric
JOIN (SELECT o.metric, min(o.value) AS lowest, max(o.value) AS highest FROM r o GROUP BY o.metric) x ON x.metric = m.metric
-- A limit far away would press the readings flat.
WHERE m.at BETWEEN x.lowest - abs(x.lowest) AND x.highest + 2 * abs(x.highest)
ORDER BY 1, 2
LIMIT 5000

-- name: states
SELECT $__timeGroupAlias(r.time, $__interval, NULL), coalesce(l.label, s.key) AS metric,
       (array_agg(c.code ORDER BY r.time DESC))[1] AS state
FROM city.device_readings(${{device:sqlstring}}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 5000) r
CROSS JOIN LATERAL jsonb_each_text(r.metrics) s
JOIN (VALUES {states}) l(metric, label) ON l.metric = s.key
JOIN (VALUES {state_codes}) c(state, code) ON c.state = s.value
GROUP BY 1, 2
ORDER BY 1
LIMIT 5000

-- name: last_readings
SELECT extract(epoch FROM now() - least(r.time, now())) AS age, extract(epoch FROM r.received - r.time) AS delay, r.seq,
       (SELECT string_agg(m.key || ' ' || m.value, ' · ') FROM jsonb_each_text(r.metrics) m) AS reading,
       (SELECT string_agg(x.key || ' ' || x.value, ' · ') FROM jsonb_each_text(r.extra -> 'rejected') x) AS rejected
FROM city.device_readings(${{device:sqlstring}}, now() - interval '30 days', now() + interval '1 hour', 30) r
ORDER BY r.time DESC
LIMIT 30

-- name: last_refusals
SELECT extract(epoch FROM now() - q.received) AS age, q.layer, q.reason, q.field, q.value, q.detail
FROM city.quarantine q
WHERE q.device = ${{device:sqlstring}} AND q.received > now() - interval '30 days'
ORDER BY q.received DESC
LIMIT 30

-- name: delay
SELECT $__timeGroupAlias(r.time, $__interval, NULL), max(extract(epoch FROM r.received - r.time)) AS delay
FROM city.device_readings(${{device:sqlstring}}, $__timeFrom()::timestamptz, $__timeTo()::timestamptz, 5000) r
GROUP BY 1
ORDER BY 1
LIMIT 5000

-- name: device_alarms
SELECT a.severity, extract(epoch FROM now() - a.raised) AS age, {message} AS message, a.state,
       CASE a.state WHEN 'unacknowledged' THEN 'dothi alarms ack ' || a.id WHEN 'acknowledged' THEN {known_by} || a.by END AS handling
FROM city.alarm a
WHERE a.device = ${{device:sqlstring}}
ORDER BY a.raised DESC
LIMIT 30

-- name: device_findings
SELECT {finding} AS finding, f.metric, extract(epoch FROM now() - f.since) AS age,
       extract(epoch FROM f.until - f.since) AS lasted, f.value, f.expected
FROM city.finding f
WHERE f.device = ${{device:sqlstring}}
ORDER BY f.since DESC
LIMIT 30

-- name: history
SELECT extract(epoch FROM now() - h.since) AS age, {was_state} AS was, {is_state} AS state, h.reason
FROM city.device_history h
WHERE h.device = ${{device:sqlstring}}
ORDER BY h.since DESC
LIMIT 30
