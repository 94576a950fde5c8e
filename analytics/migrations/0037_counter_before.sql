-- What a counter said before a time, however long ago. Where it was heard of lately, who asks looks there, and calls
-- this only where nothing is found. Each look names its times as constants: with parameters every chunk of the table
-- would be prepared, and looked into, for every row that is asked about.
create function rollup.counter_before(family text, metric text, device integer, before timestamptz)
returns double precision
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    until timestamptz := before;
    since timestamptz;
    reach interval;
    found double precision;
begin
    foreach reach in array array['6 hours', '4 days', 'infinity']::interval[] loop
        since := before - reach;
        execute format('select q.%1$I from reading.%2$I q where q.device = %3$L and q.time < %4$L and q.time >= %5$L '
            'and q.%1$I is not null order by q.time desc, q.seq desc limit 1', metric, family, device, until, since)
            into found;
        if found is not null then
            return found;
        end if;
        until := since;
    end loop;
    return null;
end
$$;
comment on function rollup.counter_before is 'The device''s last reading of a counter before a time; null: none.';

-- When a device sent a metric next. As above.
create function rollup.sent_after(
    family text, metric text, device integer, after timestamptz, since timestamptz, before timestamptz)
returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    until timestamptz;
    reach interval;
    found timestamptz;
begin
    foreach reach in array array['6 hours', '4 days', 'infinity']::interval[] loop
        exit when since >= before;
        until := least(since + reach, before);
        execute format('select q.time from reading.%2$I q where q.device = %3$L and q.time > %4$L and q.time >= %5$L '
            'and q.time < %6$L and q.%1$I is not null order by q.time, q.seq limit 1',
            metric, family, device, after, since, until) into found;
        if found is not null then
            return found;
        end if;
        since := until;
    end loop;
    return null;
end
$$;
comment on function rollup.sent_after is
    'When the device first sent a metric later than one time, from another on and before a third; null: not.';

revoke all on function rollup.counter_before, rollup.sent_after from public;
grant execute on function rollup.counter_before, rollup.sent_after to dothi_analyst;
grant execute on function rollup.counter_before to dothi_reader;
