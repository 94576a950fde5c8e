-- The five roles, before any schema. Roles belong to the whole cluster, so another database may have made them already.
-- Everything here is done only where it is not so yet: a second run changes nothing.
do $$
declare
    name text;
begin
    foreach name in array array['dothi_admin', 'dothi_writer', 'dothi_analyst', 'dothi_reader', 'dothi_operator'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin', name);
        end if;
    end loop;
    -- So that what runs as dothi_admin sees what readers do, and may stop it (ops.stop_readers).
    if not pg_has_role('dothi_admin', 'dothi_reader', 'usage') then
        grant dothi_reader to dothi_admin;
    end if;
    -- Staff read what readers do, and act on alarms besides.
    if not pg_has_role('dothi_operator', 'dothi_reader', 'usage') then
        grant dothi_reader to dothi_operator;
    end if;
    -- Nobody ends a session of a role that he is no member of: ops.stop_readers watches staff as it does readers.
    if not pg_has_role('dothi_admin', 'dothi_operator', 'usage') then
        grant dothi_operator to dothi_admin;
    end if;
end
$$;

-- What a reader finds set when it comes. It may set all of this otherwise: what holds is ops.stop_readers.
-- The rows of a device lie a page each: where many are asked for, they are to be fetched from the disk side by side, which
-- the server does only of a bitmap of pages.
do $$
declare
    wanted text[] := array['default_transaction_read_only=on', 'statement_timeout=30s',
                           'idle_in_transaction_session_timeout=60s', 'transaction_timeout=120s',
                           'random_page_cost=2', 'effective_io_concurrency=64'];
    present text[] := (select setconfig from pg_db_role_setting
                       where setrole = 'dothi_reader'::regrole and setdatabase = 0);
    one text;
begin
    foreach one in array wanted loop
        if not one = any(coalesce(present, '{}'))
           and exists (select from pg_settings where name = split_part(one, '=', 1)) then
            execute format('alter role dothi_reader set %s = %L', split_part(one, '=', 1), split_part(one, '=', 2));
        end if;
    end loop;
    if (select rolconnlimit from pg_roles where rolname = 'dothi_reader') <> 40 then
        alter role dothi_reader connection limit 40;
    end if;
end
$$;

-- Temporary tables are for those who write; PostgreSQL gives them to everyone.
do $$
begin
    if exists (select from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a
               where datname = current_database() and a.grantee = 0 and a.privilege_type = 'TEMPORARY') then
        execute format('revoke temporary on database %I from public', current_database());
    end if;
end
$$;
