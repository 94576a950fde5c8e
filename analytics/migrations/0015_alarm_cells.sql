-- Where each active alarm lies on the map, so that nobody looks up thousands of devices for it.
create table rollup.alarm_cell (
    alarm bigint primary key,
    device integer not null,
    rank smallint not null,
    shelved_until timestamptz,
    x integer,
    y integer,
    family text
);
create index alarm_cell_device on rollup.alarm_cell (device);
comment on table rollup.alarm_cell is
    'Alarms of devices that are not cleared: level 16 cell (null: the device is retired), family and rank (1 warning to 4 critical). Exact: kept by triggers of alarms and registry.';

create view rollup.device_cell as
select d.id as device,
       case when d.state <> 'retired'
            then rollup.cell_x(case when d.lat is null or d.lon is null then a.lon else d.lon end) end as x,
       case when d.state <> 'retired'
            then rollup.cell_y(case when d.lat is null or d.lon is null then a.lat else d.lat end) end as y,
       d.family
from registry.device d join registry.area a on a.id = d.area;

create function rollup.place_alarm() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if tg_op <> 'INSERT' then
        delete from rollup.alarm_cell c where c.alarm = old.id;
        if tg_op = 'DELETE' or new.cleared is not null then
            return null;
        end if;
    end if;
    -- Whoever moves the device waits, and then finds the alarm here.
    perform from registry.device d where d.id = new.device for share;
    insert into rollup.alarm_cell (alarm, device, rank, shelved_until, x, y, family)
    select new.id, new.device, array_position(array['warning', 'minor', 'major', 'critical'], new.severity),
           new.shelved_until, p.x, p.y, p.family
    from rollup.device_cell p where p.device = new.device;
    return null;
end
$$;
create trigger map_raised after insert on ops.alarm for each row
    when (new.cleared is null and new.device is not null) execute function rollup.place_alarm();
create trigger map_changed after update on ops.alarm for each row
    when ((old.severity, old.device, old.cleared, old.shelved_until)
          is distinct from (new.severity, new.device, new.cleared, new.shelved_until))
    execute function rollup.place_alarm();
create trigger map_deleted after delete on ops.alarm for each row execute function rollup.place_alarm();

create function rollup.move_alarms() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if tg_op = 'TRUNCATE' then
        delete from rollup.alarm_cell;
    elsif not exists (select from rollup.alarm_cell) then
        null;
    elsif tg_op = 'DELETE' then
        delete from rollup.alarm_cell c using gone g where c.device = g.id;
    else
        update rollup.alarm_cell c set x = p.x, y = p.y, family = p.family
        from come n join rollup.device_cell p on p.device = n.id
        where c.device = n.id and (c.x, c.y, c.family) is distinct from (p.x, p.y, p.family);
    end if;
    return null;
end
$$;
create trigger alarms_moved after update on registry.device referencing new table as come
    for each statement execute function rollup.move_alarms();
create trigger alarms_deleted after delete on registry.device referencing old table as gone
    for each statement execute function rollup.move_alarms();
create trigger alarms_truncated after truncate on registry.device
    for each statement execute function rollup.move_alarms();

create or replace function rollup.recount_cells() returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform registry.lock_counts();
    delete from rollup.cell;
    execute rollup.moves_of_cells('select d.*, 1 as n from registry.device d');
    update rollup.alarm_cell c set x = p.x, y = p.y, family = p.family
    from rollup.device_cell p where p.device = c.device;
end
$$;

create or replace function rollup.active_alarms(family text) returns table (x integer, y integer, rank integer)
language sql stable as $$
    select c.x, c.y, c.rank::integer
    from rollup.alarm_cell c
    where c.x is not null and (c.shelved_until is null or c.shelved_until <= now())
      and ($1 is null or c.family = $1)
$$;

revoke execute on function rollup.place_alarm, rollup.move_alarms from public;
grant select on rollup.alarm_cell to dothi_analyst;

insert into rollup.alarm_cell (alarm, device, rank, shelved_until, x, y, family)
select l.id, l.device, array_position(array['warning', 'minor', 'major', 'critical'], l.severity),
       l.shelved_until, p.x, p.y, p.family
from ops.alarm l join rollup.device_cell p on p.device = l.device
where l.cleared is null;
