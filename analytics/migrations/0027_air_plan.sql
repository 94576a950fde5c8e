-- The air index by device, hour and local day; who is worst in each zone; how far the plan is reached, by zone and sector.

create table rollup.air_source (
    id smallint generated always as identity primary key,
    vn_set text not null,
    vn_source text not null,
    us_set text not null,
    us_source text not null,
    unique (vn_set, vn_source, us_set, us_source)
);
comment on table rollup.air_source is 'The legal tables that air indices were made with, and how far their originals were read.';

create table rollup.air_band (
    high smallint primary key,
    low smallint not null,
    name_vi text not null,
    name_en text not null,
    colour text not null,
    effect_vi text not null, effect_en text not null,
    everyone_vi text not null, everyone_en text not null,
    sensitive_vi text not null, sensitive_en text not null
);
comment on table rollup.air_band is 'Bands of VN_AQI with names, colours and advice, as in the legal tables; written by the analyst when it starts.';

create table rollup.air_index_1h (
    bucket timestamptz not null,
    device integer not null,
    complete real not null,
    area smallint not null,
    source smallint not null,
    vn_aqi smallint,
    pm25 smallint, pm10 smallint, o3 smallint, co smallint, no2 smallint, so2 smallint,
    dominant smallint,
    us_aqi smallint,
    us_dominant smallint
);
create table rollup.air_index_1d (like rollup.air_index_1h including all);
comment on column rollup.air_index_1h.dominant is 'From 0: pm25, pm10, o3, co, no2, so2.';
select create_hypertable('rollup.air_index_1h', by_range('bucket', interval '7 days'), create_default_indexes => false);
select create_hypertable('rollup.air_index_1d', by_range('bucket', interval '90 days'), create_default_indexes => false);
create unique index air_index_1h_key on rollup.air_index_1h (device, bucket);
create unique index air_index_1d_key on rollup.air_index_1d (device, bucket);
create index air_index_1h_worst on rollup.air_index_1h (bucket, area, vn_aqi);

create table rollup.air_stale (
    device integer not null,
    bucket timestamptz not null,
    for_days boolean not null
);
create index air_stale_days on rollup.air_stale (for_days);
comment on table rollup.air_stale is
    'Hours of air quality that were made anew after late readings: indices of hours and of days that rest on them follow within minutes.';

-- By device, not only by bucket: late readings of one station must not cost the indices of all. The rollup of an hour and this note of it are one transaction, so no correction is missed.
create function rollup.note_stale_air() returns trigger
language plpgsql set search_path = '' as $$
begin
    insert into rollup.air_stale (device, bucket, for_days)
    select g.device, g.bucket, w.for_days from gone g cross join (values (false), (true)) w (for_days)
    where g.family = 'air_quality' and g.width = '1h';
    return null;
end
$$;
create trigger air_stale after delete on rollup.touched referencing old table as gone
    for each statement execute function rollup.note_stale_air();

create view city.air_index_1h as
select d.device, a.code as area, x.bucket, x.vn_aqi, b.name_vi as vn_category, x.pm25, x.pm10, x.o3, x.co, x.no2, x.so2,
       (array['pm25', 'pm10', 'o3', 'co', 'no2', 'so2'])[x.dominant + 1] as dominant,
       x.us_aqi, (array['pm25', 'pm10', 'o3', 'co', 'no2', 'so2'])[x.us_dominant + 1] as us_dominant,
       x.complete, concat_ws('; ', s.vn_source, s.us_source) as source, b.name_en as vn_category_en, b.colour
from rollup.air_index_1h x
join registry.device d on d.id = x.device
join registry.area a on a.id = x.area
left join rollup.air_source s on s.id = x.source
left join rollup.air_band b on x.vn_aqi between b.low and b.high;
comment on view city.air_index_1h is
    'By air quality device and closed hour: VN_AQI (dust by NowCast, gases of the hour), its category, the sub-indices of the six pollutants, the one that decides; US AQI beside it. null: too few hours of dust. complete: share of the hour''s expected readings with dust.';

create view city.air_index_1d as
select d.device, a.code as area, x.bucket, x.vn_aqi, b.name_vi as vn_category, x.pm25, x.pm10, x.o3, x.co, x.no2, x.so2,
       (array['pm25', 'pm10', 'o3', 'co', 'no2', 'so2'])[x.dominant + 1] as dominant,
       x.us_aqi, (array['pm25', 'pm10', 'o3', 'co', 'no2', 'so2'])[x.us_dominant + 1] as us_dominant,
       x.complete, concat_ws('; ', s.vn_source, s.us_source) as source, b.name_en as vn_category_en, b.colour
from rollup.air_index_1d x
join registry.device d on d.id = x.device
join registry.area a on a.id = x.area
left join rollup.air_source s on s.id = x.source
left join rollup.air_band b on x.vn_aqi between b.low and b.high;
comment on view city.air_index_1d is
    'By air quality device and local day: daily VN_AQI and US AQI as in city.air_index_1h. complete: share of the day''s hours that count.';

create view city.air_worst as
select a.code as area, a.name_vi as name, a.name_en, w.bucket, d.device, w.vn_aqi, b.name_vi as vn_category,
       b.name_en as vn_category_en, b.colour,
       (array['pm25', 'pm10', 'o3', 'co', 'no2', 'so2'])[w.dominant + 1] as dominant, w.us_aqi, w.devices,
       b.effect_vi, b.effect_en, b.everyone_vi, b.everyone_en, b.sensitive_vi, b.sensitive_en
