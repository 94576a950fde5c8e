-- The life of an alarm: raised, acknowledged, cleared, and what may happen in between. One law for every client: the
-- functions below are the only way to write here, each writes what it did into a history that nobody can change.

create table ops.alarm_severity (
    severity text primary key,
    rank smallint not null unique,
    title_vi text not null,
    title_en text not null,
    acknowledge_within interval,
    repeat_every interval check (repeat_every >= interval '10 s'),
    for_centre boolean not null
);
comment on table ops.alarm_severity is
    'The five severities, ITU-T X.733 without cleared and indeterminate but with information. acknowledge_within: what staff aim at; repeat_every: how often staff are called again until they acknowledge; null: never; for_centre: counts as an alarm of the operations centre.';
insert into ops.alarm_severity values
    ('info', 0, 'Thông tin', 'Information', null, null, false),
    ('warning', 1, 'Cảnh báo', 'Warning', '8 h', null, true),
    ('minor', 2, 'Nhẹ', 'Minor', '1 h', null, true),
    ('major', 3, 'Nghiêm trọng', 'Major', '15 min', null, true),
    ('critical', 4, 'Nguy cấp', 'Critical', '5 min', '5 min', true);

create table ops.alarm_limit (
    one boolean primary key default true check (one),
    shelved interval not null default '30 days',
    maintenance interval not null default '366 days'
);
comment on table ops.alarm_limit is 'For how long at most an alarm may be shelved, and a device or area be under maintenance.';
insert into ops.alarm_limit default values;

create table ops.alarm_transition (
    what text primary key,
    told boolean not null,
    title_vi text not null,
    title_en text not null
);
comment on table ops.alarm_transition is 'What can happen to an alarm. told: others are to hear of it (ops.alarm_news).';
insert into ops.alarm_transition values
    ('raised', true, 'Phát sinh', 'raised'),
    ('grown', true, 'Tăng mức', 'grown'),
    ('reopened', true, 'Tái phát', 'reopened'),
    ('reminded', true, 'Nhắc lại', 'reminded'),
    ('acknowledged', true, 'Đã tiếp nhận', 'acknowledged'),
    ('shelved', true, 'Tạm gác', 'shelved'),
    ('unshelved', true, 'Hết tạm gác', 'unshelved'),
    ('maintenance', true, 'Bảo trì', 'maintenance'),
    ('maintenance_over', true, 'Hết bảo trì', 'maintenance over'),
    ('judged', true, 'Đánh giá', 'judged'),
    ('cleared', true, 'Kết thúc', 'cleared'),
    ('joined', false, 'Thêm thiết bị', 'devices joined'),
    ('left', false, 'Bớt thiết bị', 'devices left'),
    ('evidence', false, 'Bằng chứng', 'evidence'),
    ('commented', false, 'Ghi chú', 'commented');

alter table ops.alarm drop constraint alarm_severity_check;
alter table ops.alarm
    add constraint alarm_severity_check check (severity in ('info', 'warning', 'minor', 'major', 'critical')),
    add column key text not null default gen_random_uuid()::text,
    add column rule text,
    add column family text,
    add column last timestamptz,
    add column occurrences integer not null default 1,
    add column members integer not null default 0,
    add column members_now integer not null default 0,
    add column message_en text,
    add column verdict text check (verdict in ('true', 'false', 'drill')),
    add column note text,
    add column cleared_by text,
    add column maintenance_until timestamptz,
    add column called timestamptz;
update ops.alarm set last = coalesce(cleared, raised);
alter table ops.alarm
    alter column last set default now(), alter column last set not null,
    add check (last >= raised), add check (members_now between 0 and members), add check (occurrences > 0),
    add check ((acknowledged is null) = (acknowledged_by is null)),
    set (fillfactor = 80);
comment on column ops.alarm.key is 'What makes two alarms the same; at most one of a key is not cleared.';
comment on column ops.alarm.called is 'When staff were last called to it, by the clock of the database.';
comment on column ops.alarm.cleared_by is 'Who cleared it; null: what it was about is over.';

create unique index alarm_one_active on ops.alarm (key) where cleared is null;
drop index ops.alarm_active;
create index alarm_active on ops.alarm (severity, raised desc, id desc) where cleared is null;
create index alarm_shelved on ops.alarm (shelved_until) where cleared is null and shelved_until is not null;
create index alarm_maintained on ops.alarm (maintenance_until) where cleared is null and maintenance_until is not null;
create index alarm_by_key on ops.alarm (key, id desc);
create index alarm_by_raised on ops.alarm (raised desc, id desc);
create index alarm_by_severity on ops.alarm (severity, raised desc, id desc);
create index alarm_by_kind on ops.alarm (kind, raised desc, id desc);
create index alarm_by_area on ops.alarm (area, raised desc, id desc);
create index alarm_by_device on ops.alarm (device, raised desc, id desc) where device is not null;
create index alarm_by_judged on ops.alarm (raised desc) where verdict is not null;

