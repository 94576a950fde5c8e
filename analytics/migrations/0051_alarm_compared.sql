-- What has changed of many alarms at once: the plan of a comparison is made when a session does it for the first time,
-- mostly of no row at all, and then compared each with each. Set operations take as long as there are rows.

create or replace function rollup.place_alarms() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    ids bigint[];
begin
    if tg_op = 'DELETE' then
        delete from rollup.alarm_cell c using gone g where c.alarm = g.id;
        return null;
    elsif tg_op = 'INSERT' then
        ids := array(select n.id from come n where n.cleared is null and n.device is not null and n.severity <> 'info');
    else
        ids := array(select c.id from (
            select n.id, n.severity, n.device, n.cleared, n.shelved_until, n.maintenance_until from come n
            except
            select g.id, g.severity, g.device, g.cleared, g.shelved_until, g.maintenance_until from gone g) c);
    end if;
    if cardinality(ids) = 0 then
        return null;
    end if;
    -- Whoever moves a device waits, and then finds the alarm here.
    perform from registry.device d
    where d.id in (select n.device from come n where n.id = any(ids) and n.cleared is null) order by d.id for share;
    if tg_op = 'UPDATE' then
        delete from rollup.alarm_cell c where c.alarm = any(ids);
    end if;
    insert into rollup.alarm_cell (alarm, device, rank, shelved_until, x, y, family)
    select n.id, n.device, s.rank, greatest(n.shelved_until, n.maintenance_until), p.x, p.y, p.family
    from come n join ops.alarm_severity s on s.severity = n.severity join rollup.device_cell p on p.device = n.device
    where n.id = any(ids) and n.cleared is null and s.rank > 0;
    return null;
end
$$;

create or replace function rollup.mark_alarm_days() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    today timestamptz := date_trunc('day', clock_timestamp(), 'UTC');
begin
    if tg_op = 'UPDATE' then
        insert into rollup.alarm_day_changed (day)
        select distinct (c.raised at time zone 'UTC')::date from (
            select n.id, n.raised, n.severity, n.rule, n.acknowledged, n.cleared, n.verdict, n.area
            from come n where n.raised < today
            except
            select g.id, g.raised, g.severity, g.rule, g.acknowledged, g.cleared, g.verdict, g.area
            from gone g where g.raised < today) c;
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
