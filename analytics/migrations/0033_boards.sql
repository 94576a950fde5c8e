-- What boards show of single devices and of the platform itself, and what `up` writes down for that.

create view city.profile as select profile, family, title_vi, title_en, interval_s from registry.profile;
comment on view city.profile is 'What device models send: family, title, seconds between two readings.';

create table ops.process_sample (
    at timestamptz not null,
    process text not null,
    cpu_s double precision not null check (cpu_s >= 0),
    cores double precision,
    memory_bytes bigint not null check (memory_bytes >= 0),
    primary key (process, at)
);
create index process_sample_at on ops.process_sample using brin (at);
comment on table ops.process_sample is
    'What each part of the stack has used, every 15 seconds: CPU seconds, cores in use since the look before (null after a restart), memory with shared pages once.';

create table ops.disk_sample (
    at timestamptz primary key,
    free_bytes bigint not null check (free_bytes >= 0),
    total_bytes bigint not null check (total_bytes > 0)
);
comment on table ops.disk_sample is 'Space on the disk of the stack, every 15 seconds.';

create table ops.flow_sample (
    at timestamptz primary key,
    rate_per_s double precision not null,
    in_flight bigint not null,
    lag_s double precision not null,
    behind_s double precision,
    broker_messages bigint not null,
    broker_dropped bigint not null
);
comment on table ops.flow_sample is
    'The stream every 15 seconds: readings per second, messages on their way, how far ingest and (behind_s) newest values lag, messages that brokers hold, and have dropped since their start.';

create function ops.note_sample(
    parts jsonb, free_bytes bigint, total_bytes bigint, broker_messages bigint, broker_dropped bigint
) returns void
language plpgsql security definer set search_path = '' as $$
declare
    kept constant interval := '7 days';
begin
    insert into ops.process_sample (at, process, cpu_s, cores, memory_bytes)
    select now(), p.process, p.cpu_s,
           case when p.cpu_s >= b.cpu_s then (p.cpu_s - b.cpu_s) / extract(epoch from now() - b.at) end, p.memory_bytes
    from jsonb_to_recordset(parts) p(process text, cpu_s double precision, memory_bytes bigint)
    left join lateral (
        select o.at, o.cpu_s from ops.process_sample o
        where o.process = p.process and o.at < now() and o.at > now() - interval '2 minutes' order by o.at desc limit 1
    ) b on true
    on conflict do nothing;
    insert into ops.disk_sample (at, free_bytes, total_bytes)
    values (now(), note_sample.free_bytes, note_sample.total_bytes) on conflict do nothing;
    insert into ops.flow_sample (at, rate_per_s, in_flight, lag_s, behind_s, broker_messages, broker_dropped)
    select now(), coalesce(sum(w.rate_per_s), 0), coalesce(sum(w.in_flight), 0), coalesce(max(w.lag_s), 0),
           (select extract(epoch from now() - s.as_of) from rollup.newest_state s),
           note_sample.broker_messages, note_sample.broker_dropped
    from ops.worker w where w.at > now() - interval '5 s' on conflict do nothing;
    if extract(minute from now()) = 0 then
        delete from ops.process_sample s where s.at < now() - kept;
        delete from ops.disk_sample s where s.at < now() - kept;
        delete from ops.flow_sample s where s.at < now() - kept;
    end if;
end
$$;
comment on function ops.note_sample is
    'Writes down what parts use, as [{process, cpu_s, memory_bytes}], the space on disk and the stream; keeps a week of it.';
revoke execute on function ops.note_sample from public;
grant execute on function ops.note_sample to dothi_writer;

create view city.process as
select at, process, cores, memory_bytes from ops.process_sample where cores is not null;
comment on view city.process is
    'What the parts of the stack use: cores in use since the look before (none after a restart), memory in bytes. Kept for a week.';

create view city.disk as select at, free_bytes, total_bytes from ops.disk_sample;
comment on view city.disk is 'Space on the disk of the stack. Kept for a week.';

create view city.flow as
select at, rate_per_s, in_flight, lag_s, behind_s, broker_messages, broker_dropped from ops.flow_sample;
comment on view city.flow is
    'The stream through the platform: readings per second, messages on their way, seconds that ingest (lag_s) and newest values (behind_s) lag, messages that brokers hold, and have dropped since their start. Kept for a week.';

create view city.disk_left as
select n.at, n.free_bytes, n.total_bytes, x.per_day as net_bytes_per_day,
       case when x.per_day > 0 then n.free_bytes / x.per_day end as days_left
from (select * from ops.disk_sample s order by s.at desc limit 1) n
left join lateral (
    select (o.free_bytes - n.free_bytes) * 86400.0 / extract(epoch from n.at - o.at) as per_day
    from ops.disk_sample o
    where o.at >= n.at - interval '1 day' and o.at <= n.at - interval '10 minutes'
    order by o.at limit 1
) x on true;
comment on view city.disk_left is
    'Space on the disk now, what the last day (at least ten minutes) took of it after what retention gave back, and for how many days that leaves room: null where it does not fill or too little was seen.';