create table ops.alarm_history (
    id bigint generated always as identity primary key,
    alarm bigint not null,
    at timestamptz not null,
    what text not null,
    by text,
    note text,
    severity text,
    value double precision,
    detail jsonb,
    recorded timestamptz not null default clock_timestamp()
);
create index alarm_history_of on ops.alarm_history (alarm, id);
create index alarm_history_recorded on ops.alarm_history using brin (recorded);
comment on table ops.alarm_history is
    'Every transition of every alarm, one row each, never changed. at: when it happened; recorded: when it was written down; by: null for the platform itself.';

create table ops.alarm_member (
    alarm bigint not null,
    device integer not null,
    since timestamptz not null,
    until timestamptz,
    primary key (alarm, device)
);
create index alarm_member_device on ops.alarm_member (device);
comment on table ops.alarm_member is 'Devices that one alarm is about, when it is about many. until: it is no longer concerned.';

create table ops.alarm_evidence (
    id bigint generated always as identity primary key,
    alarm bigint not null,
    at timestamptz not null,
    kind text not null,
    device integer,
    score double precision,
    distance_m double precision,
    after_s double precision,
    detail jsonb
);
create unique index alarm_evidence_once on ops.alarm_evidence (alarm, kind, device, at) nulls not distinct;
comment on table ops.alarm_evidence is
    'What speaks for an alarm: source (kind, device), score 0 to 1, distance in metres from and seconds after the first sign.';

create table ops.alarm_news (history bigint primary key);
comment on table ops.alarm_news is
    'Transitions that others are still to be told of. Whoever tells them takes rows out, and hears of new ones on the channel dothi_alarm.';

create table ops.maintenance (
    id bigint generated always as identity primary key,
    area smallint references registry.area,
    device integer,
    since timestamptz not null,
    until timestamptz not null,
    by text not null,
    reason text not null,
    noted timestamptz not null default clock_timestamp(),
    ended timestamptz,
    ended_by text,
    check (until > since),
    check ((area is null) <> (device is null))
);
create index maintenance_open on ops.maintenance (until) where ended is null;
comment on table ops.maintenance is
    'Areas and devices that are worked on: their alarms are recorded but nobody is called. ended: when it was over, at its end or before.';

-- Alarms from before there was a history.
insert into ops.alarm_history (alarm, at, what, severity, value) select id, raised, 'raised', severity, value from ops.alarm order by id;
insert into ops.alarm_history (alarm, at, what, by)
select id, acknowledged, 'acknowledged', acknowledged_by from ops.alarm where acknowledged is not null order by id;
insert into ops.alarm_history (alarm, at, what) select id, cleared, 'cleared' from ops.alarm where cleared is not null order by id;

create function ops.refuse_to_forget() returns trigger
language plpgsql set search_path = '' as $$
begin
    raise exception '% only grows: % is refused', tg_table_schema || '.' || tg_table_name, lower(tg_op) using errcode = 'DA001';
end
$$;
create trigger append_only before update or delete or truncate on ops.alarm_history
    for each statement execute function ops.refuse_to_forget();

create function ops.tell_alarms() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into ops.alarm_news (history)
    select h.id from come h join ops.alarm_transition t on t.what = h.what where t.told;
    if found then
        perform pg_notify('dothi_alarm', '');
    end if;
    return null;
end
$$;
create trigger told after insert on ops.alarm_history referencing new table as come
    for each statement execute function ops.tell_alarms();

-- Views.

create or replace view city.alarm as
select l.id, l.kind, l.severity, d.device, a.code as area, l.raised, l.acknowledged, l.acknowledged_by as by,
       l.cleared, l.shelved_until, l.value, l.message,
       case when l.cleared is not null then 'cleared'
            when l.maintenance_until > now() or d.state = 'maintenance' then 'maintenance'
            when l.shelved_until > now() then 'shelved'
            when l.acknowledged is not null then 'acknowledged'
            else 'unacknowledged' end as state,
       l.key, l.rule, l.occurrences, l.last, l.members, l.message_en, d.name, l.family, l.verdict, l.note,
       l.maintenance_until, case when l.cleared is null then l.members_now else 0 end as members_now, l.cleared_by,
       s.rank
from ops.alarm l
join ops.alarm_severity s on s.severity = l.severity
left join registry.device d on d.id = l.device
left join registry.area a on a.id = l.area;
comment on view city.alarm is
    'Every alarm with what is known of it now. state: unacknowledged, acknowledged, shelved, maintenance or cleared; members: devices it is or was about when it is about many, members_now: those it still is about; rank: of the severity, 0 information to 4 critical; message is Vietnamese.';

create view city.alarm_history as
select h.id, h.alarm, h.at, h.what, h.by, h.note, h.severity, h.value, h.detail, h.recorded, t.title_vi, t.title_en
from ops.alarm_history h left join ops.alarm_transition t on t.what = h.what;
comment on view city.alarm_history is 'Every transition of every alarm. at: when it happened, recorded: when it was written down; by: null for the platform.';

