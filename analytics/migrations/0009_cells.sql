-- The map: devices counted by cells of a web-mercator grid, and what each cell looked like in the last round.
--
-- A cell of level n is a map tile of zoom n: x from 0 at 180° W to 2^n - 1, y from 0 at 85.05° N to 2^n - 1. Spherical
-- Mercator (Snyder, Map Projections: A Working Manual, USGS Professional Paper 1395, 1987, equations 7-1, 7-2 and 7-4),
-- unit square from the north-west corner:
--     x = (lon + 180°) / 360°    y = (1 - asinh(tan lat) / pi) / 2    lat = atan(sinh(pi * (1 - 2 y)))
-- Level 16 is kept from the registry; a coarser cell is the finer one with bits cut off, so levels never disagree.

create function rollup.cell_x(lon double precision) returns integer
language sql immutable parallel safe as $$
    select floor((greatest(-180.0, least(lon, 179.9999999999)) + 180.0) / 360.0 * 65536.0)::integer
$$;
comment on function rollup.cell_x is 'Column of the level 16 cell at a longitude in degrees; beyond the edge is the edge.';

create function rollup.cell_y(lat double precision) returns integer
language sql immutable parallel safe as $$
    -- Next to nought PostgreSQL raises "out of range" where others round to it.
    select case when abs(lat) < 1e-300 then 32768
                else floor((1.0 - asinh(tan(radians(greatest(-85.0511, least(lat, 85.0511))))) / pi()) * 32768.0)::integer
           end
$$;
comment on function rollup.cell_y is 'Row of the level 16 cell at a latitude in degrees; the poles belong to the outermost rows.';

create function rollup.cell_lon(level integer, x integer) returns double precision
language sql immutable parallel safe as $$ select (x + 0.5) / (1 << level) * 360.0 - 180.0 $$;

create function rollup.cell_lat(level integer, y integer) returns double precision
language sql immutable parallel safe as $$
    select degrees(atan(sinh(pi() * (1.0 - 2.0 * (y + 0.5) / (1 << level)))))
$$;

create table rollup.cell (
    level smallint not null,
    x integer not null,
    y integer not null,
    family text not null,
    devices integer not null,
    primary key (level, x, y, family)
) with (fillfactor = 50);
comment on table rollup.cell is
    'Devices that are not retired, by cell and family, levels 5 to 16. Exact: moved by triggers of the registry. A device without a position counts where its area''s centroid is.';

-- Text rather than a call, for transition tables are seen by their trigger alone.
create function rollup.moves_of_cells(moves text) returns text
language sql immutable set search_path = '' as $$
    select 'with placed as (
        select case when lat is not null and lon is not null then rollup.cell_x(lon) * 65536::bigint + rollup.cell_y(lat) end as cell,
               case when lat is null or lon is null then area end as area,
               profile, sum(n) as n
        from (' || moves || ') m
        where state <> ''retired'' group by 1, 2, 3 having sum(n) <> 0
    ), moved as (
        select coalesce((m.cell >> 16)::integer, rollup.cell_x(a.lon)) as x,
               coalesce((m.cell & 65535)::integer, rollup.cell_y(a.lat)) as y, p.family, m.n
        from placed m join registry.profile p on p.id = m.profile left join registry.area a on a.id = m.area
    )
    insert into rollup.cell as c (level, x, y, family, devices)
    select l, m.x >> (16 - l), m.y >> (16 - l), m.family, sum(m.n)
    from moved m cross join generate_series(5, 16) l group by 1, 2, 3, 4 having sum(m.n) <> 0
    on conflict (level, x, y, family) do update set devices = c.devices + excluded.devices'
$$;
comment on function rollup.moves_of_cells is
    'The statement that applies devices gone (n = -1) and come (n = 1), given as a query, to the cells.';

create function rollup.recount_cells() returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform registry.lock_counts();
    delete from rollup.cell;
    execute rollup.moves_of_cells('select d.*, 1 as n from registry.device d');
end
$$;
comment on function rollup.recount_cells is
    'Counts all cells anew, as when the centroid of a zone or the family of a profile has changed.';

create function rollup.count_cells() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform registry.lock_counts();
    if tg_op = 'TRUNCATE' then
        delete from rollup.cell;
    else
        execute rollup.moves_of_cells(registry.moved_devices(tg_op));
    end if;
    return null;
end
$$;

create trigger map_inserted after insert on registry.device referencing new table as come
    for each statement execute function rollup.count_cells();
create trigger map_updated after update on registry.device referencing old table as gone new table as come
    for each statement execute function rollup.count_cells();
