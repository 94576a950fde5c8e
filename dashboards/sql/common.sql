-- What several boards ask. Names in braces are filled in; what begins with a dollar sign is Grafana's. {zone} is the
-- districts that are chosen and a piece of pieces.sql, {of_board} the families that the board is about.
-- Every statement reads city.* alone and is bounded by a LIMIT or by the dashboard's time range.
-- A device's clock may run ahead by minutes, hence least(time, now()): no age is below zero.

-- name: choices.province
SELECT DISTINCT province AS __value, {province_name} AS __text FROM city.plan ORDER BY 2 LIMIT 100

-- name: choices.area
SELECT area AS __value, {name} AS __text FROM city.plan p WHERE {choosable} ORDER BY province, area LIMIT 100

-- name: marks
SELECT raised AS time, cleared AS timeend, {message} AS text, severity AS tags
FROM city.alarm a
WHERE $__timeFilter(raised) AND severity IN ('critical', 'major') AND {alarms_of_board}
ORDER BY raised DESC
LIMIT 200

-- name: alarms_critical
WITH {zone}
SELECT count(*) AS critical
FROM city.alarm a
WHERE cleared IS NULL AND severity = 'critical' AND state IN ('unacknowledged', 'acknowledged')
  AND {active_here} AND {alarms_of_board}
LIMIT 1

-- name: alarms_waiting
WITH {zone}
SELECT count(*) AS waiting
FROM city.alarm a
WHERE cleared IS NULL AND state = 'unacknowledged' AND severity <> 'info' AND raised < now() - interval '5 minutes'
  AND {active_here} AND {alarms_of_board}
LIMIT 1

-- name: alarms
WITH {zone}
SELECT a.severity, extract(epoch FROM now() - a.raised) AS age, {message} AS message, z.name AS district,
       CASE a.state WHEN 'unacknowledged' THEN 'ack ' || a.id
                    WHEN 'acknowledged' THEN {known_by} || a.by ELSE a.state END AS handling,
       a.occurrences, coalesce(a.device, (
           SELECT m.device FROM city.alarm_member m JOIN zone y ON y.area = m.area WHERE m.alarm = a.id LIMIT 1)) AS device,
       a.area
FROM city.alarm a LEFT JOIN zone z ON z.area = a.area
WHERE a.cleared IS NULL AND a.state IN ('unacknowledged', 'acknowledged') AND {active_here}
  AND {alarms_of_board}
ORDER BY a.state DESC, array_position(ARRAY['critical', 'major', 'minor', 'warning', 'info'], a.severity), a.raised DESC
LIMIT 50

-- name: alarms_raised
WITH {zone},
raised AS (
    SELECT date_trunc('hour', raised) AS hour, severity, count(*) AS alarms
    FROM city.alarm a
    WHERE $__timeFilter(raised) AND {raised_here} AND {alarms_of_board}
    GROUP BY 1, 2
)
SELECT g.hour AS time, s.title AS metric, r.alarms
FROM generate_series(date_trunc('hour', $__timeFrom()::timestamptz), $__timeTo()::timestamptz, interval '1 hour') g(hour)
CROSS JOIN (VALUES {severities}) s(severity, title)
LEFT JOIN raised r ON r.hour = g.hour AND r.severity = s.severity
ORDER BY 1, 2
LIMIT 5000

-- name: reporting
WITH {zone}
SELECT now() AS time, {thousands[sum(online)]} || ' / ' || {thousands[sum(online + late + silent + never)]} AS metric,
       100.0 * sum(online) / nullif(sum(online + late + silent + never), 0) AS share
FROM city.connectivity
WHERE area IN (SELECT area FROM zone) AND {of_board}
HAVING sum(online + late + silent + never) > 0
LIMIT 1

-- name: worst_age
WITH {zone},
feed AS (SELECT column1 AS family, column2 AS title, column3 AS interval_s FROM (VALUES {feeds}) v),
newest AS (
    SELECT family, max(least(time, now())) AS newest
    FROM city.newest_time
    WHERE area IN (SELECT area FROM zone)
    GROUP BY family
)
SELECT now() AS time, f.title AS metric, extract(epoch FROM now() - n.newest) / f.interval_s AS intervals
FROM newest n JOIN feed f ON f.family = n.family
ORDER BY intervals DESC
LIMIT 1

-- name: worst_age.feed
('{family}', {label}, {interval_s})

-- name: findings_open
WITH {zone}
SELECT count(*) AS findings
FROM city.finding
WHERE until IS NULL AND area IN (SELECT area FROM zone) AND {of_board}
LIMIT 1

-- name: findings
WITH {zone}
SELECT {finding} AS finding, extract(epoch FROM now() - f.since) AS age, f.device, z.name AS district,
       coalesce(m.label, f.metric) AS metric,
       CASE WHEN f.metric IS NOT NULL THEN f.value END AS value, CASE WHEN f.metric IS NOT NULL THEN f.expected END AS expected,
       f.area
FROM city.finding f JOIN zone z ON z.area = f.area
LEFT JOIN (VALUES {metric_labels}) m(of_family, code, label) ON m.of_family = f.family AND m.code = f.metric
WHERE f.until IS NULL AND {of_board}
ORDER BY f.since DESC
LIMIT 50