create view city.alarm_member as
select m.alarm, d.device, d.name, lpad(d.area::text, 3, '0') as area, m.since, coalesce(m.until, l.cleared) as until
from ops.alarm_member m join ops.alarm l on l.id = m.alarm left join registry.device d on d.id = m.device;
comment on view city.alarm_member is 'Devices that an alarm of many devices is (until is null) or was about.';

create view city.alarm_evidence as
select e.alarm, e.at, e.kind, d.device, e.score, e.distance_m, e.after_s, e.detail, e.id
from ops.alarm_evidence e left join registry.device d on d.id = e.device;

create view city.alarm_severity as
select severity, rank, title_vi, title_en, acknowledge_within, repeat_every, for_centre from ops.alarm_severity;

create view city.maintenance as
select m.id, a.code as area, d.device, m.since, m.until, m.by, m.reason, m.ended, m.ended_by,
       case when m.ended is not null or m.until <= now() then 'over' when m.since > now() then 'planned' else 'running' end as state,
       coalesce(d.name, a.name_vi) as name
from ops.maintenance m
left join registry.device d on d.id = m.device
left join registry.area a on a.id = m.area;

-- The map shows all but information, and what is under maintenance as little as what is shelved.

comment on column rollup.alarm_cell.shelved_until is 'Until when the alarm is shelved or under maintenance, whichever is longer.';

drop trigger map_raised on ops.alarm;
drop trigger map_changed on ops.alarm;
drop trigger map_deleted on ops.alarm;
drop function rollup.place_alarm();

create function rollup.place_alarms() returns trigger
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
        ids := array(select n.id from come n join gone g on g.id = n.id
                     where (n.severity, n.device, n.cleared, n.shelved_until, n.maintenance_until)
                           is distinct from (g.severity, g.device, g.cleared, g.shelved_until, g.maintenance_until));
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
create trigger map_raised after insert on ops.alarm referencing new table as come
    for each statement execute function rollup.place_alarms();
create trigger map_changed after update on ops.alarm referencing old table as gone new table as come
    for each statement execute function rollup.place_alarms();
create trigger map_deleted after delete on ops.alarm referencing old table as gone
    for each statement execute function rollup.place_alarms();

-- What the engine calls. Malformed arguments are errors (22023); what the state forbids is left undone and said.

create function ops.maintained_until(device integer, area smallint, at timestamptz) returns timestamptz
language sql stable set search_path = '' as $$
    select max(m.until) from ops.maintenance m
    where m.ended is null and m.since <= $3 and m.until > $3 and (m.device = $1 or m.area = $2)
$$;

-- Whoever takes many alarms at once takes this first, so that no two of them wait for each other.
create function ops.take_turn() returns void
language sql set search_path = '' as $$ select pg_advisory_xact_lock(hashtextextended('ops.alarm', 0)) $$;

create function ops.check_alarms(alarms jsonb) returns void
language plpgsql stable set search_path = '' as $$
declare
    wrong record;
begin
    if jsonb_typeof(alarms) is distinct from 'array' then
        raise exception 'alarms: % is no array of alarms', coalesce(jsonb_typeof(alarms), 'null') using errcode = '22023';
    end if;
    select e.n, e.a into wrong
    from jsonb_array_elements(alarms) with ordinality e (a, n)
    left join ops.alarm_severity s on s.severity = e.a ->> 'severity'
    where coalesce(e.a ->> 'key', '') = '' or coalesce(e.a ->> 'kind', '') = '' or s.severity is null
       or coalesce(e.a ->> 'message', '') = '' or e.a ->> 'at' is null
    limit 1;
    if found then
        raise exception 'alarm % of the array (%): key, kind, message and at are needed, and a severity of %',
            wrong.n, left(wrong.a::text, 200), (select string_agg(s.severity, ', ' order by s.rank) from ops.alarm_severity s)
            using errcode = '22023';
    end if;
end
$$;

create function ops.add_members(alarm bigint, devices integer[], at timestamptz) returns integer
language plpgsql set search_path = '' as $$
declare
    come integer;
    back integer;
begin
    insert into ops.alarm_member as m (alarm, device, since)
    select distinct $1, d, $3 from unnest(devices) d where d is not null on conflict do nothing;
    get diagnostics come = row_count;
    update ops.alarm_member m set until = null
    where m.alarm = $1 and m.device = any(devices) and m.until is not null and m.until < $3;
    get diagnostics back = row_count;
    if come + back > 0 then
        update ops.alarm l set members = l.members + come, members_now = l.members_now + come + back where l.id = $1;
    end if;
    return come + back;
end
$$;

create function ops.raise_alarms(alarms jsonb) returns table (key text, id bigint, happened text)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    one record;
    joined integer;
