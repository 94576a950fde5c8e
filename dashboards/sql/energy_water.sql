-- Energy and water. Hours that are at hand alone: others of so many devices are added up when asked.

-- name: power_now
WITH {zone}
SELECT sum(r.active_power_avg * r.devices) / 1000 AS power
FROM city.meter_area_1h r
WHERE r.bucket = (SELECT k.until FROM city.area_known k WHERE k.family = 'meter' AND k.width = '1h') - interval '1 hour'
  AND r.bucket > now() - interval '3 hours' AND r.area IN (SELECT area FROM zone)
LIMIT 1

-- name: water_now
WITH {zone}
SELECT sum(r.flow_rate_avg * r.devices) AS flow
FROM city.water_meter_area_1h r
WHERE r.bucket = (SELECT k.until FROM city.area_known k WHERE k.family = 'water_meter' AND k.width = '1h') - interval '1 hour'
  AND r.bucket > now() - interval '3 hours' AND r.area IN (SELECT area FROM zone)
LIMIT 1

-- name: energy_used
WITH {zone},
r AS MATERIALIZED (
    SELECT r.bucket, r.area, r.total_active_energy_import_increase AS used
    FROM city.meter_area_1h r
    WHERE $__timeFilter(r.bucket) AND r.area IN (SELECT area FROM zone)
      AND r.bucket < (SELECT k.until FROM city.area_known k WHERE k.family = 'meter' AND k.width = '1h') AND {hourly}
    UNION ALL
    SELECT r.bucket, r.area, r.total_active_energy_import_increase
    FROM city.meter_area_1d r
    WHERE $__timeFilter(r.bucket) AND r.area IN (SELECT area FROM zone)
      AND r.bucket < (SELECT k.until FROM city.area_known k WHERE k.family = 'meter' AND k.width = '1d') AND {daily}
),
{grid}
SELECT g.bucket AS time, z.name AS metric, r.used AS energy
FROM grid g CROSS JOIN zone z LEFT JOIN r ON r.bucket = g.bucket AND r.area = z.area
WHERE z.area IN (SELECT area FROM r)
ORDER BY 1, 2
LIMIT 5000

-- name: water_used
WITH {zone},
r AS MATERIALIZED (
    SELECT r.bucket, r.area, r.total_volume_increase AS used
    FROM city.water_meter_area_1h r
    WHERE $__timeFilter(r.bucket) AND r.area IN (SELECT area FROM zone)
      AND r.bucket < (SELECT k.until FROM city.area_known k WHERE k.family = 'water_meter' AND k.width = '1h') AND {hourly}
    UNION ALL
    SELECT r.bucket, r.area, r.total_volume_increase
    FROM city.water_meter_area_1d r
    WHERE $__timeFilter(r.bucket) AND r.area IN (SELECT area FROM zone)
      AND r.bucket < (SELECT k.until FROM city.area_known k WHERE k.family = 'water_meter' AND k.width = '1d') AND {daily}
),
{grid}
SELECT g.bucket AS time, z.name AS metric, r.used AS water
FROM grid g CROSS JOIN zone z LEFT JOIN r ON r.bucket = g.bucket AND r.area = z.area
WHERE z.area IN (SELECT area FROM r)
ORDER BY 1, 2
LIMIT 5000