-- name: cells
WITH {zone},
extent AS (
    SELECT min(west) AS west, min(south) AS south, max(east) AS east, max(north) AS north
    FROM (VALUES {extents}) box(area, west, south, east, north)
    WHERE area IN (SELECT area FROM zone)
    HAVING count(*) > 0
)
SELECT c.lat, c.lon, sum(c.devices) AS devices, sum(c.online) AS online,
       coalesce(max(array_position({standings}, c.worst_severity)),
                CASE WHEN sum(c.online) < 0.5 * sum(c.devices) THEN 2 ELSE 1 END) AS standing
FROM extent e
CROSS JOIN (VALUES {map_families}) f(family)
CROSS JOIN LATERAL city.map_cells(
    e.west, e.south, e.east, e.north, floor(log(2.0, (1200.0 / (e.east - e.west))::numeric))::integer - 1, f.family) c
GROUP BY c.cell, c.lat, c.lon
ORDER BY standing
LIMIT 2000

-- name: districts
WITH {zone},
heard AS MATERIALIZED (
    SELECT area, sum(online + late + silent + never) AS expected, sum(online) AS reporting
    FROM city.connectivity
    WHERE {of_board}
    GROUP BY area
),
worst AS MATERIALIZED (
    SELECT w.area, max(array_position({standings}, a.severity)) AS standing
    FROM city.alarm a CROSS JOIN LATERAL (
        SELECT a.area WHERE a.area IS NOT NULL
        UNION ALL
        SELECT DISTINCT m.area FROM city.alarm_member m WHERE a.area IS NULL AND m.alarm = a.id AND m.until IS NULL
    ) w
    WHERE a.cleared IS NULL AND a.state IN ('unacknowledged', 'acknowledged') AND {alarms_of_board}
    GROUP BY w.area
)
SELECT replace(replace(z.name, 'TP ', ''), ' City', '') || CASE WHEN h.reporting < 0.9 * h.expected
                      THEN E'\n' || round(100.0 * h.reporting / h.expected) || ' %' ELSE '' END AS label,
       z.lat, z.lon, coalesce(w.standing, CASE WHEN h.reporting < 0.75 * h.expected THEN 2 WHEN h.expected > 0 THEN 1 ELSE 0 END) AS standing,
       100.0 * h.reporting / nullif(h.expected, 0) AS share, h.expected, h.reporting, z.area
FROM zone z LEFT JOIN heard h ON h.area = z.area LEFT JOIN worst w ON w.area = z.area
ORDER BY z.area
LIMIT 100

-- name: settled
SELECT $__timeGroupAlias(minute, $__interval, NULL),
       60000.0 * sum(stored) / $__interval_ms AS stored,
       60000.0 * sum(duplicate) / $__interval_ms AS duplicate,
       60000.0 * sum(quarantined) / $__interval_ms AS quarantined
FROM city.ledger
WHERE $__timeFilter(minute) AND minute < date_trunc('minute', now())
GROUP BY 1
ORDER BY 1

-- name: cores
SELECT $__timeGroupAlias(s.at, $__interval, NULL), s.process AS metric, avg(s.cores) AS cores
{samples_by[process]}

-- name: memory
SELECT $__timeGroupAlias(s.at, $__interval, NULL), s.process AS metric, avg(s.memory_bytes) AS memory
{samples_by[process]}

-- name: worst_air
WITH {zone}
SELECT now() AS time, z.name || ': ' || w.{band} AS metric, w.vn_aqi
FROM city.air_worst w JOIN zone z ON z.area = w.area
WHERE w.vn_aqi IS NOT NULL
ORDER BY w.vn_aqi DESC
LIMIT 1

-- name: highest_river
WITH {zone}
SELECT now() AS time, CASE WHEN r.river = '' THEN z.name ELSE r.station END || ' ' || round(r.water_level::numeric, 2) || ' m' AS metric,
       CASE r.class WHEN 'above III' THEN 3 WHEN 'above II' THEN 2 WHEN 'above I' THEN 1 ELSE 0 END AS level
FROM city.river_state r JOIN zone z ON z.area = r.area
WHERE NOT r.stale
ORDER BY level DESC, r.water_level - r.level_1_m DESC
LIMIT 1

-- name: fire_danger
WITH {zone}
SELECT now() AS time,
       z.name || ': ' || f.{level_name} || CASE WHEN f.day < {today} THEN {yesterday} ELSE '' END AS metric, f.level
FROM city.fire_danger f JOIN zone z ON z.area = f.area
WHERE f.day >= {today} - 1 AND f.level IS NOT NULL
ORDER BY f.day DESC, f.level DESC, f.p DESC
LIMIT 1

-- name: density
WITH {zone}
SELECT now() AS time, {plan} || min(p.target_low) AS metric, 100.0 * sum(p.devices) / nullif(sum(p.people), 0) AS density
FROM city.plan p
WHERE p.area IN (SELECT area FROM zone)
HAVING count(*) > 0
LIMIT 1

-- name: lag_now
SELECT max(w.lag_s) AS lag FROM city.worker w WHERE w.at > now() - interval '10 seconds' LIMIT 1
