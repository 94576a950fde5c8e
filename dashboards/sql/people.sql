-- Health, education, industry. Hours that are at hand alone: others of so many devices are added up when asked.

-- name: room_air
WITH {zone}
SELECT now() AS time, z.name AS metric, r.co2_avg AS co2
FROM city.classroom_area_1h r JOIN zone z ON z.area = r.area
WHERE r.bucket > now() - interval '2 hours 10 minutes'
  AND r.bucket < (SELECT k.until FROM city.area_known k WHERE k.family = 'classroom' AND k.width = '1h')
  AND r.co2_avg IS NOT NULL
ORDER BY r.co2_avg DESC
LIMIT 1

-- name: vibration
WITH {zone}
SELECT now() AS time, z.name AS metric, r.vibration_velocity_avg AS velocity
FROM city.machine_area_1h r JOIN zone z ON z.area = r.area
WHERE r.bucket > now() - interval '2 hours 10 minutes'
  AND r.bucket < (SELECT k.until FROM city.area_known k WHERE k.family = 'machine' AND k.width = '1h')

  AND r.vibration_velocity_avg IS NOT NULL
ORDER BY r.vibration_velocity_avg DESC
LIMIT 1
