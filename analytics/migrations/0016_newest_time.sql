-- The newest reading of each zone and family, so that nobody looks at every device to see how old a feed is.
create unlogged table rollup.newest_time (
    area smallint not null,
    family text not null,
    time timestamptz not null,
    device integer not null,
    primary key (area, family)
) with (fillfactor = 50);
comment on table rollup.newest_time is
    'Written by the analyst in each round. Unlogged: a crash of the database empties it and a later round fills it.';
grant select, insert, update, delete on rollup.newest_time to dothi_analyst;

create view city.newest_time as
select a.code as area, t.family, t.time, (select d.device from registry.device d where d.id = t.device) as device,
       (select r.as_of from rollup.round r) as as_of
from rollup.newest_time t
join registry.area a on a.id = t.area;
comment on view city.newest_time is
    'By zone and family: the time of the newest reading and whose it is, as counted at as_of. A device''s clock may run ahead by minutes.';
