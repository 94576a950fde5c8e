-- Pieces that statements are put together from. A statement names one in braces; what it is about stands in brackets
-- behind the name, parts with a dot between: {areas[meter.active_power_avg]}.

-- The districts that are chosen.

-- name: zone
zone AS MATERIALIZED (SELECT area, {name} AS name, lat, lon FROM city.plan p WHERE {chosen} LIMIT 100)

-- Every bucket of the range: what is not there is a gap, not a line across it.

-- name: grid
grid AS (
    SELECT b AS bucket
    FROM generate_series(date_trunc('hour', $__timeFrom()::timestamptz), $__timeTo()::timestamptz, interval '1 hour') b
    WHERE {hourly}
    UNION ALL
    SELECT b
    FROM generate_series(date_trunc('day', $__timeFrom()::timestamptz, 'Asia/Ho_Chi_Minh'), $__timeTo()::timestamptz,
                         interval '1 day') b
    WHERE {daily}
)

-- Buckets r of areas that nobody waits for: of many devices others are seconds away.

-- name: at_hand(family, width)
r.bucket < (SELECT k.until FROM city.area_known k WHERE k.family = '{family}' AND k.width = '{width}')

-- A column of a family by district and hour, by day where the range is long.

-- name: areas(family, column)
r AS MATERIALIZED (
    SELECT r.bucket, r.area, r.{column} AS value
    FROM city.{family}_area_1h r
    WHERE $__timeFilter(r.bucket) AND r.area IN (SELECT area FROM zone) AND r.{column} IS NOT NULL
      AND {at_hand[{family}.1h]} AND {hourly}
    UNION ALL
    SELECT r.bucket, r.area, r.{column}
    FROM city.{family}_area_1d r
    WHERE $__timeFilter(r.bucket) AND r.area IN (SELECT area FROM zone) AND r.{column} IS NOT NULL
      AND {at_hand[{family}.1d]} AND {daily}
)

-- What r holds as a line for each district that has anything.

-- name: area_lines
SELECT g.bucket AS time, z.name AS metric, r.value
FROM grid g CROSS JOIN zone z LEFT JOIN r ON r.bucket = g.bucket AND r.area = z.area
WHERE z.area IN (SELECT area FROM r)
ORDER BY 1, 2
LIMIT 5000

-- The district where a column of a family is highest or lowest in the newest hour that is at hand.

-- name: extreme(family, column, order)
WITH {zone}
SELECT now() AS time, z.name AS metric, r.{column} AS value
FROM city.{family}_area_1h r JOIN zone z ON z.area = r.area
WHERE r.bucket > now() - interval '2 hours 10 minutes' AND r.{column} IS NOT NULL AND {at_hand[{family}.1h]}
ORDER BY r.{column} {order}
LIMIT 1

-- The mean of the newest hour that is at hand, of all devices of a family together.

-- name: altogether(family, column)
WITH {zone}
SELECT sum(r.{column} * r.devices) AS value
FROM city.{family}_area_1h r
WHERE r.bucket = least((SELECT k.until FROM city.area_known k WHERE k.family = '{family}' AND k.width = '1h'),
                       date_trunc('hour', now())) - interval '1 hour'
  AND r.bucket > now() - interval '3 hours' AND r.area IN (SELECT area FROM zone)
LIMIT 1

-- Devices whose newest reading has a state.

-- name: in_state(family, metric, state)
WITH {zone}
SELECT count(*) FILTER (WHERE l.{metric} = '{state}') AS devices
FROM city.latest_{family} l
WHERE l.area IN (SELECT area FROM zone)
HAVING count(*) > 0
LIMIT 1

-- Samples s that the stack writes down every 15 seconds; a minute without one is no data.

-- name: samples(view)
FROM city.{view} s
WHERE $__timeFilter(s.at)
GROUP BY 1
ORDER BY 1
LIMIT 5000

-- name: samples_by(view)
FROM city.{view} s
WHERE $__timeFilter(s.at)
GROUP BY 1, 2
ORDER BY 1
LIMIT 5000

-- An alarm a of some families: its own, or that of one of the first devices of many that it stands for.

-- name: alarm_of(families)
(a.family IN ({families}) OR EXISTS (
    SELECT FROM (SELECT m.device FROM city.alarm_member m WHERE m.alarm = a.id LIMIT 500) m
    JOIN city.device d ON d.device = m.device
    WHERE d.family IN ({families})))

-- Alarms a that concern the chosen districts: one of theirs, one of several districts of which a member is in theirs, or one of
-- the whole province, which has no members. What is active goes by the members that there still are.

-- name: active_here
(a.area IN (SELECT area FROM zone) OR a.area IS NULL AND (
    EXISTS (SELECT FROM city.alarm_member m JOIN zone y ON y.area = m.area WHERE m.alarm = a.id AND m.until IS NULL)
    OR NOT EXISTS (SELECT FROM city.alarm_member m WHERE m.alarm = a.id AND m.until IS NULL)))

-- name: raised_here
(a.area IN (SELECT area FROM zone) OR a.area IS NULL AND (
    EXISTS (SELECT FROM city.alarm_member m JOIN zone y ON y.area = m.area WHERE m.alarm = a.id)
    OR NOT EXISTS (SELECT FROM city.alarm_member m WHERE m.alarm = a.id)))

-- How a place of the map stands, the worst last: a severity's place in it, nothing for one that is none.

-- name: standings
ARRAY['ok', 'lost', 'warning', 'minor', 'major', 'critical']

-- A count with narrow spaces between thousands, which no language reads as a decimal point.

-- name: thousands(count)
replace(to_char({count}, 'FM999,999,999,990'), ',', chr(8239))
