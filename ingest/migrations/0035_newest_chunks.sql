-- The newest chunks of a family without a look at all others: the view of chunks is made anew, from every chunk of the
-- database, each time that somebody asks it, and there are tens of thousands where much comes in and memory is small.
create function ops.newest_chunks(family text, most integer) returns setof regclass
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select format('%I.%I', c.schema_name, c.table_name)::regclass
    from _timescaledb_catalog.hypertable h
    join _timescaledb_catalog.dimension d on d.hypertable_id = h.id and d.column_name = 'time'
    cross join lateral (
        select s.id, s.range_start from _timescaledb_catalog.dimension_slice s
        where s.dimension_id = d.id order by s.range_start desc limit $2) s
    join _timescaledb_catalog.chunk_constraint k on k.dimension_slice_id = s.id
    join _timescaledb_catalog.chunk c on c.id = k.chunk_id
    where h.schema_name = 'reading' and h.table_name = $1 and not c.dropped
    order by s.range_start desc
$$;
comment on function ops.newest_chunks is 'The chunks of reading.<family> whose times are the latest, these first.';
revoke all on function ops.newest_chunks from public;

create or replace function ops.index_batches(family text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '50ms' as $$
declare
    wanted regclass;
    ranges bigint := 0;
begin
    for wanted in
        select i.oid::regclass
        from ops.newest_chunks(family, 2) k (chunk)
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
