-- What figures of a year are counted from: a few columns of each alarm, read from one index without the rows.
-- What changes while an alarm lasts (last, value, occurrences) is not in it, so that saying it again stays cheap.
create index alarm_times on ops.alarm (raised)
    include (id, severity, area, device, rule, kind, acknowledged, cleared, verdict);

create view city.alarm_times as
select l.id, l.raised, l.severity, a.code as area, l.device as device_number, coalesce(l.rule, l.kind) as rule,
       l.acknowledged, l.cleared, l.verdict
from ops.alarm l left join registry.area a on a.id = l.area;
comment on view city.alarm_times is
    'Every alarm with what figures are counted from, for questions over a year. device_number is internal; names and all else are in city.alarm.';
grant select on city.alarm_times to dothi_reader, dothi_analyst;