begin
    perform ops.check_alarms(alarms);
    perform ops.take_turn();
    perform from ops.alarm l
    where l.cleared is null and l.key in (select e ->> 'key' from jsonb_array_elements(alarms) e)
    order by l.id for update;
    for one in
        with asked as materialized (
            select e.key, e.kind, e.severity, s.rank, e.device, coalesce(e.area, d.area) as area,
                   coalesce(e.family, p.family) as family, least(e.at, clock_timestamp() + interval '5 min') as at, e.value,
                   e.message, e.message_en, e.rule, coalesce(e.cool_down_s, 0) * interval '1 s' as cool_down, e.members
            from jsonb_to_recordset(alarms) as e (
                key text, kind text, severity text, device integer, area smallint, family text, at timestamptz,
                value double precision, message text, message_en text, rule text, cool_down_s double precision,
                members integer[])
            join ops.alarm_severity s on s.severity = e.severity
            left join registry.device d on d.id = e.device
            left join registry.profile p on p.id = d.profile
        ), worst as (
            select distinct on (a.key) a.* from asked a order by a.key, a.rank desc, a.at desc
        ), together as (
            select a.key, max(a.at) as last, (array_agg(a.value order by a.at desc))[1] as value,
                   array_agg(distinct a.at) as times
            from asked a group by a.key
        ), folded as (
            select a.key, array_agg(distinct m) as members from asked a, unnest(a.members) m where m is not null group by a.key
        ), judged as materialized (
            select w.key, w.kind, w.severity, w.rank, w.device, w.area, w.family, w.message, w.message_en, w.rule,
                   t.last, t.value, t.times, k.id as known, coalesce(k.cleared, k.last) as known_until, k.shelved_until,
                   k.rank < w.rank as worse, k.cleared_by is not null as closed, f.members,
                   case when k.id is null then 'raised'
                        when k.cleared is null and w.rank > k.rank then 'grown'
                        when k.cleared is null and t.last <= k.last or t.last <= k.cleared then 'ignored'
                        when k.cleared is null then 'repeated'
                        when t.last < k.cleared + w.cool_down then 'reopened'
                        else 'raised' end as happened
            from worst w join together t on t.key = w.key left join folded f on f.key = w.key
            left join lateral (
                select l.id, l.cleared, l.cleared_by, l.last, l.shelved_until, s.rank
                from ops.alarm l join ops.alarm_severity s on s.severity = l.severity
                where l.key = w.key order by l.id desc limit 1
            ) k on true
        ), fresh as (
            insert into ops.alarm as l (key, kind, severity, device, area, family, raised, last, occurrences, value,
                                        message, message_en, rule, shelved_until, maintenance_until, called)
            select j.key, j.kind, j.severity, j.device, j.area, j.family, n.first, j.last, n.times, j.value,
                   j.message, j.message_en, j.rule,
                   case when j.shelved_until > clock_timestamp() then j.shelved_until end,
                   ops.maintained_until(j.device, j.area, clock_timestamp()), clock_timestamp()
            from judged j cross join lateral (
                select min(t) as first, count(*) as times from unnest(j.times) t where j.known is null or t > j.known_until
            ) n
            where j.happened = 'raised'
            returning l.key, l.id, l.raised as at, l.severity, l.value, l.shelved_until, l.maintenance_until
        ), changed as (
            update ops.alarm l
            set occurrences = l.occurrences + (select count(*) from unnest(j.times) t where t > j.known_until),
                last = greatest(l.last, j.last),
                value = case when j.last >= l.last then j.value else l.value end,
                cleared = null, cleared_by = null,
                kind = case when j.worse then j.kind else l.kind end,
                severity = case when j.worse then j.severity else l.severity end,
                message = case when j.worse then j.message else l.message end,
                message_en = case when j.worse then j.message_en else l.message_en end,
                rule = case when j.worse then j.rule else l.rule end,
                acknowledged = case when j.worse or j.closed then null else l.acknowledged end,
                acknowledged_by = case when j.worse or j.closed then null else l.acknowledged_by end,
                called = case when j.happened = 'repeated' then l.called else clock_timestamp() end
            from judged j
            where l.id = j.known and j.happened in ('repeated', 'grown', 'reopened')
            returning l.key, l.id, l.last as at, l.severity, l.value, j.happened
        ), written as (
            insert into ops.alarm_history (alarm, at, what, severity, value, detail)
            select f.id, f.at, 'raised', f.severity, f.value, nullif(jsonb_strip_nulls(jsonb_build_object(
                       'shelved_until', f.shelved_until, 'maintenance_until', f.maintenance_until,
                       'devices', cardinality(j.members))), '{}')
            from fresh f join judged j on j.key = f.key
            union all
            select c.id, c.at, c.happened, c.severity, c.value, null from changed c where c.happened <> 'repeated'
        )
        select j.key, coalesce(f.id, j.known) as id, j.happened, j.last, j.members
        from judged j left join fresh f on f.key = j.key
    loop
        if one.members is not null
           and (one.happened <> 'ignored' or exists (select from ops.alarm l where l.id = one.id and l.cleared is null)) then
            joined := ops.add_members(one.id, one.members, one.last);
            if joined > 0 and one.happened <> 'raised' then
                insert into ops.alarm_history (alarm, at, what, detail)
                values (one.id, one.last, 'joined', jsonb_build_object('devices', joined));
            end if;
        end if;
        key := one.key; id := one.id; happened := one.happened;
        return next;
    end loop;