create trigger map_deleted after delete on registry.device referencing old table as gone
    for each statement execute function rollup.count_cells();
create trigger map_truncated after truncate on registry.device
    for each statement execute function rollup.count_cells();

-- A zone's centroid and a profile's family come from files and hardly ever change; then everything is counted anew.
create function rollup.recount_when_moved() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform rollup.recount_cells();
    return null;
end
$$;
create trigger map_centroid after update on registry.area for each row
    when ((old.lat, old.lon) is distinct from (new.lat, new.lon)) execute function rollup.recount_when_moved();
create trigger map_family after update on registry.profile for each row
    when (old.family <> new.family) execute function rollup.recount_when_moved();

-- What the analyst finds in each round. Unlogged: a crash of the database empties them and the next round fills them.
create unlogged table rollup.cell_newest (
    level smallint not null,
    x integer not null,
    y integer not null,
    family text not null,
    online integer not null,
    worst double precision,
    primary key (level, x, y, family)
) with (fillfactor = 50);
comment on table rollup.cell_newest is
    'By cell and family: devices online, and the worst newest value of the family''s headline metric among devices that are not silent.';

create unlogged table rollup.connectivity (
    area smallint not null,
    family text not null,
    online integer not null,
    late integer not null,
    silent integer not null,
    primary key (area, family)
) with (fillfactor = 50);

create unlogged table rollup.rate (
    family text primary key,
    per_minute double precision not null
) with (fillfactor = 50);

create unlogged table rollup.round (
    one boolean primary key default true check (one),
    as_of timestamptz not null
) with (fillfactor = 50);
comment on table rollup.round is 'When the last round over the newest values was made; no row: none yet.';

create table rollup.headline (
    family text primary key,
    metric text,
    worse text not null check (worse in ('high', 'low'))
);
comment on table rollup.headline is 'The metric by which a family''s cells are judged on the map; made from the family files.';

create view city.connectivity as
select c.area, c.family, coalesce(k.online, 0) as online, coalesce(k.late, 0) as late, coalesce(k.silent, 0) as silent,
       greatest(c.devices - coalesce(k.online + k.late + k.silent, 0), 0) as never,
       (select r.as_of from rollup.round r) as as_of
from (
    select a.id, a.code as area, p.family, sum(n.devices)::integer as devices
    from registry.device_count n
    join registry.area a on a.id = n.area
    join registry.profile p on p.id = n.profile
    where n.state in ('enrolled', 'active') and n.devices > 0 group by a.id, a.code, p.family
) c
left join rollup.connectivity k on k.area = c.id and k.family = c.family;
comment on view city.connectivity is
    'Enrolled and active devices by how long ago they were last heard: online up to 3 intervals of their profile, late up to 10, then silent; as counted at as_of, null before the first round.';

create view city.rate as
select r.family, r.per_minute, (select n.as_of from rollup.round n) as as_of from rollup.rate r;
comment on view city.rate is 'Readings per minute by family that the analyst took in during about a minute before as_of.';

create function rollup.check_extent(
    west double precision, south double precision, east double precision, north double precision, zoom integer
) returns void
language plpgsql immutable set search_path = '' as $$
begin
    if west is null or south is null or east is null or north is null or zoom is null then
        raise exception 'west, south, east, north and zoom are all needed' using errcode = '22023';
    elsif 'NaN' in (west, south, east, north) then
        raise exception 'extent % % % %: NaN is no number of degrees', west, south, east, north using errcode = '22023';
    elsif west > east then
        raise exception 'west % lies east of east %; ask for an extent across 180° in two parts', west, east
            using errcode = '22023';
    elsif south > north then
        raise exception 'south % lies north of north %', south, north using errcode = '22023';
    end if;
end
$$;

create function rollup.check_metric(family text, metric text) returns void
language plpgsql stable set search_path = '' as $$
declare
    known text := (select string_agg(h.family || coalesce(': ' || h.metric, ''), ', ' order by h.family) from rollup.headline h);
begin
    if not exists (select from rollup.headline h where h.family = coalesce(check_metric.family, h.family)) then
        raise exception 'family %: unknown; the map knows %', family, known using errcode = '22023';
    elsif not exists (
        select from rollup.headline h
        where h.family = coalesce(check_metric.family, h.family)
          and (check_metric.metric is null or h.metric = check_metric.metric)
    ) then
        raise exception 'metric %: the map is judged by one metric of each family; %', metric, known
            using errcode = '22023';
    end if;
end
$$;

