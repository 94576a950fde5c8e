-- The database as the first release made it: frozen, never edited. Tests migrate it to today's shape.
-- Roles, migrations 0001 to 0003 with their records, tables and views of the families, zones and profiles of then;
-- of the administrative units a few. `:database` stands for the name of the database.

-- roles
-- The four roles, before any schema. Roles belong to the whole cluster, so another database may have made them already.
do $$
declare
    name text;
begin
    foreach name in array array['dothi_admin', 'dothi_writer', 'dothi_analyst', 'dothi_reader'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin', name);
        end if;
    end loop;
end
$$;
alter role dothi_reader set default_transaction_read_only = on;
alter role dothi_reader set statement_timeout = '30s';
alter role dothi_reader set idle_in_transaction_session_timeout = '60s';


-- what migrations may
create extension if not exists timescaledb;
grant create on database :database to dothi_admin with grant option;
grant temporary on database :database to dothi_admin with grant option;
grant usage on schema public to dothi_admin;
create table public.dothi_migration (name text primary key, sha256 text not null, applied timestamptz not null default now());
set role dothi_admin;


-- devices/migrations/0001_registry.sql
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


-- ingest/migrations/0002_ops.sql
-- What ingest writes beside the readings, all in the transaction that stores them.
create schema reading;
create schema rollup;
create schema ops;
comment on schema reading is 'One hypertable per family, made from the family files by the reconciler.';

create sequence ops.batch_id;

create table ops.batch (
    batch bigint not null,
    family text not null,
    worker smallint not null,
    time_min timestamptz not null,
    time_max timestamptz not null,
    rows integer not null check (rows > 0),
    xid xid8 not null default pg_current_xact_id(),
    committed timestamptz not null default now(),
    primary key (batch, family)
);
create index batch_xid on ops.batch (xid);
comment on table ops.batch is
    'One row per stored batch and family. Read rows with xid below pg_snapshot_xmin(pg_current_snapshot()) in (xid, batch) order: '
    'every batch exactly once, late commits included.';

create table ops.ledger (
    minute timestamptz not null,
    inbox text not null,
    received bigint not null,
    stored bigint not null,
    duplicate bigint not null,
    quarantined bigint not null,
    partial bigint not null,
    primary key (minute, inbox),
    constraint ledger_balances check (received = stored + duplicate + quarantined)
) with (fillfactor = 50);
comment on table ops.ledger is 'Readings by minute of receipt and inbox; an undecodable message counts 1.';

create table ops.quarantine (
    id bigint generated always as identity,
    received timestamptz not null,
    batch bigint not null,
    inbox text not null,
    topic text not null,
    payload bytea not null check (octet_length(payload) <= 65536),
    sha256 bytea not null,
    size integer not null,
    device text,
    profile text,
    layer text not null,
    reason text not null,
    field text,
    value text,
    detail text not null,
    replayed timestamptz
);
select create_hypertable('ops.quarantine', by_range('received', interval '7 days'), create_default_indexes => false);
create index quarantine_received on ops.quarantine (received desc);
create index quarantine_device on ops.quarantine (device, received desc);

create table ops.presence (
    device integer primary key,
    online boolean not null,
    since timestamptz not null
) with (fillfactor = 50);
comment on table ops.presence is 'What a device last said of itself on its status topic (its last will included).';

create table ops.event (
    id bigint generated always as identity primary key,
    time timestamptz not null default now(),
    kind text not null,
    severity text not null check (severity in ('info', 'warning', 'minor', 'major', 'critical')),
    inbox text,
    device text,
    message text not null,
    detail jsonb
);
create index event_time on ops.event (time desc);

create table ops.worker (
    worker smallint primary key,
    pid integer not null,
    at timestamptz not null,
    received bigint not null,
    in_flight integer not null,
    lag_s double precision not null,
    rate_per_s double precision not null
) with (fillfactor = 50);
comment on table ops.worker is 'The state each ingest worker reports of itself once a second.';

create view city.ledger as
select minute, inbox, received, stored, duplicate, quarantined, partial from ops.ledger;

create view city.quarantine as
select id, received, topic, payload, sha256, size, device, profile, reason, detail, replayed, layer, field, value, inbox
from ops.quarantine;

create view city.event as select time, kind, severity, inbox, device, message, detail from ops.event;

create view city.worker as select worker, pid, at, received, in_flight, lag_s, rate_per_s from ops.worker;

grant usage on schema reading, ops to dothi_writer, dothi_analyst;
grant usage on sequence ops.batch_id to dothi_writer;
grant select, insert on ops.batch, ops.quarantine, ops.event to dothi_writer;
grant select, insert, update on ops.ledger, ops.presence, ops.worker to dothi_writer;
grant update (replayed) on ops.quarantine to dothi_writer;
grant select on all tables in schema ops to dothi_analyst;
grant insert on ops.event to dothi_analyst;
alter default privileges in schema reading grant select, insert on tables to dothi_writer;
alter default privileges in schema reading grant select on tables to dothi_analyst;
alter default privileges in schema ops grant select on tables to dothi_analyst;
grant temporary on database :database to dothi_writer;


-- analytics/migrations/0003_alarm.sql
-- The record of alarms. Raising, folding and closing them comes with the rules; the shape is settled here.
create table ops.alarm (
    id bigint generated always as identity primary key,
    kind text not null,
    severity text not null check (severity in ('warning', 'minor', 'major', 'critical')),
    device integer,
    area smallint,
    raised timestamptz not null default now(),
    acknowledged timestamptz,
    acknowledged_by text,
    cleared timestamptz,
    shelved_until timestamptz,
    value double precision,
    message text not null,
    check (cleared is null or cleared >= raised)
);
create index alarm_active on ops.alarm (raised) where cleared is null;

create view city.alarm as
select l.id, l.kind, l.severity, d.device, a.code as area, l.raised, l.acknowledged, l.acknowledged_by as by,
       l.cleared, l.shelved_until, l.value, l.message
from ops.alarm l
left join registry.device d on d.id = l.device
left join registry.area a on a.id = l.area;

grant usage on schema rollup to dothi_analyst;
grant select, insert, update on ops.alarm to dothi_analyst;


-- families
create table "reading"."air_quality" ("time" timestamp with time zone not null, "seq" bigint not null, "received" timestamp with time zone not null, "batch" bigint not null, "boot" bigint, "device" integer not null, "area" smallint not null, "extra" jsonb, "pm25" double precision, "pm10" double precision, "no2" double precision, "so2" double precision, "o3" double precision, "co" double precision, "temperature" double precision, "relative_humidity" double precision);
select create_hypertable('reading.air_quality'::regclass, by_range('time', '1 day'::interval), create_default_indexes => false);
create unique index "air_quality_key" on "reading"."air_quality" (device, time, seq);
create or replace view "city"."air_quality" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."pm25" as "pm25", "r"."pm10" as "pm10", "r"."no2" as "no2", "r"."so2" as "so2", "r"."o3" as "o3", "r"."co" as "co", "r"."temperature" as "temperature", "r"."relative_humidity" as "relative_humidity", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."air_quality" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area;
comment on view "city"."air_quality" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."pm25" as "pm25", "r"."pm10" as "pm10", "r"."no2" as "no2", "r"."so2" as "so2", "r"."o3" as "o3", "r"."co" as "co", "r"."temperature" as "temperature", "r"."relative_humidity" as "relative_humidity", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."air_quality" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area';
create or replace view "city"."latest_air_quality" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."pm25" as "pm25", "r"."pm10" as "pm10", "r"."no2" as "no2", "r"."so2" as "so2", "r"."o3" as "o3", "r"."co" as "co", "r"."temperature" as "temperature", "r"."relative_humidity" as "relative_humidity", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = 'air_quality' cross join lateral (select * from "reading"."air_quality" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area;
comment on view "city"."latest_air_quality" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."pm25" as "pm25", "r"."pm10" as "pm10", "r"."no2" as "no2", "r"."so2" as "so2", "r"."o3" as "o3", "r"."co" as "co", "r"."temperature" as "temperature", "r"."relative_humidity" as "relative_humidity", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = ''air_quality'' cross join lateral (select * from "reading"."air_quality" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area';
create table "reading"."camera_event" ("time" timestamp with time zone not null, "seq" bigint not null, "received" timestamp with time zone not null, "batch" bigint not null, "boot" bigint, "device" integer not null, "area" smallint not null, "extra" jsonb, "object_class" smallint, "event" smallint, "severity" smallint, "motion" smallint, "confidence" double precision, "top_confidence" double precision, "object_speed" double precision, "average_object_speed" double precision, "velocity_angle" double precision);
select create_hypertable('reading.camera_event'::regclass, by_range('time', '1 day'::interval), create_default_indexes => false);
create unique index "camera_event_key" on "reading"."camera_event" (device, time, seq);
create or replace view "city"."camera_event" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", (array['person', 'car', 'motorcycle', 'bicycle', 'bus', 'truck', 'dog', 'cat', 'bird', 'cow', 'horse', 'animal', 'boat', 'train', 'package', 'fire', 'smoke', 'other']::text[])["r"."object_class" + 1] as "object_class", (array['new', 'update', 'end']::text[])["r"."event" + 1] as "event", (array['detection', 'alert']::text[])["r"."severity" + 1] as "severity", (array['moving', 'stationary']::text[])["r"."motion" + 1] as "motion", "r"."confidence" as "confidence", "r"."top_confidence" as "top_confidence", "r"."object_speed" as "object_speed", "r"."average_object_speed" as "average_object_speed", "r"."velocity_angle" as "velocity_angle", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."camera_event" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area;
comment on view "city"."camera_event" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", (array[''person'', ''car'', ''motorcycle'', ''bicycle'', ''bus'', ''truck'', ''dog'', ''cat'', ''bird'', ''cow'', ''horse'', ''animal'', ''boat'', ''train'', ''package'', ''fire'', ''smoke'', ''other'']::text[])["r"."object_class" + 1] as "object_class", (array[''new'', ''update'', ''end'']::text[])["r"."event" + 1] as "event", (array[''detection'', ''alert'']::text[])["r"."severity" + 1] as "severity", (array[''moving'', ''stationary'']::text[])["r"."motion" + 1] as "motion", "r"."confidence" as "confidence", "r"."top_confidence" as "top_confidence", "r"."object_speed" as "object_speed", "r"."average_object_speed" as "average_object_speed", "r"."velocity_angle" as "velocity_angle", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."camera_event" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area';
create or replace view "city"."latest_camera_event" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", (array['person', 'car', 'motorcycle', 'bicycle', 'bus', 'truck', 'dog', 'cat', 'bird', 'cow', 'horse', 'animal', 'boat', 'train', 'package', 'fire', 'smoke', 'other']::text[])["r"."object_class" + 1] as "object_class", (array['new', 'update', 'end']::text[])["r"."event" + 1] as "event", (array['detection', 'alert']::text[])["r"."severity" + 1] as "severity", (array['moving', 'stationary']::text[])["r"."motion" + 1] as "motion", "r"."confidence" as "confidence", "r"."top_confidence" as "top_confidence", "r"."object_speed" as "object_speed", "r"."average_object_speed" as "average_object_speed", "r"."velocity_angle" as "velocity_angle", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = 'camera_event' cross join lateral (select * from "reading"."camera_event" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area;
comment on view "city"."latest_camera_event" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", (array[''person'', ''car'', ''motorcycle'', ''bicycle'', ''bus'', ''truck'', ''dog'', ''cat'', ''bird'', ''cow'', ''horse'', ''animal'', ''boat'', ''train'', ''package'', ''fire'', ''smoke'', ''other'']::text[])["r"."object_class" + 1] as "object_class", (array[''new'', ''update'', ''end'']::text[])["r"."event" + 1] as "event", (array[''detection'', ''alert'']::text[])["r"."severity" + 1] as "severity", (array[''moving'', ''stationary'']::text[])["r"."motion" + 1] as "motion", "r"."confidence" as "confidence", "r"."top_confidence" as "top_confidence", "r"."object_speed" as "object_speed", "r"."average_object_speed" as "average_object_speed", "r"."velocity_angle" as "velocity_angle", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = ''camera_event'' cross join lateral (select * from "reading"."camera_event" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area';
create table "reading"."fire_watch" ("time" timestamp with time zone not null, "seq" bigint not null, "received" timestamp with time zone not null, "batch" bigint not null, "boot" bigint, "device" integer not null, "area" smallint not null, "extra" jsonb, "smoke_confidence" double precision, "fire_confidence" double precision, "heat_confidence" double precision, "smoke" double precision, "co" double precision, "temperature" double precision, "hot_spot_temperature" double precision, "latitude" double precision, "longitude" double precision, "relative_humidity" double precision);
select create_hypertable('reading.fire_watch'::regclass, by_range('time', '1 day'::interval), create_default_indexes => false);
create unique index "fire_watch_key" on "reading"."fire_watch" (device, time, seq);
create or replace view "city"."fire_watch" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."smoke_confidence" as "smoke_confidence", "r"."fire_confidence" as "fire_confidence", "r"."heat_confidence" as "heat_confidence", "r"."smoke" as "smoke", "r"."co" as "co", "r"."temperature" as "temperature", "r"."hot_spot_temperature" as "hot_spot_temperature", "r"."latitude" as "latitude", "r"."longitude" as "longitude", "r"."relative_humidity" as "relative_humidity", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."fire_watch" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area;
comment on view "city"."fire_watch" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."smoke_confidence" as "smoke_confidence", "r"."fire_confidence" as "fire_confidence", "r"."heat_confidence" as "heat_confidence", "r"."smoke" as "smoke", "r"."co" as "co", "r"."temperature" as "temperature", "r"."hot_spot_temperature" as "hot_spot_temperature", "r"."latitude" as "latitude", "r"."longitude" as "longitude", "r"."relative_humidity" as "relative_humidity", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."fire_watch" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area';
create or replace view "city"."latest_fire_watch" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."smoke_confidence" as "smoke_confidence", "r"."fire_confidence" as "fire_confidence", "r"."heat_confidence" as "heat_confidence", "r"."smoke" as "smoke", "r"."co" as "co", "r"."temperature" as "temperature", "r"."hot_spot_temperature" as "hot_spot_temperature", "r"."latitude" as "latitude", "r"."longitude" as "longitude", "r"."relative_humidity" as "relative_humidity", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = 'fire_watch' cross join lateral (select * from "reading"."fire_watch" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area;
comment on view "city"."latest_fire_watch" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."smoke_confidence" as "smoke_confidence", "r"."fire_confidence" as "fire_confidence", "r"."heat_confidence" as "heat_confidence", "r"."smoke" as "smoke", "r"."co" as "co", "r"."temperature" as "temperature", "r"."hot_spot_temperature" as "hot_spot_temperature", "r"."latitude" as "latitude", "r"."longitude" as "longitude", "r"."relative_humidity" as "relative_humidity", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = ''fire_watch'' cross join lateral (select * from "reading"."fire_watch" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area';
create table "reading"."meter" ("time" timestamp with time zone not null, "seq" bigint not null, "received" timestamp with time zone not null, "batch" bigint not null, "boot" bigint, "device" integer not null, "area" smallint not null, "extra" jsonb, "total_active_energy_import" double precision, "total_active_energy_export" double precision, "active_power" double precision, "reactive_power" double precision, "voltage" double precision, "current" double precision, "frequency" double precision, "power_factor" double precision, "temperature" double precision);
select create_hypertable('reading.meter'::regclass, by_range('time', '1 day'::interval), create_default_indexes => false);
create unique index "meter_key" on "reading"."meter" (device, time, seq);
create or replace view "city"."meter" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."total_active_energy_import" as "total_active_energy_import", "r"."total_active_energy_export" as "total_active_energy_export", "r"."active_power" as "active_power", "r"."reactive_power" as "reactive_power", "r"."voltage" as "voltage", "r"."current" as "current", "r"."frequency" as "frequency", "r"."power_factor" as "power_factor", "r"."temperature" as "temperature", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."meter" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area;
comment on view "city"."meter" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."total_active_energy_import" as "total_active_energy_import", "r"."total_active_energy_export" as "total_active_energy_export", "r"."active_power" as "active_power", "r"."reactive_power" as "reactive_power", "r"."voltage" as "voltage", "r"."current" as "current", "r"."frequency" as "frequency", "r"."power_factor" as "power_factor", "r"."temperature" as "temperature", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."meter" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area';
create or replace view "city"."latest_meter" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."total_active_energy_import" as "total_active_energy_import", "r"."total_active_energy_export" as "total_active_energy_export", "r"."active_power" as "active_power", "r"."reactive_power" as "reactive_power", "r"."voltage" as "voltage", "r"."current" as "current", "r"."frequency" as "frequency", "r"."power_factor" as "power_factor", "r"."temperature" as "temperature", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = 'meter' cross join lateral (select * from "reading"."meter" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area;
comment on view "city"."latest_meter" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."total_active_energy_import" as "total_active_energy_import", "r"."total_active_energy_export" as "total_active_energy_export", "r"."active_power" as "active_power", "r"."reactive_power" as "reactive_power", "r"."voltage" as "voltage", "r"."current" as "current", "r"."frequency" as "frequency", "r"."power_factor" as "power_factor", "r"."temperature" as "temperature", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = ''meter'' cross join lateral (select * from "reading"."meter" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area';
create table "reading"."traffic_flow" ("time" timestamp with time zone not null, "seq" bigint not null, "received" timestamp with time zone not null, "batch" bigint not null, "boot" bigint, "device" integer not null, "area" smallint not null, "extra" jsonb, "intensity" double precision, "period_s" double precision, "occupancy" double precision, "average_vehicle_speed" double precision, "average_headway_time" double precision, "average_vehicle_length" double precision);
select create_hypertable('reading.traffic_flow'::regclass, by_range('time', '1 day'::interval), create_default_indexes => false);
create unique index "traffic_flow_key" on "reading"."traffic_flow" (device, time, seq);
create or replace view "city"."traffic_flow" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."intensity" as "intensity", "r"."period_s" as "period_s", "r"."occupancy" as "occupancy", "r"."average_vehicle_speed" as "average_vehicle_speed", "r"."average_headway_time" as "average_headway_time", "r"."average_vehicle_length" as "average_vehicle_length", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."traffic_flow" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area;
comment on view "city"."traffic_flow" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."intensity" as "intensity", "r"."period_s" as "period_s", "r"."occupancy" as "occupancy", "r"."average_vehicle_speed" as "average_vehicle_speed", "r"."average_headway_time" as "average_headway_time", "r"."average_vehicle_length" as "average_vehicle_length", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."traffic_flow" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area';
create or replace view "city"."latest_traffic_flow" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."intensity" as "intensity", "r"."period_s" as "period_s", "r"."occupancy" as "occupancy", "r"."average_vehicle_speed" as "average_vehicle_speed", "r"."average_headway_time" as "average_headway_time", "r"."average_vehicle_length" as "average_vehicle_length", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = 'traffic_flow' cross join lateral (select * from "reading"."traffic_flow" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area;
comment on view "city"."latest_traffic_flow" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."intensity" as "intensity", "r"."period_s" as "period_s", "r"."occupancy" as "occupancy", "r"."average_vehicle_speed" as "average_vehicle_speed", "r"."average_headway_time" as "average_headway_time", "r"."average_vehicle_length" as "average_vehicle_length", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = ''traffic_flow'' cross join lateral (select * from "reading"."traffic_flow" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area';
create table "reading"."water_level" ("time" timestamp with time zone not null, "seq" bigint not null, "received" timestamp with time zone not null, "batch" bigint not null, "boot" bigint, "device" integer not null, "area" smallint not null, "extra" jsonb, "water_level" double precision, "flow" double precision, "rain" double precision, "temperature" double precision, "battery_voltage" double precision);
select create_hypertable('reading.water_level'::regclass, by_range('time', '1 day'::interval), create_default_indexes => false);
create unique index "water_level_key" on "reading"."water_level" (device, time, seq);
create or replace view "city"."water_level" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."water_level" as "water_level", "r"."flow" as "flow", "r"."rain" as "rain", "r"."temperature" as "temperature", "r"."battery_voltage" as "battery_voltage", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."water_level" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area;
comment on view "city"."water_level" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."water_level" as "water_level", "r"."flow" as "flow", "r"."rain" as "rain", "r"."temperature" as "temperature", "r"."battery_voltage" as "battery_voltage", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."water_level" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area';
create or replace view "city"."latest_water_level" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."water_level" as "water_level", "r"."flow" as "flow", "r"."rain" as "rain", "r"."temperature" as "temperature", "r"."battery_voltage" as "battery_voltage", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = 'water_level' cross join lateral (select * from "reading"."water_level" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area;
comment on view "city"."latest_water_level" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."water_level" as "water_level", "r"."flow" as "flow", "r"."rain" as "rain", "r"."temperature" as "temperature", "r"."battery_voltage" as "battery_voltage", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = ''water_level'' cross join lateral (select * from "reading"."water_level" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area';
create table "reading"."weather" ("time" timestamp with time zone not null, "seq" bigint not null, "received" timestamp with time zone not null, "batch" bigint not null, "boot" bigint, "device" integer not null, "area" smallint not null, "extra" jsonb, "temperature" double precision, "relative_humidity" double precision, "wind_speed" double precision, "wind_direction" double precision, "precipitation" double precision, "atmospheric_pressure" double precision);
select create_hypertable('reading.weather'::regclass, by_range('time', '1 day'::interval), create_default_indexes => false);
create unique index "weather_key" on "reading"."weather" (device, time, seq);
create or replace view "city"."weather" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."temperature" as "temperature", "r"."relative_humidity" as "relative_humidity", "r"."wind_speed" as "wind_speed", "r"."wind_direction" as "wind_direction", "r"."precipitation" as "precipitation", "r"."atmospheric_pressure" as "atmospheric_pressure", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."weather" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area;
comment on view "city"."weather" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."temperature" as "temperature", "r"."relative_humidity" as "relative_humidity", "r"."wind_speed" as "wind_speed", "r"."wind_direction" as "wind_direction", "r"."precipitation" as "precipitation", "r"."atmospheric_pressure" as "atmospheric_pressure", r.extra as "extra", r.boot as "boot", r.batch as "batch" from "reading"."weather" r join registry.device d on d.id = r.device join registry.area a on a.id = r.area';
create or replace view "city"."latest_weather" as select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."temperature" as "temperature", "r"."relative_humidity" as "relative_humidity", "r"."wind_speed" as "wind_speed", "r"."wind_direction" as "wind_direction", "r"."precipitation" as "precipitation", "r"."atmospheric_pressure" as "atmospheric_pressure", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = 'weather' cross join lateral (select * from "reading"."weather" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area;
comment on view "city"."latest_weather" is 'select r.time as "time", d.device as "device", a.code as "area", r.seq as "seq", r.received as "received", "r"."temperature" as "temperature", "r"."relative_humidity" as "relative_humidity", "r"."wind_speed" as "wind_speed", "r"."wind_direction" as "wind_direction", "r"."precipitation" as "precipitation", "r"."atmospheric_pressure" as "atmospheric_pressure", r.extra as "extra", r.boot as "boot", r.batch as "batch", now() as "as_of" from registry.device d join registry.profile p on p.id = d.profile and p.family = ''weather'' cross join lateral (select * from "reading"."weather" n where n.device = d.id order by n.time desc, n.seq desc limit 1) r join registry.area a on a.id = r.area';
create or replace view "city"."device" as select d.device as "device", p.profile as "profile", p.family as "family", a.code as "area", d.name as "name", d.lat as "lat", d.lon as "lon", d.state as "state", l.received as "last_seen", l.seq as "last_seq", o.online as "online" from registry.device d join registry.profile p on p.id = d.profile join registry.area a on a.id = d.area left join ops.presence o on o.device = d.id left join lateral ((select n.received, n.seq from "reading"."air_quality" n where p.family = 'air_quality' and n.device = d.id order by n.time desc, n.seq desc limit 1) union all (select n.received, n.seq from "reading"."camera_event" n where p.family = 'camera_event' and n.device = d.id order by n.time desc, n.seq desc limit 1) union all (select n.received, n.seq from "reading"."fire_watch" n where p.family = 'fire_watch' and n.device = d.id order by n.time desc, n.seq desc limit 1) union all (select n.received, n.seq from "reading"."meter" n where p.family = 'meter' and n.device = d.id order by n.time desc, n.seq desc limit 1) union all (select n.received, n.seq from "reading"."traffic_flow" n where p.family = 'traffic_flow' and n.device = d.id order by n.time desc, n.seq desc limit 1) union all (select n.received, n.seq from "reading"."water_level" n where p.family = 'water_level' and n.device = d.id order by n.time desc, n.seq desc limit 1) union all (select n.received, n.seq from "reading"."weather" n where p.family = 'weather' and n.device = d.id order by n.time desc, n.seq desc limit 1)) l on true;
comment on view "city"."device" is 'select d.device as "device", p.profile as "profile", p.family as "family", a.code as "area", d.name as "name", d.lat as "lat", d.lon as "lon", d.state as "state", l.received as "last_seen", l.seq as "last_seq", o.online as "online" from registry.device d join registry.profile p on p.id = d.profile join registry.area a on a.id = d.area left join ops.presence o on o.device = d.id left join lateral ((select n.received, n.seq from "reading"."air_quality" n where p.family = ''air_quality'' and n.device = d.id order by n.time desc, n.seq desc limit 1) union all (select n.received, n.seq from "reading"."camera_event" n where p.family = ''camera_event'' and n.device = d.id order by n.time desc, n.seq desc limit 1) union all (select n.received, n.seq from "reading"."fire_watch" n where p.family = ''fire_watch'' and n.device = d.id order by n.time desc, n.seq desc limit 1) union all (select n.received, n.seq from "reading"."meter" n where p.family = ''meter'' and n.device = d.id order by n.time desc, n.seq desc limit 1) union all (select n.received, n.seq from "reading"."traffic_flow" n where p.family = ''traffic_flow'' and n.device = d.id order by n.time desc, n.seq desc limit 1) union all (select n.received, n.seq from "reading"."water_level" n where p.family = ''water_level'' and n.device = d.id order by n.time desc, n.seq desc limit 1) union all (select n.received, n.seq from "reading"."weather" n where p.family = ''weather'' and n.device = d.id order by n.time desc, n.seq desc limit 1)) l on true';


-- catalogue
insert into registry.area (id, code, name_vi, name_en, province, people_2019, people_2030, lat, lon) values
(58, '058', 'TP Bắc Kạn', 'Bac Kan City', 'bac-kan', 45036, 46685, 22.13316, 105.84644),
(60, '060', 'Pác Nặm', 'Pac Nam', 'bac-kan', 33439, 34663, 22.60463, 105.66572),
(61, '061', 'Ba Bể', 'Ba Be', 'bac-kan', 48325, 50094, 22.40468, 105.7389),
(62, '062', 'Ngân Sơn', 'Ngan Son', 'bac-kan', 29269, 30341, 22.41921, 106.00172),
(63, '063', 'Bạch Thông', 'Bach Thong', 'bac-kan', 31061, 32198, 22.25008, 105.8517),
(64, '064', 'Chợ Đồn', 'Cho Don', 'bac-kan', 49554, 51368, 22.18681, 105.56996),
(65, '065', 'Chợ Mới', 'Cho Moi', 'bac-kan', 38958, 40384, 21.98231, 105.84757),
(66, '066', 'Na Rì', 'Na Ri', 'bac-kan', 38263, 39664, 22.16815, 106.083),
(213, '213', 'TP Bắc Giang', 'Bac Giang City', 'bac-giang', 174229, 180608, 21.27539, 106.19555),
(215, '215', 'Yên Thế', 'Yen The', 'bac-giang', 101135, 104838, 21.52189, 106.1328),
(216, '216', 'Tân Yên', 'Tan Yen', 'bac-giang', 177265, 183755, 21.38793, 106.10191),
(217, '217', 'Lạng Giang', 'Lang Giang', 'bac-giang', 216996, 224941, 21.37718, 106.25054),
(218, '218', 'Lục Nam', 'Luc Nam', 'bac-giang', 226194, 234476, 21.28369, 106.4614),
(219, '219', 'Lục Ngạn', 'Luc Ngan', 'bac-giang', 226540, 234835, 21.43884, 106.6389),
(220, '220', 'Sơn Động', 'Son Dong', 'bac-giang', 76106, 78893, 21.31025, 106.85136),
(221, '221', 'Yên Dũng', 'Yen Dung', 'bac-giang', 152125, 157695, 21.20973, 106.25088),
(222, '222', 'Việt Yên', 'Viet Yen', 'bac-giang', 205900, 213439, 21.27483, 106.0883),
(223, '223', 'Hiệp Hòa', 'Hiep Hoa', 'bac-giang', 247460, 256521, 21.32514, 105.96489);
insert into registry.unit (code, level, name, parent, area, valid_from, valid_to, successor, source) values
('213', 'district', 'Thành phố Bắc Giang', '24', 213, '2020-01-01'::date, '2024-12-31'::date, '213', 'list'),
('213', 'district', 'Thành phố Bắc Giang', '24', 213, '2025-01-01'::date, '2025-06-30'::date, NULL, 'map'),
('24', 'province', 'Tỉnh Bắc Giang', NULL, NULL, '2020-01-01'::date, '2025-06-30'::date, '24', 'list'),
('24', 'province', 'Tỉnh Bắc Ninh', NULL, NULL, '2025-07-01'::date, NULL, NULL, 'map');
insert into registry.target (year, low, high, source) values
(2025, 75, 100, 'S0'),
(2030, 150, 200, 'S0');
insert into registry.profile (id, profile, family, title_vi, title_en, interval_s) overriding system value values
(1, 'frigate-event', 'camera_event', 'Sự kiện Frigate', 'Frigate event', 10.0),
(2, 'native-air-quality', 'air_quality', 'Trạm đo không khí (định dạng của nền tảng)', 'Air quality station (native format)', 60.0),
(3, 'native-camera-event', 'camera_event', 'Camera phân tích (định dạng của nền tảng)', 'Analytics camera (native format)', 10.0),
(4, 'native-fire-watch', 'fire_watch', 'Cảm biến cháy rừng (định dạng của nền tảng)', 'Forest-fire sensor (native format)', 60.0),
(5, 'native-meter', 'meter', 'Công tơ điện (định dạng của nền tảng)', 'Electricity meter (native format)', 900.0),
(6, 'native-traffic-flow', 'traffic_flow', 'Đếm xe (định dạng của nền tảng)', 'Traffic counter (native format)', 60.0),
(7, 'native-water-level', 'water_level', 'Trạm đo mực nước (định dạng của nền tảng)', 'Water level gauge (native format)', 300.0),
(8, 'native-weather', 'weather', 'Trạm thời tiết (định dạng của nền tảng)', 'Weather station (native format)', 60.0),
(9, 'ngsi-air-quality-observed', 'air_quality', 'Chất lượng không khí NGSI (AirQualityObserved)', 'NGSI AirQualityObserved', 3600.0),
(10, 'ngsi-traffic-flow-observed', 'traffic_flow', 'Lưu lượng giao thông NGSI (TrafficFlowObserved)', 'NGSI TrafficFlowObserved', 300.0),
(11, 'ngsi-water-observed', 'water_level', 'Mực nước NGSI (WaterObserved)', 'NGSI WaterObserved', 900.0),
(12, 'ngsi-weather-observed', 'weather', 'Thời tiết NGSI (WeatherObserved)', 'NGSI WeatherObserved', 3600.0),
(13, 'shelly-gen3', 'meter', 'Shelly thế hệ 2–4', 'Shelly generation 2 to 4', 60.0);
select setval(pg_get_serial_sequence('registry.profile', 'id'), (select max(id) from registry.profile));


-- records of the migrations
reset role;
insert into public.dothi_migration (name, sha256) values ('devices/0001_registry.sql', '7786ad81cfe31ddd2af4cdf4fffaf3dab0809e8974dc57d11c096e1185e3a901');
insert into public.dothi_migration (name, sha256) values ('ingest/0002_ops.sql', '52b01cac3a47817ac55b77d1095a3bbf09ab196461b27a5b010b3ee6aa1ccb35');
insert into public.dothi_migration (name, sha256) values ('analytics/0003_alarm.sql', 'c7564df0525dacdc40f4aa8e4ae09ba8d589107d48a27858dbcda92845dfdbea');