end
$$;
comment on function ops.raise_alarms is
    'Raises alarms given as an array of {key, kind, severity, device, area, family, at, value, message, message_en, rule, cool_down_s, members}; device and members: ids of registry.device, area: of registry.area. '
    'Returns a row for each key: raised (a new one), reopened (cleared less than cool_down_s before), grown (it is worse than it was), repeated (it lasts), ignored (this was known already, or is older than its end). Saying the same again changes nothing.';

create function ops.clear_alarms(keys text[], at timestamptz[]) returns table (key text, id bigint)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
begin
    if cardinality(keys) is distinct from cardinality(at) then
        raise exception '% keys and % times: each key needs its time', cardinality(keys), cardinality(at) using errcode = '22023';
    end if;
    perform ops.take_turn();
    perform from ops.alarm l where l.cleared is null and l.key = any(keys) order by l.id for update;
    return query
    with over as (
        select w.key, max(w.at) as at from unnest(keys, clear_alarms.at) w (key, at) group by w.key
    ), closed as (
        update ops.alarm l set cleared = least(o.at, greatest(l.last, clock_timestamp() + interval '5 min')), cleared_by = null
        from over o where l.key = o.key and l.cleared is null and o.at >= l.last
        returning l.key, l.id, l.cleared
    ), written as (
        insert into ops.alarm_history (alarm, at, what) select c.id, c.cleared, 'cleared' from closed c
    )
    select c.key, c.id from closed c;
end
$$;
comment on function ops.clear_alarms is
    'Clears the active alarms of these keys as of these times, and returns them. One that was seen after its time stays.';

create function ops.join_alarm(alarm bigint, devices integer[], at timestamptz) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    joined integer;
begin
    perform from ops.alarm l where l.id = join_alarm.alarm and l.cleared is null for update;
    if not found then
        return 0;
    end if;
    joined := ops.add_members(alarm, devices, at);
    if joined > 0 then
        insert into ops.alarm_history (alarm, at, what, detail) values (alarm, at, 'joined', jsonb_build_object('devices', joined));
    end if;
    return joined;
end
$$;
comment on function ops.join_alarm is 'Makes devices members of an active alarm; returns how many were not. 0 when it is cleared.';

create function ops.leave_alarm(alarm bigint, devices integer[], at timestamptz) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    gone integer;
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
    end if;
    return gone;
end
$$;
comment on function ops.leave_alarm is 'Ends the membership of devices in an active alarm; returns how many were members. 0 when it is cleared.';

create function ops.add_evidence(alarm bigint, evidence jsonb) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    added integer;
begin
    perform from ops.alarm l where l.id = add_evidence.alarm for update;
    if not found then
        return 0;
    end if;
    insert into ops.alarm_evidence (alarm, at, kind, device, score, distance_m, after_s, detail)
    select $1, e.at, e.kind, e.device, e.score, e.distance_m, e.after_s, e.detail
    from jsonb_to_recordset(case jsonb_typeof(evidence) when 'array' then evidence else jsonb_build_array(evidence) end) as e (
        at timestamptz, kind text, device integer, score double precision, distance_m double precision,
        after_s double precision, detail jsonb)
    on conflict do nothing;
    get diagnostics added = row_count;
    if added > 0 then
        insert into ops.alarm_history (alarm, at, what, detail)
        values (alarm, clock_timestamp(), 'evidence', jsonb_build_object('pieces', added));
    end if;
    return added;
end
$$;
comment on function ops.add_evidence is
    'Adds evidence, one {at, kind, device, score, distance_m, after_s, detail} or an array of them; returns how many were new. 0 when there is no such alarm.';

-- What staff call. What the law forbids is an error DA001: one line that names the alarm, its state and what is allowed.

create function ops.refuse(said text) returns void
language plpgsql set search_path = '' as $$
begin
    raise exception '%', said using errcode = 'DA001';
end
$$;

create function ops.check_said(who text, note text, needed text default null) returns void
language plpgsql set search_path = '' as $$
begin
    if coalesce(who, '') !~ '^[^[:cntrl:]]{1,100}$' or btrim(who) = '' then
        perform ops.refuse(format('by %L: allowed: the name of a person, 1 to 100 characters', left(who, 120)));
    elsif needed is not null and coalesce(btrim(note), '') = '' then
        perform ops.refuse(format('%s is missing: say why in at most 2000 characters', needed));
    elsif length(note) > 2000 then
        perform ops.refuse(format('note of %s characters: at most 2000', length(note)));
    end if;
