-- How many devices are in which state, so that nobody looks through all of a large family to know how many lamps burn.
create unlogged table rollup.state_count (
    family text not null,
    area text not null,
    metric text not null,
    state text not null,
    devices integer not null check (devices > 0),
    as_of timestamptz not null,
    primary key (family, area, metric, state)
) with (fillfactor = 50);
comment on table rollup.state_count is
    'Written by the analyst, a family at a time. Unlogged: a crash of the database empties it and a later count fills it.';
grant select, insert, delete on rollup.state_count to dothi_analyst;

create view city.state_count as select area, family, metric, state, devices, as_of from rollup.state_count;
comment on view city.state_count is
    'Devices by zone, family, metric and the state that their newest reading has, as counted at as_of; who has never told a state is in none.';
