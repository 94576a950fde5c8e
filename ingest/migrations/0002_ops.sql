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
