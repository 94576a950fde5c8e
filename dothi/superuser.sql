-- What only a superuser can close: things that PostgreSQL and TimescaleDB open to everyone. Done where it is not so yet.
-- Without it dothi_reader still writes no table of ours; it could take advisory locks, fill the disk with temporary files
-- or large objects, write to the WAL, and hold back consumers of batches with a transaction id of its own.
do $$
declare
    trusted constant text := 'dothi_admin, dothi_writer, dothi_analyst';
    closed record;
begin
    -- So that the keeper has the indexes of the last day read into memory before somebody waits for them.
    if exists (select from pg_available_extensions where name = 'pg_prewarm' and installed_version is null) then
        create extension pg_prewarm schema public;
        revoke execute on function pg_prewarm, autoprewarm_start_worker, autoprewarm_dump_now from public;
        grant execute on function pg_prewarm to dothi_admin;
    end if;
    for closed in
        select p.oid::regprocedure as signature, case p.prokind when 'p' then 'procedure' else 'function' end as kind
        from pg_proc p
        where exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)
          and (p.pronamespace = 'pg_catalog'::regnamespace
                 and (p.proname like any (array['lo\_%', 'pg\_advisory\_%', 'pg\_try\_advisory\_%'])
                      or p.proname in ('loread', 'lowrite',                              -- large objects
                                       'pg_current_xact_id', 'txid_current',             -- a transaction id
                                       'pg_logical_emit_message',                        -- writes to the WAL
                                       'pg_export_snapshot',                             -- writes a file
                                       'pg_notify',
                                       'pg_cancel_backend', 'pg_terminate_backend'))     -- ends others of the same role
               or p.provolatile = 'v'
                 and exists (select from pg_depend d join pg_extension e on e.oid = d.refobjid
                             where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
                               and e.extname = 'timescaledb')
                 and p.prorettype not in ('trigger'::regtype, 'table_am_handler'::regtype)
                 and case when p.pronamespace in (select oid from pg_namespace where nspname like '\_timescaledb\_%')
                     -- the planner itself looks up and calls what is in there: only what changes something is closed
                     then p.proname ~ ('^(create|drop|freeze|unfreeze|attach|alter|remove|repair|recompress|policy'
                                       '|cagg_migrate|chunk_index|chunk_constraint|constraint_clone|hypertable_osm)_?'
                                       '|_background_workers$')
                     else p.proname !~ 'gapfill|^locf$|^interpolate$|_size$|^approximate_row_count$' end)
    loop
        execute format('revoke execute on %s %s from public', closed.kind, closed.signature);
        execute format('grant execute on %s %s to %s', closed.kind, closed.signature, trusted);
    end loop;
    if exists (select from pg_namespace n, aclexplode(n.nspacl) a
               where n.nspname = 'public' and a.grantee = 0 and a.privilege_type = 'CREATE') then
        revoke create on schema public from public;  -- as databases made before PostgreSQL 15 have it
    end if;
    if not coalesce((select 'temp_file_limit=1GB' = any(setconfig) from pg_db_role_setting
                     where setrole = 'dothi_reader'::regrole and setdatabase = 0), false) then
        alter role dothi_reader set temp_file_limit = '1GB';
    end if;
    if not has_parameter_privilege('dothi_admin', 'deadlock_timeout', 'set') then
        grant set on parameter deadlock_timeout to dothi_admin;  -- so that autovacuum gives way to a short change at once
    end if;
    if not pg_has_role('dothi_admin', 'pg_read_all_stats', 'usage') then
        grant pg_read_all_stats to dothi_admin;  -- names whoever holds a lock that a migration waits for
    end if;
end
$$;
