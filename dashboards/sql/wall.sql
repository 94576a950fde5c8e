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
{areas[air_quality.pm25_avg]},
{grid}
SELECT g.bucket AS time, max(r.value) AS highest, percentile_cont(0.5) WITHIN GROUP (ORDER BY r.value) AS middle
FROM grid g LEFT JOIN r ON r.bucket = g.bucket
WHERE EXISTS (SELECT FROM r)
GROUP BY 1
ORDER BY 1
LIMIT 5000
