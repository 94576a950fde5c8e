-- Who is known: operating zones, administrative units, profiles, devices and their foreign names.
create schema registry;
create schema city;
comment on schema city is 'The views that everything outside reads.';

create table registry.area (
    id smallint primary key,
    code text not null unique,
    name_vi text not null,
    name_en text not null,
    province text not null,
    people_2019 integer not null check (people_2019 > 0),
    people_2030 integer not null check (people_2030 > 0),
    lat double precision not null,
    lon double precision not null
);
comment on table registry.area is 'Operating zones: the districts of the plan under their codes, kept for good.';

create table registry.unit (
    code text not null,
    level text not null check (level in ('province', 'district', 'commune')),
    name text not null,
    parent text,
    area smallint references registry.area,
    valid_from date not null,
    valid_to date,
    successor text,
    source text not null,
    primary key (level, code, valid_from),
    check (valid_to is null or valid_to >= valid_from)
);
comment on table registry.unit is 'Administrative units with their validity: codes were reused, so a code means nothing without its date.';

create table registry.target (
    year smallint primary key,
    low numeric not null,
    high numeric not null,
    source text not null
);
comment on table registry.target is 'The plan: IoT devices per 100 people by year.';

create table registry.profile (
    id smallint generated always as identity primary key,
    profile text not null unique,
    family text not null,
    title_vi text not null,
    title_en text not null,
    interval_s double precision not null check (interval_s > 0)
);

create table registry.device (
    id integer generated always as identity primary key,
    device text not null unique check (device ~ '^[a-z0-9][a-z0-9-]{2,62}$'),
    profile smallint not null references registry.profile,
    area smallint not null references registry.area,
    name text,
    lat double precision check (lat between -90 and 90),
    lon double precision check (lon between -180 and 180),
    state text not null default 'enrolled'
        check (state in ('planned', 'enrolled', 'active', 'maintenance', 'retired')),
    enrolled timestamptz not null default now(),
    changed xid8 not null default pg_current_xact_id()
);
create index device_changed on registry.device (changed);
create index device_area on registry.device (area);
comment on column registry.device.changed is
    'Transaction of the last change. Workers ask for what changed since the xmin of their last look, so no late commit is missed.';

create table registry.alias (
    route text not null,
    foreign_id text not null,
    device integer not null references registry.device on delete cascade,
    changed xid8 not null default pg_current_xact_id(),
    primary key (route, foreign_id)
);
create index alias_changed on registry.alias (changed);
create index alias_device on registry.alias (device);
comment on table registry.alias is 'What a foreign system calls a device of ours.';

create view city.plan as
select a.code as area, a.name_vi as name, a.people_2030 as people,
       count(d.id) as devices,
       round(100.0 * count(d.id) / a.people_2030, 2) as devices_per_100,
       t.low as target_low, t.high as target_high,
       a.province, a.people_2019, t.year as target_year, a.lat, a.lon, a.name_en
from registry.area a
left join registry.device d on d.area = a.id and d.state <> 'retired'
left join lateral (
    select * from registry.target
    where year >= extract(year from now() at time zone 'Asia/Ho_Chi_Minh')
    order by year limit 1
) t on true
group by a.id, t.year, t.low, t.high;
comment on view city.plan is 'Exactly the zones that enroll accepts. people: of 2030, the year of the target.';

grant usage on schema registry to dothi_writer, dothi_analyst;
grant select on all tables in schema registry to dothi_writer, dothi_analyst;
grant usage on schema city to dothi_writer, dothi_analyst, dothi_reader;
alter default privileges in schema registry grant select on tables to dothi_writer, dothi_analyst;
alter default privileges in schema city grant select on tables to dothi_writer, dothi_analyst, dothi_reader;
grant select on city.plan to dothi_writer, dothi_analyst, dothi_reader;
