-- Newest values: what the analyst keeps of each device. The tables, one per family, are made by the reconciler.
create unlogged table rollup.newest_state (
    one boolean primary key default true check (one),
    next integer not null,
    complete boolean not null,
    as_of timestamptz
) with (fillfactor = 50);
comment on table rollup.newest_state is
    'Whether rollup.newest_<family> holds every device (then views read it; else they ask the readings), and which device a rebuild comes to next. '
    'Unlogged like those tables: a crash of the server empties them all together, and the views are right without them.';

alter default privileges in schema rollup grant select, insert, update, delete, truncate on tables to dothi_analyst;
grant select, insert, update, delete, truncate on rollup.newest_state to dothi_analyst;

create function ops.index_batches(family text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
declare
    wanted regclass;
    ranges bigint := 0;
begin
    for wanted in
        select i.oid::regclass
        from (select format('%I.%I', c.chunk_schema, c.chunk_name)::regclass as chunk
              from timescaledb_information.chunks c
              where c.hypertable_schema = 'reading' and c.hypertable_name = $1
              order by c.range_end desc limit 2) k
        join pg_index x on x.indrelid = k.chunk
        join pg_class i on i.oid = x.indexrelid
        join pg_am m on m.oid = i.relam and m.amname = 'brin'
    loop
        ranges := ranges + brin_summarize_new_values(wanted);
    end loop;
    return ranges;
exception when lock_not_available then
    return ranges;
end
$$;
comment on function ops.index_batches is
    'Let the index on batch take in the newest pages of a family; autovacuum does so as well, but late. Gives way where a vacuum is at work: it does the same.';
revoke all on function ops.index_batches from public;
grant execute on function ops.index_batches to dothi_analyst;
