-- An alarm of several districts is over in one of them before it is over: who was told of it there is told that, and that it
-- has come back.

insert into ops.alarm_transition (what, told, title_vi, title_en) values ('receded', true, 'Hết ở một số huyện', 'over in part');

create function ops.receded_areas(alarm bigint) returns setof text
language sql stable set search_path = '' as $$
    select n.area from (
        select distinct on (x.area) x.area, h.what
        from ops.alarm_history h cross join lateral jsonb_array_elements_text(h.detail -> 'areas') x(area)
        where h.alarm = receded_areas.alarm and h.what in ('receded', 'spread') and h.detail ? 'areas'
          and h.id > coalesce((select max(b.id) from ops.alarm_history b
                               where b.alarm = receded_areas.alarm and b.what = 'reopened'), 0)
        order by x.area, h.id desc
    ) n where n.what = 'receded'
$$;
comment on function ops.receded_areas is 'Codes of districts in which an alarm of several is over, as was told.';
revoke execute on function ops.receded_areas from public;

create or replace function ops.add_members(alarm bigint, devices integer[], at timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
    come integer;
    back integer;
    again text[];
begin
    insert into ops.alarm_member as m (alarm, device, since)
    select distinct $1, d, $3 from unnest(devices) d where d is not null on conflict do nothing;
    get diagnostics come = row_count;
    update ops.alarm_member m set until = null
    where m.alarm = $1 and m.device = any(devices) and m.until is not null and m.until < $3;
    get diagnostics back = row_count;
    if come + back > 0 then
        update ops.alarm l set members = l.members + come, members_now = l.members_now + come + back where l.id = $1;
        if exists (select from ops.alarm l where l.id = $1 and l.area is null) then
            select array_agg(r.area order by r.area) into again from ops.receded_areas($1) r(area)
            where exists (select from registry.device d join registry.area a on a.id = d.area
                          join ops.alarm_member m on m.alarm = $1 and m.device = d.id and m.until is null
                          where d.id = any(devices) and a.code = r.area);
            if again is not null then
                insert into ops.alarm_history (alarm, at, what, detail) values ($1, $3, 'spread', jsonb_build_object('areas', again));
            end if;
        end if;
    end if;
    return come + back;
end
$$;

create or replace function ops.leave_alarm(alarm bigint, devices integer[], at timestamptz) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    gone integer;
    bare text[];
begin
    perform from ops.alarm l where l.id = leave_alarm.alarm and l.cleared is null for update;
    if not found then
        return 0;
    end if;
    update ops.alarm_member m set until = $3
    where m.alarm = $1 and m.device = any(devices) and m.until is null and m.since <= $3;
    get diagnostics gone = row_count;
    if gone > 0 then
        update ops.alarm l set members_now = l.members_now - gone where l.id = $1;
        insert into ops.alarm_history (alarm, at, what, detail) values (alarm, at, 'left', jsonb_build_object('devices', gone));
        if exists (select from ops.alarm l where l.id = $1 and l.area is null and l.members_now > 0) then
            select array_agg(a.code order by a.code) into bare
            from (select distinct d.area from ops.alarm_member m join registry.device d on d.id = m.device
                  where m.alarm = $1 and m.device = any(devices) and m.until = $3) x
            join registry.area a on a.id = x.area
            where not exists (select from ops.alarm_member m join registry.device d on d.id = m.device
                              where m.alarm = $1 and m.until is null and d.area = x.area);
            if bare is not null then
                insert into ops.alarm_history (alarm, at, what, detail)
                select $1, $3, 'receded', jsonb_build_object('areas', bare, 'still', coalesce(array_agg(x.code), '{}'))
                from (select distinct a.code from ops.alarm_member m join registry.device d on d.id = m.device
                      join registry.area a on a.id = d.area where m.alarm = $1 and m.until is null order by a.code) x;
            end if;
        end if;
    end if;
    return gone;
end
$$;
