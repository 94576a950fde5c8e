-- New functions are for those to whom they are given, as tables are; and what holds readers who lift their own limits.
alter default privileges revoke execute on functions from public;
revoke execute on all functions in schema registry, reading, rollup, ops, city from public;
alter default privileges in schema city grant execute on functions to dothi_analyst, dothi_reader;
alter default privileges in schema rollup grant execute on functions to dothi_analyst;
grant execute on all functions in schema city to dothi_analyst, dothi_reader;
grant execute on all functions in schema rollup to dothi_analyst;
grant execute on function ops.take_batches to dothi_analyst;
grant temporary on database :database to dothi_analyst;

-- Ingest reads no view.
alter default privileges in schema city revoke select on tables from dothi_writer;
revoke all on all tables in schema city from dothi_writer;
revoke all on all functions in schema city from dothi_writer;
revoke usage on schema city from dothi_writer;

create function ops.stop_readers(
    query_limit interval default '35 s', idle_limit interval default '60 s', transaction_limit interval default '120 s',
    patience interval default '5 s'
) returns setof text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    session record;
    said text;
begin
    for session in
        select distinct on (a.pid) a.pid, a.usename, a.application_name, a.query, f.what,
               round(extract(epoch from f.took)) as took, f.what <> 'query' or f.took > query_limit + patience as ends
        from pg_stat_activity a
        cross join lateral (values
            (1, 'transaction', clock_timestamp() - a.xact_start, transaction_limit, a.state <> 'idle'),
            (2, 'idle transaction', clock_timestamp() - a.state_change, idle_limit, a.state like 'idle in transaction%'),
            (3, 'query', clock_timestamp() - a.query_start, query_limit, a.state in ('active', 'fastpath function call'))
        ) f (rank, what, took, most, applies)
        where a.datname = current_database() and a.backend_type = 'client backend' and f.applies and f.took > f.most
          and pg_has_role(a.usesysid, 'dothi_reader', 'member')
          -- whoever may act as another role as well (a superuser may as all) is no mere reader
          and not pg_has_role(a.usesysid, 'dothi_admin', 'member')
          and not pg_has_role(a.usesysid, 'dothi_writer', 'member')
          and not pg_has_role(a.usesysid, 'dothi_analyst', 'member')
        order by a.pid, f.rank
    loop
        begin
            if session.ends then
                perform pg_terminate_backend(session.pid);
            else
                perform pg_cancel_backend(session.pid);
            end if;
        exception when insufficient_privilege then
            continue;  -- a login of somebody's own making: dothi_admin must be a member of it
        end;
        said := format('%s of %s (%s) after %s s: %s', session.what, session.usename,
                       coalesce(nullif(session.application_name, ''), 'process ' || session.pid), session.took,
                       case when session.ends then 'session ended' else 'cancelled' end);
        return next said;
        -- A reader who comes again and again must not fill the record of events.
        if (select count(*) from ops.event e
            where e.time > now() - interval '1 minute' and e.kind = 'reader_stopped') < 20 then
            insert into ops.event (kind, severity, message, detail)
            values ('reader_stopped', 'warning', said, jsonb_build_object('query', left(session.query, 300)));
        end if;
    end loop;
end
$$;
comment on function ops.stop_readers is
    'Cancels what sessions of dothi_reader (or of logins that are members of it and of no other role here) do beyond the limits, '
    'and ends the session when that does not help. A role may lift its own timeouts; this is what holds all the same. Returns a line for each.';
