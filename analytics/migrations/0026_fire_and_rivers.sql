-- Fire danger of each day, where rivers stand, and what speaks of a forest fire.
create table rollup.fire_danger (
    day date not null,
    area smallint not null,
    stations integer not null,
    complete real not null,
    source text not null check (source in ('measured', 'partial', 'carried')),
    days integer not null,
    t13 double precision,
    rh13 double precision,
    rain_24h double precision,
    wind double precision,
    ffmc double precision not null,
    dmc double precision not null,
    dc double precision not null,
    isi real,
    bui real,
    fwi real,
    dsr real,
    p double precision not null,
    angstrom real,
    level smallint not null check (level between 1 and 5),
    level_vi text not null,
    level_en text not null,
    colour text not null,
    used_set text not null,
    waits_for text not null,
    primary key (area, day)
);
comment on table rollup.fire_danger is
    'Fire danger by district and local day; each day is made from the one before, so a late reading makes all after it anew.';

create view city.fire_danger as
select lpad(f.area::text, 3, '0') as area, f.day, f.t13, f.rh13, f.rain_24h, f.wind, f.ffmc, f.dmc, f.dc, f.isi, f.bui, f.fwi,
       f.p, f.level, f.level_vi as level_name, f.level_en as level_name_en, f.used_set as set, f.complete, f.source,
       f.dsr, f.angstrom, f.colour, f.stations, f.days, nullif(f.waits_for, '') as stands_in_for
from rollup.fire_danger f;
comment on view city.fire_danger is
    'Fire danger by district and local day at 13:00: t13 Cel, rh13 as a fraction, rain_24h mm up to 13:00, wind m/s (medians of the stations); Canadian codes and indices; Vietnamese index p and its level 1 to 5 by the table set, which stands in for a decree where stands_in_for names one. complete: share of the stations that spoke; source: measured, partial (not all of it) or carried over from the day before; days: since the codes began.';

create table rollup.river_state (
    device integer primary key,
    station text not null,
    river text not null,
    used_set text not null,
    levels double precision[] not null,
    level smallint not null check (level between 0 and 3),
    since timestamptz not null,
    class smallint not null check (class between 0 and 3),
    water_level double precision not null,
    as_of timestamptz not null,
    seq bigint not null,
    rise_m_per_h double precision,
    fit real,
    next_level smallint,
    hours_to_next double precision
) with (fillfactor = 50);
comment on table rollup.river_state is
    'Gauges at river stations: the alarm level that is held since a moment, as of the newest reading. Silence changes nothing but its age.';

create view city.river_state as
select s.station, d.device, s.level, (array['below I', 'above I', 'above II', 'above III'])[s.class + 1] as class,
       case when not x.stale then s.rise_m_per_h end as rise_m_per_h,
       s.next_level, case when not x.stale then s.hours_to_next end as hours_to_next, s.as_of, x.stale,
       s.river, lpad(d.area::text, 3, '0') as area, d.name, s.water_level, s.since, x.age_s,
       s.levels[1] as level_1_m, s.levels[2] as level_2_m, s.levels[3] as level_3_m, s.fit, s.used_set as set,
       (array['dưới báo động I', 'trên báo động I', 'trên báo động II', 'trên báo động III'])[s.class + 1] as class_vi
from rollup.river_state s
join registry.device d on d.id = s.device
join registry.profile p on p.id = d.profile
cross join lateral (
    select extract(epoch from now() - s.as_of)::double precision as age_s,
           now() - s.as_of > p.interval_s * interval '3 s' as stale
) x;
comment on view city.river_state is
    'Gauges at river stations. level: alarm level held (0 none, 1 to 3), left only 5 cm below it; class: by the newest reading alone; water_level m; rise_m_per_h over 3 h; hours_to_next: to the level next_level, said only where the water rises by more than 3 cm/h and steadily. stale: no reading for three intervals, then the state is as it was at as_of, which is not an all-clear.';

-- Looks the table up when it is called: readings have their tables from the family files, after migrations.
create function city.fire_place(device text, at timestamptz) returns table (lat double precision, lon double precision)
language plpgsql stable security definer set search_path = '' as $$
begin
    return query select w.latitude::double precision, w.longitude::double precision from reading.fire_watch w
        join registry.device d on d.id = w.device
        where d.device = $1 and w.time = $2 and w.latitude is not null and w.longitude is not null limit 1;
end
$$;
comment on function city.fire_place is
    'Where a device said that the fire is, degrees, in its reading of a moment; no row where it said nothing.';

create view city.fire_evidence as
select d.device, k.kind, f.score, f.since, coalesce(r.lat, d.lat) as lat, coalesce(r.lon, d.lon) as lon,
       lpad(d.area::text, 3, '0') as area, f.until, f.found, f.detector, nullif(f.metric, '') as metric, f.value, f.expected,
       (select g.level from rollup.fire_danger g where g.area = d.area order by g.day desc limit 1) as danger
from rollup.finding f
join (values ('fire-smoke', 'smoke'), ('fire-warmth', 'heat'), ('fire-heat', 'heat'), ('fire-camera', 'camera'),
             ('fire-event', 'camera'), ('fire-flame', 'flame'), ('fire-hotspot', 'hotspot'), ('fire-lasting', 'lasting'),
             ('forest-gate', 'gate')) k(detector, kind) on k.detector = f.detector
join registry.device d on d.id = f.device
left join lateral city.fire_place(case when d.family = 'fire_watch' then d.device end, f.found) r on true;
comment on view city.fire_evidence is
    'What speaks of a forest fire, one row per device and source: kind smoke, heat, camera, flame, hotspot (told with its place, as satellites do), lasting (heat that something else bears out) or gate (somebody at a forest gate, which proves nothing); lat, lon: the place that the device told, else its own; danger: the district''s newest level of fire danger, 1 to 5. until is null while it lasts.';
