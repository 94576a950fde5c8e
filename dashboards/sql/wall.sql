-- The province wall.

-- name: ages
WITH {zone},
feed AS (
    SELECT column1 AS family, column2 AS sector, column3 AS interval_s FROM (VALUES {sector_feeds}) v
),
newest AS (
    SELECT f.sector, extract(epoch FROM now() - max(least(n.time, now()))) / f.interval_s AS intervals
    FROM city.newest_time n JOIN feed f ON f.family = n.family
    WHERE n.area IN (SELECT area FROM zone)
    GROUP BY f.sector, f.family, f.interval_s
)
SELECT {by_sector}
FROM newest
LIMIT 1

-- name: fine_dust
WITH {zone},
r AS MATERIALIZED (
    SELECT r.bucket, r.area, r.pm25_avg AS pm25
    FROM city.air_quality_area_1h r
    WHERE $__timeFilter(r.bucket) AND r.area IN (SELECT area FROM zone)
      AND r.bucket < (SELECT k.until FROM city.area_known k WHERE k.family = 'air_quality' AND k.width = '1h') AND {hourly}
    UNION ALL
    SELECT r.bucket, r.area, r.pm25_avg
    FROM city.air_quality_area_1d r
    WHERE $__timeFilter(r.bucket) AND r.area IN (SELECT area FROM zone)
      AND r.bucket < (SELECT k.until FROM city.area_known k WHERE k.family = 'air_quality' AND k.width = '1d') AND {daily}
),
{grid}
SELECT g.bucket AS time, max(r.pm25) AS highest, percentile_cont(0.5) WITHIN GROUP (ORDER BY r.pm25) AS middle
FROM grid g LEFT JOIN r ON r.bucket = g.bucket
WHERE EXISTS (SELECT FROM r)
GROUP BY 1
ORDER BY 1
LIMIT 5000
