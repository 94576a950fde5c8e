-- The record of alarms. Raising, folding and closing them comes with the rules; the shape is settled here.
create table ops.alarm (
    id bigint generated always as identity primary key,
    kind text not null,
    severity text not null check (severity in ('warning', 'minor', 'major', 'critical')),
    device integer,
    area smallint,
    raised timestamptz not null default now(),
    acknowledged timestamptz,
    acknowledged_by text,
    cleared timestamptz,
    shelved_until timestamptz,
    value double precision,
    message text not null,
    check (cleared is null or cleared >= raised)
);
create index alarm_active on ops.alarm (raised) where cleared is null;

create view city.alarm as
select l.id, l.kind, l.severity, d.device, a.code as area, l.raised, l.acknowledged, l.acknowledged_by as by,
       l.cleared, l.shelved_until, l.value, l.message
from ops.alarm l
left join registry.device d on d.id = l.device
left join registry.area a on a.id = l.area;

grant usage on schema rollup to dothi_analyst;
grant select, insert, update on ops.alarm to dothi_analyst;
