-- A consumer waited for every transaction that had an id when it looked: an index that was made for ten seconds held back
-- all that was stored meanwhile. Now it waits for those alone that may write a batch. Whoever may not, by its rights and
-- by those of the roles that it may take on, can commit none behind our back; a transaction of which nobody is known is
-- waited for as before.
create or replace function ops.take_batches(consumer text, most integer default 1000) returns setof ops.batch
language plpgsql as $$
#variable_conflict use_column
declare
    taken xid8;
    last xid8;
    border xid8;
    seen pg_snapshot;
begin
    insert into ops.consumer (consumer, xid) values ($1, '0') on conflict do nothing;
    select c.xid into taken from ops.consumer c where c.consumer = $1 for update;
    seen := pg_current_snapshot();
    -- Below the border every transaction that may write a batch has ended, and the statements below see what it wrote,
    -- for their snapshots are not older. A lock on its own id is what names the session of a transaction.
    select coalesce(min(x.xid), pg_snapshot_xmax(seen)) into border
    from pg_snapshot_xip(seen) x (xid)
    where not exists (
        select from pg_locks l join pg_stat_activity a on a.pid = l.pid
        where l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted
          and l.transactionid = x.xid::xid
          and (a.datname <> current_database()  -- whatever it is
               or a.usesysid is not null and not exists (
                   select from pg_roles r
                   where has_table_privilege(r.oid, 'ops.batch', 'insert') and pg_has_role(a.usesysid, r.oid, 'member'))));
    select n.xid into last from (
        select b.xid from ops.batch b where b.xid > taken and b.xid < border order by b.xid limit $2
    ) n order by n.xid desc limit 1;
    if last is null then
        return;
    end if;
    update ops.consumer c set xid = last, at = now() where c.consumer = $1;
    return query select b.* from ops.batch b where b.xid > taken and b.xid <= last order by b.xid, b.batch, b.family;
end
$$;

-- What boards show has a place of its own in the stream now; it goes on from where both were.
insert into ops.consumer (consumer, xid, at) select 'boards', c.xid, c.at from ops.consumer c where c.consumer = 'analyst'
on conflict do nothing;
