-- What is known of the buckets of areas that are open, so that nobody adds up all devices to see the hour that runs.
create unlogged table rollup.area_open (
    family text not null,
    width text not null,
    bucket timestamptz not null,
    area smallint not null,
    devices integer not null,
    n bigint not null,
    filled double precision not null,
    sums jsonb not null,
    primary key (family, width, bucket, area)
) with (fillfactor = 50);
comment on table rollup.area_open is
    'Open buckets of areas, as rollup.<family>_area_<width> will have them; sums by the names of its columns. '
    'Unlogged: after a crash of the server views add up the readings until the analyst has made it anew.';

create unlogged table rollup.area_open_state (
    family text not null,
    width text not null,
    until timestamptz not null,
    as_of timestamptz not null,
    primary key (family, width)
) with (fillfactor = 50);
comment on table rollup.area_open_state is
    'Up to where rollup.area_open has all open buckets, as at as_of; what is older than ten minutes nobody goes by.';

grant select, insert, update, delete on rollup.area_open, rollup.area_open_state to dothi_analyst;
