-- Public address and notice boards.

-- name: clusters_faulty
WITH {zone}
SELECT count(*) FILTER (WHERE l.state = 'fault') AS clusters
FROM city.latest_public_address l
WHERE l.area IN (SELECT area FROM zone)
HAVING count(*) > 0
LIMIT 1

-- name: clusters_playing
WITH {zone}
SELECT count(*) FILTER (WHERE l.state = 'playing') AS clusters
FROM city.latest_public_address l
WHERE l.area IN (SELECT area FROM zone)
HAVING count(*) > 0
LIMIT 1
