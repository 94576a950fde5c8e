-- One district.

-- name: sectors
WITH {zone}
SELECT {sector_name} AS sector, sum(s.devices) AS devices,
       100.0 * sum(s.online_share * s.devices) / nullif(sum(s.devices) FILTER (WHERE s.online_share IS NOT NULL), 0) AS share,
       100.0 * sum(s.complete * s.devices) / nullif(sum(s.devices) FILTER (WHERE s.complete IS NOT NULL), 0) AS complete
FROM city.kpi_sector s
WHERE s.area IN (SELECT area FROM zone)
GROUP BY 1
ORDER BY devices DESC
LIMIT 20

-- name: families
WITH {zone}
SELECT {family_name} AS family, sum(c.online + c.late + c.silent + c.never) AS devices, sum(c.online) AS reporting,
       sum(c.late) AS late, sum(c.silent) AS silent, sum(c.never) AS never,
       extract(epoch FROM now() - max(least(n.time, now()))) AS age
FROM city.connectivity c
LEFT JOIN city.newest_time n ON n.area = c.area AND n.family = c.family
WHERE c.area IN (SELECT area FROM zone)
GROUP BY 1
ORDER BY silent DESC, late DESC, family
LIMIT 60

-- name: district_dust
WITH {zone},
{areas[air_quality.pm25_avg]},
{grid}
{area_lines}

-- name: devices
SELECT d.device, d.name, {device_family} AS family, d.profile, {device_state} AS state,
       extract(epoch FROM now() - least(d.last_seen, now())) AS age
FROM city.device d
WHERE d.area IN ($area) AND d.device >= ${{find:sqlstring}}
ORDER BY d.device
LIMIT 50