end
$$;

create function ops.local_time(at timestamptz) returns text
language sql stable set search_path = '' as $$
    select to_char(at at time zone 'Asia/Ho_Chi_Minh', 'YYYY-MM-DD HH24:MI:SS')
$$;

create function ops.end_in_words(at timestamptz) returns text
language sql stable set search_path = '' as $$
    select case when at is null or not isfinite(at) then 'without end' else 'until ' || ops.local_time(at) end
$$;

create function ops.take_alarm(alarm bigint) returns ops.alarm
language plpgsql set search_path = '' as $$
declare
    taken ops.alarm;
begin
    select * into taken from ops.alarm l where l.id = take_alarm.alarm for update;
    if not found then
        perform ops.refuse(format('alarm %s: there is none with this number; allowed: numbers of city.alarm', coalesce(alarm::text, 'null')));
    end if;
    return taken;
end
$$;

create function ops.refuse_step(alarm ops.alarm, step text) returns void
language plpgsql set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    said text;
    allowed text[] := array['comment', 'judge'];
begin
    if alarm.cleared is not null then
        said := format('cleared at %s%s', ops.local_time(alarm.cleared), ' by ' || alarm.cleared_by);
    else
        said := case when alarm.acknowledged is null then 'unacknowledged'
                     else format('acknowledged at %s by %s', ops.local_time(alarm.acknowledged), alarm.acknowledged_by) end
                || coalesce(', shelved until ' || ops.local_time(case when alarm.shelved_until > at then alarm.shelved_until end), '');
        allowed := array['clear', 'shelve'] || allowed;
        if alarm.acknowledged is null then
            allowed := array['acknowledge'] || allowed;
        end if;
    end if;
    if alarm.shelved_until > at then
        allowed := allowed || array['unshelve'];
    end if;
    perform ops.refuse(format('alarm %s is %s: cannot %s; allowed: %s', alarm.id, said, step, array_to_string(allowed, ', ')));
end
$$;

-- Whether the newest thing that happened to an alarm is this: then it is the same call come again.
create function ops.said_before(alarm bigint, what text, who text, note text) returns boolean
language sql stable set search_path = '' as $$
    select coalesce((select (h.what, h.by, h.note) is not distinct from ($2, $3, $4)
                     from ops.alarm_history h where h.alarm = $1 order by h.id desc limit 1), false)
$$;

create function ops.acknowledge_alarm(alarm bigint, who text, note text default null) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    taken ops.alarm;
    at timestamptz;
begin
    perform ops.check_said(who, note);
    taken := ops.take_alarm(alarm);
    at := clock_timestamp();
    if taken.cleared is null and taken.acknowledged_by = who then
        return false;
    elsif taken.cleared is not null or taken.acknowledged is not null then
        perform ops.refuse_step(taken, 'acknowledge');
    end if;
    update ops.alarm l set acknowledged = at, acknowledged_by = who, note = coalesce($3, l.note) where l.id = taken.id;
    insert into ops.alarm_history (alarm, at, what, by, note) values (taken.id, at, 'acknowledged', who, $3);
    return true;
end
$$;
comment on function ops.acknowledge_alarm is 'Somebody takes an active alarm on. False: the same person did so before.';