create view city.storage as
select k.hypertable_schema::text as schema, k.hypertable_name::text as name, count(*) as chunks,
       sum(pg_total_relation_size(format('%I.%I', k.chunk_schema, k.chunk_name)::regclass))::bigint as bytes,
       min(k.range_start) as oldest, max(k.range_end) as newest
from timescaledb_information.chunks k
where k.hypertable_schema in ('reading', 'rollup', 'ops')
group by 1, 2;
comment on view city.storage is 'Hypertables: chunks, bytes with indexes, and the time that they cover.';

create function city.database_state() returns table (
    bytes bigint, connections integer, most_connections integer, active integer, longest_s double precision,
    waiting_locks integer, cache_hit_share double precision, deadlocks bigint, temporary_bytes bigint, started timestamptz
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select pg_database_size(current_database()), a.connections::integer,
           current_setting('max_connections')::integer, a.active::integer, a.longest_s, a.waiting_locks::integer,
           d.blks_hit::double precision / nullif(d.blks_hit + d.blks_read, 0), d.deadlocks, d.temp_bytes,
           pg_postmaster_start_time()
    from (
        select count(*) as connections, count(*) filter (where s.state = 'active' and s.pid <> pg_backend_pid()) as active,
               greatest(0, max(extract(epoch from now() - s.xact_start)) filter (where s.pid <> pg_backend_pid()))
                   ::double precision as longest_s,
               count(*) filter (where s.wait_event_type = 'Lock') as waiting_locks
        from pg_stat_activity s where s.datname = current_database() and s.backend_type = 'client backend'
    ) a, pg_stat_database d
    where d.datname = current_database()
$$;
comment on function city.database_state is
    'One row about the database: size in bytes, connections and how many there may be, sessions at work, the longest transaction in seconds, sessions that wait for locks, share of pages found in memory.';

create function city.device_readings(device text, since timestamptz, until timestamptz, most integer default 100)
returns table ("time" timestamptz, received timestamptz, seq bigint, boot bigint, metrics jsonb, extra jsonb)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
    wanted registry.device;
begin
    select * into wanted from registry.device d where d.device = device_readings.device;
    if wanted.id is null then
        return;
    end if;
    return query execute format(
        'select r.time, r.received, r.seq, r.boot,
                jsonb_strip_nulls(to_jsonb(r)) - array[''time'', ''device'', ''area'', ''seq'', ''received'', ''boot'', ''batch'', ''extra''],
                r.extra
         from city.%I r where r.device = $1 and r.time >= $2 and r.time <= $3 order by r.time desc, r.seq desc limit $4',
        wanted.family
    ) using wanted.device, since, until, greatest(0, least(most, 5000));
end
$$;
comment on function city.device_readings is
    'The newest readings of a device between two moments, 5,000 at most: its metrics by name (states as words), what came beside them. No such device: no row.';

create function city.device_series(device text, since timestamptz, until timestamptz, step interval)
returns table (bucket timestamptz, metric text, value double precision, low double precision, high double precision)
language plpgsql stable security definer set search_path = '' as $$
#variable_conflict use_column
declare
    wanted registry.device;
    columns text;
    hourly boolean := until - since > interval '4 days';
begin
    select * into wanted from registry.device d where d.device = device_series.device;
    if wanted.id is null then
        return;
    end if;
    select string_agg(format(
               case when hourly then '(%1$L, r.%2$I, r.%3$I, r.%4$I)' else '(%1$L, r.%1$I, r.%1$I, r.%1$I)' end,
               m.metric, m.metric || '_avg', m.metric || '_min', m.metric || '_max'), ', ')
    into columns
    from (
        select a.attname::text as metric from pg_catalog.pg_attribute a
        where a.attrelid = format('city.%I', wanted.family)::regclass and a.attnum > 0
          and a.atttypid in ('real'::regtype, 'double precision'::regtype)
    ) m;
    return query execute format(
        'select public.time_bucket($4, r.%I), m.metric, avg(m.value)::double precision, min(m.low)::double precision,
                max(m.high)::double precision
         from city.%I r cross join lateral (values %s) m(metric, value, low, high)
         where r.device = $1 and r.%1$I >= $2 and r.%1$I <= $3 and m.value is not null
         group by 1, 2 order by 1, 2 limit 20000',
        case when hourly then 'bucket' else 'time' end,
        wanted.family || case when hourly then '_1h' else '' end, columns
    ) using wanted.device, since, until, greatest(step, case when hourly then interval '1 hour' else interval '1 s' end);
end
$$;
comment on function city.device_series is
    'The numbers of a device between two moments in buckets: mean, lowest and highest by metric; beyond four days from its hours. At most 20,000 rows. No such device: no row.';

revoke execute on function city.database_state, city.device_readings, city.device_series from public;
grant execute on function city.database_state, city.device_readings, city.device_series to dothi_reader, dothi_analyst;
