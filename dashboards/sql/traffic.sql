-- Traffic.

-- name: queues
WITH {zone}
SELECT count(*) FILTER (WHERE t.queued) AS queues
FROM city.traffic_state t JOIN zone z ON z.area = t.area
HAVING count(*) > 0
LIMIT 1

-- name: congested
WITH {zone}
SELECT count(*) FILTER (WHERE t.level_of_service IN ('E', 'F')) AS roads
FROM city.traffic_state t JOIN zone z ON z.area = t.area
HAVING count(*) > 0
LIMIT 1

-- name: roads
WITH {zone}
SELECT coalesce(t.name, t.device) AS road, z.name AS district, t.level_of_service AS service, t.travel_index AS index,
       t.speed_kmh AS speed, t.flow_veh_h AS flow, t.density_pcu_km AS density, t.device, z.area
FROM city.traffic_state t JOIN zone z ON z.area = t.area
ORDER BY t.queued DESC NULLS LAST, t.travel_index DESC NULLS LAST, t.speed_kmh, t.device
LIMIT 20

-- name: violations
WITH {zone}
SELECT {violation} AS name, sum(v.offences) AS offences
FROM city.violation_1h v JOIN zone z ON z.area = v.area
WHERE v.bucket >= date_trunc('day', now(), 'Asia/Ho_Chi_Minh')
GROUP BY 1
ORDER BY offences DESC
LIMIT 12

-- name: flow
WITH {zone},
r AS MATERIALIZED (
    SELECT t.bucket, t.area, t.flow_veh_h AS value
    FROM city.traffic_area_1h t
    WHERE $__timeFilter(t.bucket) AND t.area IN (SELECT area FROM zone)
),
grid AS (
    SELECT b AS bucket
    FROM generate_series(date_trunc('hour', $__timeFrom()::timestamptz), $__timeTo()::timestamptz, interval '1 hour') b
    ORDER BY b DESC
    LIMIT 200
)
{area_lines}

-- name: service
WITH {zone},
busy AS MATERIALIZED (
    SELECT t.device, coalesce(t.name, t.device) AS road
    FROM city.traffic_state t JOIN zone z ON z.area = t.area
    ORDER BY t.travel_index DESC NULLS LAST, t.flow_pcu_h DESC NULLS LAST, t.device
    LIMIT 12
)
SELECT $__timeGroupAlias(t.bucket, $__interval, NULL), b.road AS metric, max(ascii(t.level_of_service) - 64) AS service
FROM city.traffic_5m t JOIN busy b ON b.device = t.device
WHERE $__timeFilter(t.bucket)
GROUP BY 1, 2
ORDER BY 1
LIMIT 5000