create function ops.shelve_alarm(alarm bigint, until timestamptz, who text, reason text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    taken ops.alarm;
    at timestamptz;
    longest interval := (select l.shelved from ops.alarm_limit l);
begin
    perform ops.check_said(who, reason, 'reason');
    taken := ops.take_alarm(alarm);
    at := clock_timestamp();
    if taken.cleared is not null then
        perform ops.refuse_step(taken, 'shelve');
    elsif until is null or until <= at or until > at + longest then
        perform ops.refuse(format('alarm %s cannot be shelved %s; allowed: an end after now, until %s', taken.id,
                                  ops.end_in_words(until), ops.local_time(at + longest)));
    elsif taken.shelved_until = until then
        return false;
    end if;
    update ops.alarm l set shelved_until = $2, note = reason where l.id = taken.id;
    insert into ops.alarm_history (alarm, at, what, by, note, detail)
    values (taken.id, at, 'shelved', who, reason, jsonb_build_object('until', $2));
    return true;
end
$$;
comment on function ops.shelve_alarm is
    'Puts an active alarm aside until a time: nobody is called to it, nor to later ones of the same key. False: it is shelved until then already.';

create function ops.unshelve_alarm(alarm bigint, who text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    taken ops.alarm;
    at timestamptz;
begin
    perform ops.check_said(who, null);
    taken := ops.take_alarm(alarm);
    at := clock_timestamp();
    if taken.shelved_until is null and ops.said_before(taken.id, 'unshelved', who, null) then
        return false;
    elsif taken.shelved_until is null or taken.shelved_until <= at then
        perform ops.refuse_step(taken, 'unshelve');
    end if;
    update ops.alarm l set shelved_until = null, called = case when l.cleared is null then at else l.called end where l.id = taken.id;
    insert into ops.alarm_history (alarm, at, what, by) values (taken.id, at, 'unshelved', who);
    return true;
end
$$;
comment on function ops.unshelve_alarm is 'Ends the shelving of an alarm before its time. False: the same person did so just before.';

create function ops.clear_alarm(alarm bigint, who text, note text default null) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    taken ops.alarm;
    at timestamptz;
begin
    perform ops.check_said(who, note);
    taken := ops.take_alarm(alarm);
    at := greatest(clock_timestamp(), taken.last);
    if taken.cleared_by = who then
        return false;
    elsif taken.cleared is not null then
        perform ops.refuse_step(taken, 'clear');
    end if;
    update ops.alarm l set cleared = at, cleared_by = who, note = coalesce($3, l.note) where l.id = taken.id;
    insert into ops.alarm_history (alarm, at, what, by, note) values (taken.id, at, 'cleared', who, $3);
    return true;
end
$$;
comment on function ops.clear_alarm is
    'Somebody closes an alarm. False: the same person did so before. If its cause shows again, it is raised again.';

create function ops.comment_alarm(alarm bigint, who text, note text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    taken ops.alarm;
begin
    perform ops.check_said(who, note, 'note');
    taken := ops.take_alarm(alarm);
    if ops.said_before(taken.id, 'commented', who, $3) then
        return false;
    end if;
    update ops.alarm l set note = $3 where l.id = taken.id;
    insert into ops.alarm_history (alarm, at, what, by, note) values (taken.id, clock_timestamp(), 'commented', who, $3);
    return true;
end
$$;
comment on function ops.comment_alarm is 'Somebody writes a note to an alarm, active or cleared. False: that was the last thing said already.';

create function ops.judge_alarm(alarm bigint, verdict text, who text, note text default null) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    taken ops.alarm;
begin
    perform ops.check_said(who, note);
    taken := ops.take_alarm(alarm);
    if verdict is null or verdict not in ('true', 'false', 'drill') then
        perform ops.refuse(format('alarm %s: verdict %L; allowed: true, false, drill', taken.id, left(verdict, 40)));
    elsif taken.verdict = judge_alarm.verdict then
        return false;
    end if;
    update ops.alarm l set verdict = $2, note = coalesce($4, l.note) where l.id = taken.id;
    insert into ops.alarm_history (alarm, at, what, by, note, detail)
    values (taken.id, clock_timestamp(), 'judged', who, $4, jsonb_build_object('verdict', $2));
    return true;
end
$$;
comment on function ops.judge_alarm is 'Somebody says whether an alarm was true, false or a drill. False: that was said before.';

-- Maintenance.

create function ops.apply_maintenance(at timestamptz, who text, why text) returns table (alarm bigint, what text)
language plpgsql set search_path = '' as $$
#variable_conflict use_column
begin
    if not exists (select from ops.maintenance m where m.ended is null)
       and not exists (select from ops.alarm l where l.cleared is null and l.maintenance_until is not null) then
        return;
    end if;
    return query
    with due as materialized (
        select l.id, w.until
        from ops.alarm l cross join lateral (select ops.maintained_until(l.device, l.area, $1) as until) w
        where l.cleared is null and l.maintenance_until is distinct from w.until
        order by l.id for update of l
    ), moved as (
        update ops.alarm l set maintenance_until = d.until, called = case when d.until is null then $1 else l.called end
        from due d where d.id = l.id returning l.id, l.maintenance_until as until
    )
    insert into ops.alarm_history (alarm, at, what, by, note, detail)
    select m.id, $1, case when m.until is null then 'maintenance_over' else 'maintenance' end, $2, $3,
           case when m.until is not null then jsonb_build_object('until', m.until) end
    from moved m order by m.id
    returning alarm, what;
end
$$;

create function ops.begin_maintenance(area text, device text, since timestamptz, until timestamptz, who text, reason text) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    at timestamptz := clock_timestamp();
    area_id smallint;
    device_id integer;
    number bigint;
    longest interval := (select l.maintenance from ops.alarm_limit l);
    starts timestamptz := coalesce(since, at);
begin
    perform ops.check_said(who, reason, 'reason');
    if (area is null) = (device is null) then
        perform ops.refuse('maintenance: allowed: of one area or of one device');
    end if;
    select a.id into area_id from registry.area a where a.code = begin_maintenance.area;
    select d.id into device_id from registry.device d where d.device = begin_maintenance.device;
    if area is not null and area_id is null then
        perform ops.refuse(format('area %L is not known; allowed: the areas of city.plan', left(area, 40)));
    elsif device is not null and device_id is null then
        perform ops.refuse(format('device %L is not enrolled; allowed: the devices of city.device', left(device, 80)));
    elsif until is null or until <= greatest(starts, at) or until > starts + longest or not isfinite(starts) then
        perform ops.refuse(format('%s cannot be under maintenance %s; allowed: an end after its beginning and after now, at most %s days later',
                                  coalesce(area, device), ops.end_in_words(until), extract(day from longest)));
    end if;
    perform ops.take_turn();
    select m.id into number from ops.maintenance m
    where m.ended is null and m.until = $4 and m.by = who
      and (m.since = $3 or $3 is null and m.since <= at)
      and m.area is not distinct from area_id and m.device is not distinct from device_id;
    if number is null then
        insert into ops.maintenance (area, device, since, until, by, reason)
        values (area_id, device_id, starts, $4, who, $6) returning id into number;
        perform ops.apply_maintenance(clock_timestamp(), who, reason);
    end if;
    return number;
end
$$;
comment on function ops.begin_maintenance is
    'Puts an area (code) or a device (id) under maintenance from a time (null: now) until another: its alarms are recorded, nobody is called. Returns its number in city.maintenance; saying the same again changes nothing.';

create function ops.end_maintenance(maintenance bigint, who text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    taken ops.maintenance;
    at timestamptz;
begin
    perform ops.check_said(who, null);
    perform ops.take_turn();
    at := clock_timestamp();
    select * into taken from ops.maintenance m where m.id = end_maintenance.maintenance for update;
    if not found then
        perform ops.refuse(format('maintenance %s: there is none with this number; allowed: numbers of city.maintenance', coalesce(maintenance::text, 'null')));
    elsif taken.ended_by = who then
        return false;
    elsif taken.ended is not null or taken.until <= at then
        perform ops.refuse(format('maintenance %s is over since %s%s; allowed: to begin another', taken.id,
                                  ops.local_time(coalesce(taken.ended, taken.until)), ' by ' || taken.ended_by));
    end if;
    update ops.maintenance m set ended = at, ended_by = who where m.id = taken.id;
    perform ops.apply_maintenance(at, who, null);
    return true;
end
$$;
comment on function ops.end_maintenance is 'Ends a maintenance before its time, or one that has not begun. False: the same person did so before.';

create function ops.remind_alarms(at timestamptz default clock_timestamp()) returns table (alarm bigint, what text)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
begin
    perform ops.take_turn();
    update ops.maintenance m set ended = m.until where m.ended is null and m.until <= $1;
    return query select * from ops.apply_maintenance($1, 'expiry', null);
    return query
    with due as materialized (
        select l.id from ops.alarm l where l.cleared is null and l.shelved_until <= $1 order by l.id for update
    ), moved as (
        update ops.alarm l set shelved_until = null, called = $1 from due d where d.id = l.id returning l.id
    )
    insert into ops.alarm_history (alarm, at, what, by)
    select m.id, $1, 'unshelved', 'expiry' from moved m order by m.id returning alarm, what;
    return query
    with due as materialized (
        select l.id from ops.alarm_severity s
        join ops.alarm l on l.severity = s.severity
        left join registry.device d on d.id = l.device
        -- so that a storm of what nobody is reminded of is not read
        where l.severity = any(array(select r.severity from ops.alarm_severity r where r.repeat_every is not null))
          and s.repeat_every is not null and l.cleared is null and l.acknowledged is null
          and l.shelved_until is null and l.maintenance_until is null and d.state is distinct from 'maintenance'
          and coalesce(l.called, l.raised) + s.repeat_every <= $1
        order by l.id for update of l
    ), moved as (
        update ops.alarm l set called = $1 from due d where d.id = l.id returning l.id, l.severity
    )
    insert into ops.alarm_history (alarm, at, what, severity)
    select m.id, $1, 'reminded', m.severity from moved m order by m.id returning alarm, what;
end
$$;
comment on function ops.remind_alarms is
    'What time brings about: critical alarms that nobody acknowledges are called out again, shelving and maintenance begin and end. To be called every few seconds; returns what it wrote.';

-- Who may do what.

revoke insert, update on ops.alarm from dothi_analyst;
revoke execute on all functions in schema ops from public;
grant select on ops.alarm_severity, ops.alarm_limit, ops.alarm_transition, ops.alarm_history, ops.alarm_member,
                ops.alarm_evidence, ops.alarm_news, ops.maintenance to dothi_analyst;
grant delete on ops.alarm_news to dothi_analyst;
grant execute on function ops.raise_alarms, ops.clear_alarms, ops.join_alarm, ops.leave_alarm, ops.add_evidence,
                          ops.remind_alarms to dothi_analyst;
grant usage on schema ops to dothi_operator;
grant execute on function ops.acknowledge_alarm, ops.shelve_alarm, ops.unshelve_alarm, ops.clear_alarm,
                          ops.comment_alarm, ops.judge_alarm, ops.begin_maintenance, ops.end_maintenance to dothi_operator;
