-- Rows for the first schema: what a small city had written, relative to now so that no retention takes them.
set role dothi_admin;

insert into registry.device (device, profile, area, name, lat, lon, state)
select p.profile || '-' || n, p.id, (array[213, 215, 61])[n], 'Trạm ' || n, 21.2 + n / 100.0, 106.1,
       case n when 3 then 'retired' else 'active' end
from registry.profile p, generate_series(1, 3) n;
insert into registry.alias (route, foreign_id, device)
select 'ngsi', 'urn:ngsi-ld:Device:' || id, id from registry.device where device like 'ngsi-%';

-- Five days of every family, an hour between readings, written by one batch a day.
do $$
declare
    hypertable text;
    metrics text;
    numbers text;
begin
    for hypertable in select table_name from information_schema.tables where table_schema = 'reading' loop
        select string_agg(quote_ident(column_name), ', ' order by ordinal_position),
               string_agg(case data_type when 'smallint' then 'r.n % 2' else 'd.id + r.n / 10.0' end, ', '
                          order by ordinal_position)
        into metrics, numbers
        from information_schema.columns
        where table_schema = 'reading' and table_name = hypertable
          and column_name not in ('time', 'seq', 'received', 'batch', 'boot', 'device', 'area', 'extra');
        execute format(
            'insert into reading.%I (time, seq, received, batch, boot, device, area, extra, %s) '
            'select r.at, r.n, r.at + interval ''1 s'', r.n / 24 + 1, case when d.id %% 2 = 0 then 7 end, d.id, d.area, '
            'case when r.n %% 24 = 0 then ''{"battery": 0.5}''::jsonb end, %s '
            'from registry.device d join registry.profile p on p.id = d.profile and p.family = %L, '
            '(select n, date_trunc(''hour'', now()) - n * interval ''1 hour'' as at from generate_series(0, 119) n) r',
            hypertable, metrics, numbers, hypertable);
        execute format(
            'insert into ops.batch (batch, family, worker, time_min, time_max, rows) '
            'select batch, %L, 0, min(time), max(time), count(*) from reading.%I group by batch', hypertable, hypertable);
    end loop;
end
$$;
select setval('ops.batch_id', 5);

insert into ops.ledger (minute, inbox, received, stored, duplicate, quarantined, partial)
select date_trunc('hour', now()) - n * interval '1 hour', '213', 45, 40, 3, 2, 1 from generate_series(0, 119) n;
insert into ops.quarantine (received, batch, inbox, topic, payload, sha256, size, device, profile, layer, reason, detail)
select now() - n * interval '6 hours', 1, '213', 'dothi/v1/213/stranger/up', payload, sha256(payload), length(payload),
       case n % 2 when 0 then 'native-weather-1' end, null, 'codec', 'not_json', 'not JSON'
from generate_series(0, 59) n, lateral (select convert_to('not json ' || n, 'UTF8') as payload) p;
insert into ops.presence (device, online, since) select id, id % 2 = 0, now() - interval '1 day' from registry.device;
insert into ops.event (time, kind, severity, inbox, message, detail)
select now() - n * interval '1 hour', 'session_lost', 'major', '213', 'the broker had no session', '{"from": "then"}'
from generate_series(1, 5) n;
insert into ops.worker (worker, pid, at, received, in_flight, lag_s, rate_per_s) values (0, 1, now(), 5000, 0, 0, 0);
insert into ops.alarm (kind, severity, device, area, raised, cleared, value, message)
select 'level_high', 'major', id, area, now() - interval '2 days', case id % 2 when 0 then now() end, 4.2, 'nước cao'
from registry.device;
reset role;
