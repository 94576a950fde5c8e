-- Cameras.

-- name: cameras_blind
WITH {zone}
SELECT count(*) FILTER (WHERE l.state IN ('offline', 'degraded') OR l.picture IN ('dark', 'covered', 'frozen', 'lost')) AS cameras
FROM city.latest_camera_health l
WHERE l.area IN (SELECT area FROM zone)
HAVING count(*) > 0
LIMIT 1

-- name: offences_today
WITH {zone}
SELECT coalesce(sum(v.offences), 0) AS offences
FROM city.violation_1h v
WHERE v.bucket >= date_trunc('day', now(), 'Asia/Ho_Chi_Minh') AND v.area IN (SELECT area FROM zone)
LIMIT 1

-- name: seen_kinds
WITH {zone}
SELECT {kind} AS name, count(*) AS cameras
FROM city.latest_camera_event l
WHERE l.area IN (SELECT area FROM zone) AND l.time > now() - interval '1 hour' AND l.event_kind IS NOT NULL
GROUP BY 1
ORDER BY cameras DESC
LIMIT 12

-- name: seen_last
WITH {zone}
SELECT l.device, z.name AS district, extract(epoch FROM now() - least(l.time, now())) AS age,
       concat_ws(' · ', {seen}) AS reading, z.area
FROM city.latest_camera_event l JOIN zone z ON z.area = l.area
WHERE l.time > now() - interval '1 day'
ORDER BY l.time DESC
LIMIT 30