from registry.area a
left join lateral (
    select x.bucket, x.device, x.vn_aqi, x.dominant, x.us_aqi, count(*) over () as devices
    from rollup.air_index_1h x
    where x.bucket = (
        select m.until - interval '1 hour' from rollup.bulletin m
        where m.name = 'air_hours' and m.family = 'air_quality' and m.width = '1h'
    )
      and x.bucket > now() - interval '3 hours' and x.area = a.id and x.vn_aqi is not null
    order by x.vn_aqi desc, x.device limit 1
) w on true
left join registry.device d on d.id = w.device
left join rollup.air_band b on w.vn_aqi between b.low and b.high;
comment on view city.air_worst is
    'By zone: the highest VN_AQI of the newest hour, whose it is, of how many devices, and the advice that goes with it. No index of the last three hours: null, which does not mean good air.';

create view city.air_band as select * from rollup.air_band;
comment on view city.air_band is 'Bands of VN_AQI: names, colours, health advice in Vietnamese and English.';

create table rollup.sector (
    family text primary key,
    sector text not null,
    name_vi text not null,
    name_en text not null,
    priority boolean not null
);
comment on table rollup.sector is 'The sector in which a family is counted; made from the files of devices.';

create table rollup.filled (
    area smallint not null,
    family text not null,
    hours smallint not null check (hours > 0),
    filled double precision not null,
    until timestamptz not null,
    primary key (area, family)
) with (fillfactor = 50);
comment on table rollup.filled is
    'Of the newest closed hours (24 at most) before until: the sum of their devices'' shares of expected readings.';

-- By zone and family: what both views below count.
create view rollup.counted as
with counted as (
    select n.area, p.family, sum(n.devices) filter (where n.state <> 'retired') as devices,
           sum(n.devices) filter (where n.state in ('enrolled', 'active')) as expected
    from registry.device_count n join registry.profile p on p.id = n.profile group by n.area, p.family
), hours as (
    select f.family, max(f.hours) as hours from rollup.filled f group by f.family
)
select c.area, c.family, c.devices, c.expected, coalesce(k.online, 0) as online,
       h.hours * c.expected as wanted, case when h.hours is not null then coalesce(f.filled, 0) end as filled
from counted c
left join rollup.connectivity k on k.area = c.area and k.family = c.family
left join hours h on h.family = c.family
left join rollup.filled f on f.area = c.area and f.family = c.family
where c.devices > 0;

-- People between the census of 2019 and the plan's 2030 on a straight line.
create view city.kpi as
with counted as (
    select c.area, sum(c.devices) as devices, sum(c.online) as online, sum(c.expected)::double precision as expected,
           sum(c.wanted)::double precision as wanted, sum(c.filled) as filled
    from rollup.counted c group by c.area
)
select a.code as area, a.name_vi as name, a.name_en, a.province, t.year as target_year,
       y.people::bigint as people, d.devices::bigint as devices,
       round(100.0 * d.devices / y.people, 2) as devices_per_100, t.low as target_low, t.high as target_high,
       case when 100.0 * d.devices / y.people < t.low then 'below'
            when 100.0 * d.devices / y.people > t.high then 'above' else 'within' end as standing,
       greatest(0, ceil(t.low * y.people / 100) - d.devices)::bigint as devices_missing,
       coalesce(c.online, 0)::bigint as online,
       least(1, c.online / nullif(c.expected, 0)) as online_share,
       least(1, c.filled / nullif(c.wanted, 0)) as complete,
       t.source, (select r.as_of from rollup.round r) as as_of
from registry.area a
cross join registry.target t
cross join lateral (
    select round(a.people_2019 + (a.people_2030 - a.people_2019) * (least(2030, greatest(2019, t.year)) - 2019) / 11.0)
           as people
) y
left join counted c on c.area = a.id
cross join lateral (select coalesce(c.devices, 0) as devices) d;
comment on view city.kpi is
    'By zone and year of the plan: devices per 100 people against the target and how many are missing to its lower end; online_share: of enrolled and active devices, as of as_of; complete: the share of expected readings that came in the newest closed hours, silent devices included.';

create view city.kpi_sector as
select a.code as area, coalesce(s.sector, 'other') as sector, coalesce(max(s.name_vi), 'Khác') as name_vi,
       coalesce(max(s.name_en), 'Other') as name_en, coalesce(bool_or(s.priority), false) as priority,
       sum(c.devices)::bigint as devices,
       (sum(c.devices) / sum(sum(c.devices)) over (partition by a.code))::double precision as share,
       sum(c.online)::bigint as online,
       least(1, sum(c.online) / nullif(sum(c.expected), 0)::double precision) as online_share,
       least(1, sum(c.filled) / nullif(sum(c.wanted), 0)::double precision) as complete,
       array_agg(c.family order by c.family) as families,
       (select r.as_of from rollup.round r) as as_of
from rollup.counted c
join registry.area a on a.id = c.area
left join rollup.sector s on s.family = c.family
group by a.code, coalesce(s.sector, 'other');
comment on view city.kpi_sector is
    'By zone and sector of the plan: devices, their share of the zone''s, online, completeness as in city.kpi. priority: one of the plan''s six.';

revoke execute on function rollup.note_stale_air from public;
