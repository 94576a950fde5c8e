-- Telecom sites and data centre.

-- name: sites_down
WITH {zone}
SELECT count(*) FILTER (WHERE l.site_state = 'out_of_service') AS sites
FROM city.latest_telecom_site l
WHERE l.area IN (SELECT area FROM zone)
HAVING count(*) > 0
LIMIT 1

-- name: sites_on_battery
WITH {zone}
SELECT count(*) FILTER (WHERE l.mains = 'absent') AS sites
FROM city.latest_telecom_site l
WHERE l.area IN (SELECT area FROM zone)
HAVING count(*) > 0
LIMIT 1
