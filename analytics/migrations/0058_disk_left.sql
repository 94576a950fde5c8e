-- Days until the disk is full were foretold from ten minutes, so a load after a start rang. Foretold is what goes on: what most
-- hours of the last day took, at most what all of it took; or what each of the last two days took. ingest/disk.py has the same rule.

create or replace view city.disk_left as
with newest as (select * from ops.disk_sample s order by s.at desc limit 1),
looks as (
    select distinct on (x.hour) x.hour, x.at, x.free_bytes
    from (
        select floor(extract(epoch from n.at - s.at) / 3600.0)::int as hour, s.at, s.free_bytes
        from newest n join ops.disk_sample s on s.at between n.at - interval '49 hours' and n.at
    ) x
    order by x.hour, x.at desc
),
spans as (
    select (select o.at from looks o where o.hour <= 24 order by o.hour desc limit 1) as day,
           (select o.at from looks o where o.hour = 48) as both_days
),
hours as (
    select (lead(o.free_bytes) over w - o.free_bytes) * 86400.0
           / extract(epoch from o.at - lead(o.at) over w) as per_day
    from looks o where o.hour <= 24 window w as (order by o.hour)
),
rates as (
    select (d.free_bytes - n.free_bytes) * 86400.0 / extract(epoch from n.at - d.at) as last_day,
           (b.free_bytes - d.free_bytes) * 86400.0 / extract(epoch from d.at - b.at) as day_before,
           (select percentile_cont(0.5) within group (order by h.per_day::float8) from hours h)::numeric as most_hours
    from newest n cross join spans s join ops.disk_sample d on d.at = s.day
    left join ops.disk_sample b on b.at = s.both_days
    where d.at <= n.at - interval '6 hours'
)
select n.at, n.free_bytes, n.total_bytes, x.per_day as net_bytes_per_day,
       case when x.per_day > 0 then n.free_bytes / x.per_day end as days_left
from newest n
left join lateral (
    select greatest(least(r.most_hours, r.last_day),
                    case when r.day_before is not null then least(r.last_day, r.day_before) end) as per_day
    from rates r
) x on true;
comment on view city.disk_left is
    'Space on the disk now, what a day takes of it after what retention gave back, and for how many days that leaves room. Foretold is what goes on: what most hours of the last day took, or each of the last two days; null where it does not fill or less than six hours were seen.';
