-- Rows of a family: {{family}} is its name, {{metric}} its headline, {{trouble}} what would raise an alarm.

-- name: family.trend
WITH {zone},
{headline_areas},
{grid}
{area_lines}

-- name: family.districts
WITH {zone},
r AS MATERIALIZED (
    SELECT DISTINCT ON (r.area) r.area, r.{metric}_avg AS average, r.{metric}_{worst} AS worst
    FROM city.{family}_area_1h r
    WHERE r.bucket > now() - interval '3 hours' AND r.area IN (SELECT area FROM zone) AND {at_hand_1h}
    ORDER BY r.area, r.bucket DESC
)
SELECT z.name AS district, c.online + c.late + c.silent + c.never AS devices,
       100.0 * c.online / nullif(c.online + c.late + c.silent + c.never, 0) AS share, r.average, r.worst,
       extract(epoch FROM now() - least(n.time, now())) AS age, z.area
FROM city.connectivity c JOIN zone z ON z.area = c.area
LEFT JOIN city.newest_time n ON n.area = c.area AND n.family = '{family}'
LEFT JOIN r ON r.area = c.area
WHERE c.family = '{family}'
ORDER BY z.area
LIMIT 100

-- name: family.reporting
WITH {zone}
SELECT z.name AS district, c.online + c.late + c.silent + c.never AS devices,
       100.0 * c.online / nullif(c.online + c.late + c.silent + c.never, 0) AS share,
       extract(epoch FROM now() - least(n.time, now())) AS age, z.area
FROM city.connectivity c JOIN zone z ON z.area = c.area
LEFT JOIN city.newest_time n ON n.area = c.area AND n.family = '{family}'
WHERE c.family = '{family}'
ORDER BY z.area
LIMIT 100

-- name: family.states
WITH {zone}
SELECT v.label AS metric, v.written AS state, sum(s.devices) AS devices,
       100.0 * sum(s.devices) / sum(sum(s.devices)) OVER (PARTITION BY v.place) AS share
FROM city.state_count s
JOIN (VALUES {states}) v(metric, state, place, label, written) ON v.metric = s.metric AND v.state = s.state
WHERE s.family = '{family}' AND s.area IN (SELECT area FROM zone)
GROUP BY v.place, v.label, v.written
ORDER BY v.place, devices DESC
LIMIT 100

-- name: family.troubled
WITH {zone}
SELECT l.device, z.name AS district, extract(epoch FROM now() - least(l.time, now())) AS age,
       concat_ws(' · ', {shown}) AS reading, z.area
FROM city.latest_{family} l JOIN zone z ON z.area = l.area
WHERE {trouble}
ORDER BY l.time DESC
LIMIT 50
