-- What the history lake holds, and what the tables held when it was last compared with them.

create table ops.lake (
    family text not null,
    day date not null,
    part integer not null,
    file text not null,
    rows bigint not null check (rows > 0),
    bytes bigint not null,
    sha256 bytea not null,
    verified timestamptz not null,
    dropped timestamptz,
    primary key (family, day, part)
);
comment on table ops.lake is
    'Parquet files of the history lake by family and local day (Asia/Ho_Chi_Minh), under DOTHI_LAKE. verified: read back and found equal to the table; '
    'dropped: since when the lake alone has the whole day.';

create table ops.lake_slice (
    family text not null,
    day date not null,
    from_time timestamptz not null,
    to_time timestamptz not null,
    rows bigint not null,
    digest numeric not null,
    verified timestamptz not null,
    dropped timestamptz,
    primary key (family, day, from_time)
);
comment on table ops.lake_slice is
    'The part of a local day that one chunk holds, as it was when all its rows were known to be in the lake: how many, and the sum of their hashes. '
    'A chunk is dropped only while this is still true of it.';

create view city.lake as
select family, day, part, file, rows, bytes, encode(sha256, 'hex') as sha256, verified, dropped from ops.lake;
comment on view city.lake is 'Files of the history lake; days are those of Asia/Ho_Chi_Minh.';

create index event_kind on ops.event (kind, time desc);