create function rollup.active_alarms(family text) returns table (x integer, y integer, rank integer)
language sql stable as $$
    select case when d.lat is null or d.lon is null
                then (select rollup.cell_x(a.lon) from registry.area a where a.id = d.area)
                else rollup.cell_x(d.lon) end,
           case when d.lat is null or d.lon is null
                then (select rollup.cell_y(a.lat) from registry.area a where a.id = d.area)
                else rollup.cell_y(d.lat) end,
           array_position(array['warning', 'minor', 'major', 'critical'], l.severity)
    from ops.alarm l
    join registry.device d on d.id = l.device
    where l.cleared is null and (l.shelved_until is null or l.shelved_until <= now()) and d.state <> 'retired'
      and ($1 is null or d.profile in (select p.id from registry.profile p where p.family = $1))
$$;
comment on function rollup.active_alarms is
    'Level 16 cell and rank (1 warning to 4 critical) of every alarm that is neither cleared nor shelved, of a family or of all.';

create function city.map_cells(
    west double precision, south double precision, east double precision, north double precision, zoom integer,
    family text default null, metric text default null
) returns table (
    cell text, lat double precision, lon double precision, devices bigint, online bigint,
    worst_severity text, worst_value double precision, as_of timestamptz
)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
    most constant integer := 2000;
    lvl integer := greatest(5, least(16, least(map_cells.zoom, 30) + 4));
    x0 integer; x1 integer; y0 integer; y1 integer;
    bits integer;
begin
    perform rollup.check_extent(west, south, east, north, zoom);
    perform rollup.check_metric(map_cells.family, map_cells.metric);
    x0 := rollup.cell_x(west); x1 := rollup.cell_x(east);
    y0 := rollup.cell_y(north); y1 := rollup.cell_y(south);
    loop
        bits := 16 - lvl;
        exit when ((x1 >> bits) - (x0 >> bits) + 1)::bigint * ((y1 >> bits) - (y0 >> bits) + 1) <= most;
        lvl := lvl - 1;
    end loop;
    return query
    with counted as (
        select c.x, c.y, sum(c.devices) as devices, coalesce(sum(least(n.online, c.devices)), 0) as online,
               max(n.worst) filter (where h.worse = 'high') as highest,
               min(n.worst) filter (where h.worse = 'low') as lowest
        from generate_series(x0 >> bits, x1 >> bits) column_x
        cross join lateral (
            select * from rollup.cell s
            where s.level = lvl and s.x = column_x and s.y between y0 >> bits and y1 >> bits and s.devices > 0
              and (map_cells.family is null or s.family = map_cells.family)
        ) c
        left join rollup.cell_newest n
            on n.level = lvl and n.x = c.x and n.y = c.y and n.family = c.family
        left join rollup.headline h on h.family = c.family and (h.metric = map_cells.metric
            or map_cells.metric is null and map_cells.family is not null)
        group by c.x, c.y
    ), alarmed as (
        select a.x >> bits as x, a.y >> bits as y, max(a.rank) as rank
        from rollup.active_alarms(map_cells.family) a
        group by 1, 2
    )
    select format('%s/%s/%s', lvl, c.x, c.y), rollup.cell_lat(lvl, c.y), rollup.cell_lon(lvl, c.x),
           c.devices, c.online, (array['warning', 'minor', 'major', 'critical'])[a.rank],
           coalesce(c.highest, c.lowest), (select r.as_of from rollup.round r)
    from counted c left join alarmed a on a.x = c.x and a.y = c.y;
end
$$;
comment on function city.map_cells is
    'At most 2,000 cells that cover the extent (degrees; beyond the map''s edge is clamped to it), at the finest level of 5 to 16 that allows it and is at most four finer than the zoom (16 pixels; zoom below 0 or above 30 counts as that). '
    'cell: level/x/y as of a map tile; lat, lon: its centre; devices: exact, not retired; online and worst_value: as of as_of, the latter of the family''s headline metric, named or of the family asked for, among devices that are not silent; worst_severity: of active alarms, now. '
    'Cells on the border are given whole. Unknown family or metric, NaN, west beyond east: an error that says what is allowed.';

revoke execute on function rollup.recount_cells, rollup.count_cells, rollup.recount_when_moved, city.map_cells from public;
grant execute on function city.map_cells to dothi_reader, dothi_analyst, dothi_writer;
grant temporary on database :database to dothi_analyst;
grant select on rollup.cell, rollup.headline to dothi_analyst;
grant select, insert, update, delete on rollup.cell_newest, rollup.connectivity, rollup.rate, rollup.round to dothi_analyst;

-- Devices that were there before.
select rollup.recount_cells();
