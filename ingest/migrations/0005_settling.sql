-- What proves how each reading ended: the last batch of each worker, quotas of quarantine, progress of devices that ask
-- to be told, and where each consumer of batches stands.

create table ops.committed (
    worker smallint primary key,
    batch bigint not null
) with (fillfactor = 50);
comment on table ops.committed is
    'The newest batch that each worker has committed. It answers for a COMMIT without an answer; transaction ids cannot, since a crashed server may give an unflushed one out again.';

alter table ops.ledger add column cut bigint not null default 0;
comment on column ops.ledger.cut is 'Of the quarantined: those that the quota did not let be kept.';
create or replace view city.ledger as
select minute, inbox, received, stored, duplicate, quarantined, partial, cut from ops.ledger;

create table ops.quarantine_quota (
    day date not null,
    claimed text not null,
    total bigint not null,
    kept bigint not null,
    stranger boolean not null,
    primary key (day, claimed)
) with (fillfactor = 50);
create index quarantine_quota_stranger on ops.quarantine_quota (day) where stranger;
comment on table ops.quarantine_quota is
    'Quarantined readings by day of receipt (Asia/Ho_Chi_Minh) and claimed device id; unknown ids beyond a number share the line of the empty id.';
create view city.quarantine_quota as
select day, claimed as device, total, kept, total - kept as cut from ops.quarantine_quota;

create table ops.settled (
    device integer not null,
    boot bigint not null,
    seqs int8multirange not null,
    at timestamptz not null default now(),
    primary key (device, boot)
) with (fillfactor = 70);
comment on table ops.settled is 'What is settled of devices that ask for acknowledgements; boot -1: the device sends none.';

create table ops.consumer (
    consumer text primary key,
    xid xid8 not null,
    at timestamptz not null default now()
);
comment on table ops.consumer is 'Every batch up to this transaction has been taken by the consumer.';

create function ops.take_batches(consumer text, most integer default 1000) returns setof ops.batch
language plpgsql as $$
#variable_conflict use_column
declare
    taken xid8;
    last xid8;
begin
    insert into ops.consumer (consumer, xid) values ($1, '0') on conflict do nothing;
    select c.xid into taken from ops.consumer c where c.consumer = $1 for update;
    -- Below the snapshot's xmin every transaction has ended: nothing can commit behind our back any more.
    select n.xid into last from (
        select b.xid from ops.batch b where b.xid > taken and b.xid < pg_snapshot_xmin(pg_current_snapshot())
        order by b.xid limit $2
    ) n order by n.xid desc limit 1;
    if last is null then
        return;
    end if;
    update ops.consumer c set xid = last, at = now() where c.consumer = $1;
    return query select b.* from ops.batch b where b.xid > taken and b.xid <= last order by b.xid, b.batch, b.family;
end
$$;
comment on function ops.take_batches is
    'The next batches (about as many rows as asked for, whole transactions) of a consumer, each exactly once, in an order that late commits cannot upset. '
    'The position moves with the caller''s transaction: roll back and they come again. Keep that transaction short, for it holds other consumers back.';

grant select, insert, update on ops.committed, ops.quarantine_quota, ops.settled to dothi_writer;
grant select, insert, update on ops.consumer to dothi_analyst;
