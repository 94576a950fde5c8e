-- A power cut reaches one district after the other: the alarm that was raised for the first is about all of them.

insert into ops.alarm_transition (what, told, title_vi, title_en) values ('spread', true, 'Lan rộng', 'spread');

create function ops.spread_alarm(alarm bigint, area smallint, message text, message_en text, at timestamptz) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    known record;
begin
    perform ops.take_turn();
    select l.area, l.message, l.device, l.severity, a.code into known
    from ops.alarm l left join registry.area a on a.id = l.area
    where l.id = spread_alarm.alarm and l.cleared is null for update of l;
    if not found or (known.area is not distinct from spread_alarm.area and known.message = spread_alarm.message) then
        return false;
    end if;
    update ops.alarm l
    set area = spread_alarm.area, message = spread_alarm.message, message_en = spread_alarm.message_en,
        maintenance_until = ops.maintained_until(known.device, spread_alarm.area, clock_timestamp())
    where l.id = spread_alarm.alarm;
    insert into ops.alarm_history (alarm, at, what, severity, detail)
    values (spread_alarm.alarm, spread_alarm.at, 'spread', known.severity,
            jsonb_build_object('area_before', known.code, 'message_before', known.message));
    return true;
end
$$;
comment on function ops.spread_alarm is
    'An active alarm is about another area than it was (null: the whole province), and says so; area: of registry.area. Whether that changed anything. What staff said of it, its severity and its members stay.';
revoke execute on function ops.spread_alarm from public;
grant execute on function ops.spread_alarm to dothi_analyst;
