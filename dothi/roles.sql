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
