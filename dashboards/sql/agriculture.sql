-- Agriculture. Hours that are at hand alone: others of so many devices are added up when asked.

-- name: least_oxygen
WITH {zone}
SELECT now() AS time, z.name AS metric, r.dissolved_oxygen_avg AS oxygen
FROM city.aquaculture_area_1h r JOIN zone z ON z.area = r.area
WHERE r.bucket > now() - interval '2 hours 10 minutes'
  AND r.bucket < (SELECT k.until FROM city.area_known k WHERE k.family = 'aquaculture' AND k.width = '1h')

  AND r.dissolved_oxygen_avg IS NOT NULL
ORDER BY r.dissolved_oxygen_avg
LIMIT 1

-- name: driest_soil
WITH {zone}
SELECT now() AS time, z.name AS metric, r.soil_moisture_avg AS moisture
FROM city.soil_area_1h r JOIN zone z ON z.area = r.area
WHERE r.bucket > now() - interval '2 hours 10 minutes'
  AND r.bucket < (SELECT k.until FROM city.area_known k WHERE k.family = 'soil' AND k.width = '1h')

  AND r.soil_moisture_avg IS NOT NULL
ORDER BY r.soil_moisture_avg
LIMIT 1
