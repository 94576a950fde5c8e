-- What is known of a device besides its readings, and the states it went through.
alter table registry.device
    add column owner text,
    add column installed date,
    add column serial text,
    add column firmware text,
    add column tags text,
    add column eui text check (eui ~ '^[0-9a-f]{16}$');
comment on column registry.device.tags is 'Separated by ";", none of which is in a tag.';
comment on column registry.device.eui is 'EUI-64 as 16 lower-case hex digits. Unique; a device that is retired gives it away.';

-- A device that becomes active finds room for its new version on its page, so that no index is touched.
alter table registry.device set (fillfactor = 85);
drop index registry.device_area;  -- device_by_area serves it

create table registry.history (
    id bigint generated always as identity primary key,
    device integer not null references registry.device on delete cascade,
    since timestamptz not null default clock_timestamp(),
    was text not null,
    state text not null,
    reason text
);
create index history_device on registry.history (device, since);
comment on table registry.history is 'Each change of the state of a device. The first state began with registry.device.enrolled.';

create function registry.note_state() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into registry.history (device, was, state, reason)
    values (new.id, old.state, new.state, nullif(current_setting('dothi.reason', true), ''));
    return null;
end
$$;
create trigger state_changed after update of state on registry.device for each row
    when (old.state is distinct from new.state) execute function registry.note_state();

create function registry.activate(heard integer[]) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    activated integer;
begin
    perform registry.lock_counts();
    perform set_config('dothi.reason', 'first stored reading', true);
    -- Who was enrolled counts as before: nobody has to look at the device again. Who was only planned does not.
    update registry.device d set state = 'active',
        changed = case when d.state = 'planned' then pg_current_xact_id() else d.changed end
    where d.id = any(heard) and d.state in ('planned', 'enrolled');
    get diagnostics activated = row_count;
    perform set_config('dothi.reason', '', true);
    return activated;
end
$$;
comment on function registry.activate is 'Devices of which a reading is stored become active; how many did.';
grant execute on function registry.activate to dothi_analyst;
revoke execute on function registry.note_state, registry.activate from public;

-- Enrolment knows the family of each profile; asking for it once more for each of a million devices costs a third.
drop trigger family_inserted on registry.device;
create trigger family_inserted before insert on registry.device for each row
    when (new.family is null) execute function registry.name_family();

-- Each change of a device moves its row of registry.device_count, whose references are these same two: what the counts
-- know need not be asked again for each of a million devices.
alter table registry.device drop constraint device_profile_fkey, drop constraint device_area_fkey;
comment on table registry.device is 'That area and profile exist is seen to by registry.device_count, which follows each change.';

create view city.device_history as
select d.device, h.since, h.was, h.state, h.reason
from registry.history h join registry.device d on d.id = h.device;
comment on view city.device_history is 'Each change of the state of a device, and why.';
