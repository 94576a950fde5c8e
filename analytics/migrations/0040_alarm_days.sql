-- Figures of days that are over, so that those of a year are added up from days. A day (UTC) is counted once nothing in it
-- changes by the clock any more; what is changed in it later marks it, and it is counted anew. Until then, whoever asks
-- counts it himself.
create table rollup.alarm_counted (day date primary key);
comment on table rollup.alarm_counted is 'Days whose alarms are counted, those without any included.';

create table rollup.alarm_day (
    day date not null,
    severity text not null,
    raised integer not null,
    acknowledged integer not null,
    in_time integer not null,
    due integer not null,
    judged_true integer not null,
    judged_false integer not null,
    drills integer not null,
    hours integer[] not null,
    primary key (day, severity)
);
comment on table rollup.alarm_day is
    'Alarms by day and severity. due: acknowledged, or lasted longer than it may wait; hours: raised in each of the 24 hours.';

create table rollup.alarm_wait (
    day date not null,
    severity text not null,
    seconds integer not null,
    alarms integer not null,
    primary key (day, severity, seconds)
);
comment on table rollup.alarm_wait is 'How long alarms of a day waited to be acknowledged: seconds up to an hour, minutes beyond.';

create table rollup.alarm_talker (
    day date not null,
    device integer,
    area text,
    rule text not null,
    alarms integer not null,
    occurrences bigint not null,
    newest timestamptz not null,
    alarm bigint not null
);
create index alarm_talker_day on rollup.alarm_talker (day);
comment on table rollup.alarm_talker is 'Alarms of a day by device and rule; alarm: the newest of them.';

create table rollup.alarm_day_changed (day date not null);
create index alarm_day_changed_day on rollup.alarm_day_changed (day);
comment on table rollup.alarm_day_changed is
    'Days of which an alarm has changed since they were counted, a row each time: nobody who changes one waits for another.';

create or replace view city.alarm_times as
select l.id, l.raised, l.severity, a.code as area, l.device as device_number, coalesce(l.rule, l.kind) as rule,
       l.acknowledged, l.cleared, l.verdict, l.occurrences
from ops.alarm l left join registry.area a on a.id = l.area;

create view city.alarm_day as
select d.* from rollup.alarm_day d;
create view city.alarm_wait as
select w.* from rollup.alarm_wait w;
create view city.alarm_talker as
select t.* from rollup.alarm_talker t;
create view city.alarm_counted as
select c.day from rollup.alarm_counted c where not exists (select from rollup.alarm_day_changed x where x.day = c.day);
comment on view city.alarm_counted is 'Days (UTC) of which city.alarm_day, alarm_wait and alarm_talker say all there is.';

comment on view city.alarm_day is 'Alarms of a day (UTC) by severity, of the days in city.alarm_counted.';
comment on view city.alarm_wait is 'How many alarms of a day waited for so long to be acknowledged.';
comment on view city.alarm_talker is 'Alarms of a day by device and rule; alarm: the newest of them, in city.alarm.';

create function rollup.mark_alarm_days() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    today timestamptz := date_trunc('day', clock_timestamp(), 'UTC');
begin
    if tg_op = 'UPDATE' then
        insert into rollup.alarm_day_changed (day)
        select distinct (n.raised at time zone 'UTC')::date from come n join gone g on g.id = n.id
        where n.raised < today
          and (n.severity, n.rule, n.acknowledged, n.cleared, n.verdict) is distinct from
              (g.severity, g.rule, g.acknowledged, g.cleared, g.verdict);
    elsif tg_op = 'INSERT' then
        insert into rollup.alarm_day_changed (day)
        select distinct (n.raised at time zone 'UTC')::date from come n where n.raised < today;
    else
        insert into rollup.alarm_day_changed (day)
        select distinct (g.raised at time zone 'UTC')::date from gone g where g.raised < today;
    end if;
    return null;
end
$$;
create trigger days_raised after insert on ops.alarm referencing new table as come
    for each statement execute function rollup.mark_alarm_days();
