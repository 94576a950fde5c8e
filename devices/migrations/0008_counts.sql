-- How many devices there are by area, profile and state, kept exact as the registry changes, so that nobody scans for it.
create table registry.device_count (
    area smallint not null references registry.area,
    profile smallint not null references registry.profile,
    state text not null,
    devices integer not null,
    primary key (area, profile, state)
) with (fillfactor = 50);
comment on table registry.device_count is
    'Devices by area, profile and state: exact, moved by triggers of registry.device in the transaction that changes it.';

-- One lock is taken before any count moves and is held until the transaction ends. A statement that inserts and updates
-- fires several triggers, so no order of rows could keep two such statements from waiting for each other.
create function registry.lock_counts() returns void
language sql security definer set search_path = '' as $$
    lock table registry.device_count in share row exclusive mode
$$;
comment on function registry.lock_counts is
    'Whoever moves counts of devices, here or in another schema, comes through here first. Readers are not held up.';

create function registry.count_devices() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform registry.lock_counts();
    if tg_op = 'TRUNCATE' then
        delete from registry.device_count;
        return null;
    end if;
    execute format(
        'insert into registry.device_count as c (area, profile, state, devices)
         select m.area, m.profile, m.state, sum(m.n) from (%s) m
         group by m.area, m.profile, m.state having sum(m.n) <> 0
         on conflict (area, profile, state) do update set devices = c.devices + excluded.devices',
        registry.moved_devices(tg_op)
    );
    return null;
end
$$;

create function registry.moved_devices(operation text) returns text
language sql immutable set search_path = '' as $$
    select concat_ws(
        ' union all ',
        case when operation <> 'INSERT' then 'select gone.*, -1 as n from gone' end,
        case when operation <> 'DELETE' then 'select come.*, 1 as n from come' end
    )
$$;
comment on function registry.moved_devices is
    'For triggers with transition tables gone and come: the query of what an INSERT, UPDATE or DELETE took away (n = -1) and brought (n = 1).';

create trigger count_inserted after insert on registry.device referencing new table as come
    for each statement execute function registry.count_devices();
create trigger count_updated after update on registry.device referencing old table as gone new table as come
    for each statement execute function registry.count_devices();
create trigger count_deleted after delete on registry.device referencing old table as gone
    for each statement execute function registry.count_devices();
create trigger count_truncated after truncate on registry.device
    for each statement execute function registry.count_devices();

select registry.lock_counts();
insert into registry.device_count (area, profile, state, devices)
select area, profile, state, count(*) from registry.device group by area, profile, state;

create view city.device_count as
select a.code as area, p.family, p.profile, c.state, c.devices
from registry.device_count c
join registry.area a on a.id = c.area
join registry.profile p on p.id = c.profile
where c.devices > 0;
comment on view city.device_count is 'Devices by area, family, profile and state; exact, without looking at any device.';

create or replace view city.plan as
select a.code as area, a.name_vi as name, a.people_2030 as people,
       c.devices,
       round(100.0 * c.devices / a.people_2030, 2) as devices_per_100,
       t.low as target_low, t.high as target_high,
       a.province, a.people_2019, t.year as target_year, a.lat, a.lon, a.name_en
from registry.area a
cross join lateral (
    select coalesce(sum(n.devices), 0) as devices
    from registry.device_count n where n.area = a.id and n.state <> 'retired'
) c
left join lateral (
    select * from registry.target
    where year >= extract(year from now() at time zone 'Asia/Ho_Chi_Minh')
    order by year limit 1
) t on true;
comment on view city.plan is 'Exactly the zones that enroll accepts. people: of 2030, the year of the target.';

revoke execute on function registry.lock_counts, registry.count_devices from public;
