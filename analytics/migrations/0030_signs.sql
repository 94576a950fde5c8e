-- What the engine of alarms has still to look at: findings that came or ended, and events.
create table rollup.sign (
    id bigint generated always as identity primary key,
    finding bigint,
    event bigint,
    began boolean not null default true,
    check ((finding is null) <> (event is null))
);
comment on table rollup.sign is
    'Findings that came or ended and events, that the engine of alarms has not looked at yet. It takes them out in the transaction that raises what follows, so each counts once, whenever it commits. began: the finding is new.';

create index sign_finding on rollup.sign (finding);

create function rollup.note_findings() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into rollup.sign (finding, began) select c.id, tg_op = 'INSERT' from come c;
    return null;
end
$$;
create trigger found after insert on rollup.finding referencing new table as come
    for each statement execute function rollup.note_findings();
create trigger changed after update on rollup.finding referencing new table as come
    for each statement execute function rollup.note_findings();

create function rollup.note_events() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into rollup.sign (event) select c.id from come c;
    return null;
end
$$;
create trigger alarms after insert on ops.event referencing new table as come
    for each statement execute function rollup.note_events();

insert into rollup.sign (finding) select f.id from rollup.finding f where f.until is null order by f.id;

create view rollup.found as
select f.id as finding, f.device, coalesce(d.name, d.device) as name, d.area, d.family, p.profile as model, f.detector, f.metric,
       (extract(epoch from f.since) * 1000000)::bigint as since, (extract(epoch from f.found) * 1000000)::bigint as found,
       (extract(epoch from f.until) * 1000000)::bigint as until, f.score::double precision as score,
       coalesce(f.value, 'NaN') as value, coalesce(f.expected, 'NaN') as expected,
       coalesce(r.lat, d.lat, 'NaN') as lat, coalesce(r.lon, d.lon, 'NaN') as lon, p.interval_s
from rollup.finding f
join registry.device d on d.id = f.device
join registry.profile p on p.id = d.profile
left join lateral city.fire_place(case when f.detector like 'fire-%' and d.family = 'fire_watch' then d.device end, f.found) r on true;
comment on view rollup.found is 'Findings as the engine of alarms reads them, times in µs since 1970.';

revoke execute on function rollup.note_findings, rollup.note_events from public;
grant select, delete on rollup.sign to dothi_analyst;
grant select on rollup.found to dothi_analyst;