create trigger days_changed after update on ops.alarm referencing old table as gone new table as come
    for each statement execute function rollup.mark_alarm_days();
create trigger days_deleted after delete on ops.alarm referencing old table as gone
    for each statement execute function rollup.mark_alarm_days();

create function rollup.count_alarm_day(counted date) returns void
language plpgsql security definer set search_path = '' as $$
declare
    since timestamptz := counted::timestamp at time zone 'UTC';
    until timestamptz := since + interval '1 day';
begin
    -- First the marks: who has set one that is seen here has committed, so the statements below see what he did.
    delete from rollup.alarm_day_changed c where c.day = counted;
    delete from rollup.alarm_day d where d.day = counted;
    delete from rollup.alarm_wait w where w.day = counted;
    delete from rollup.alarm_talker t where t.day = counted;
    insert into rollup.alarm_day
    select counted, l.severity, count(*), count(l.acknowledged),
           count(*) filter (where l.acknowledged - l.raised <= s.acknowledge_within),
           count(*) filter (where l.acknowledged is not null or coalesce(l.cleared, now()) - l.raised > s.acknowledge_within),
           count(*) filter (where l.verdict = 'true'), count(*) filter (where l.verdict = 'false'),
           count(*) filter (where l.verdict = 'drill'),
           array(select count(*) filter (where o.hour = h.hour)
                 from generate_series(0, 23) h (hour)
                 left join (select extract(hour from m.raised at time zone 'UTC')::integer as hour from ops.alarm m
                            where m.severity = l.severity and m.raised >= since and m.raised < until) o on o.hour = h.hour
                 group by h.hour order by h.hour)
    from ops.alarm l join ops.alarm_severity s on s.severity = l.severity
    where l.raised >= since and l.raised < until group by l.severity;
    insert into rollup.alarm_wait
    select counted, w.severity, case when w.seconds < 3600 then w.seconds else w.seconds / 60 * 60 end, count(*)
    from (select l.severity, date_part('epoch', l.acknowledged - l.raised)::integer as seconds from ops.alarm l
          where l.raised >= since and l.raised < until and l.acknowledged is not null) w
    group by 1, 2, 3;
    insert into rollup.alarm_talker
    select counted, l.device, a.code, coalesce(l.rule, l.kind), count(*), sum(l.occurrences), max(l.raised), max(l.id)
    from ops.alarm l left join registry.area a on a.id = l.area
    where l.raised >= since and l.raised < until group by l.device, a.code, coalesce(l.rule, l.kind);
    insert into rollup.alarm_counted values (counted) on conflict do nothing;
end
$$;

create function rollup.count_alarm_days(most integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    -- Whether one is due is told by the clock until it has waited for as long as it may.
    ready date := ((clock_timestamp() - greatest(interval '1 h', (select max(s.acknowledge_within) from ops.alarm_severity s)))
                   at time zone 'UTC')::date - 1;
    first date := (select (min(l.raised) at time zone 'UTC')::date from ops.alarm l);
    one date;
    done integer := 0;
begin
    for one in
        select d.day from (
            select distinct c.day from rollup.alarm_day_changed c where c.day <= ready
            union
            select g::date from generate_series(first, ready, interval '1 day') g
            where not exists (select from rollup.alarm_counted k where k.day = g::date)
        ) d (day) order by d.day desc limit most
    loop
        perform rollup.count_alarm_day(one);
        done := done + 1;
    end loop;
    return done;
end
$$;
comment on function rollup.count_alarm_days is
    'Counts days that are over and not counted yet, or changed since, the newest first; returns how many. To be called now and then, in a transaction that reads what is committed.';

revoke execute on function rollup.mark_alarm_days, rollup.count_alarm_day, rollup.count_alarm_days from public;
revoke execute on function rollup.mark_alarm_days, rollup.count_alarm_day from dothi_analyst;
grant execute on function rollup.count_alarm_days to dothi_analyst;
