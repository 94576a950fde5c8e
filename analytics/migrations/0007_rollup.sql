-- What rollups are made with: up to where they are closed, and what late readings have touched since.
create table rollup.closed (
    family text not null,
    width text not null check (width in ('1m', '1h', '1d')),
    until timestamptz not null,
    primary key (family, width)
) with (fillfactor = 50);
comment on table rollup.closed is
    'Buckets before until are in the table; views answer the others from finer rows. Moves in the transaction that completes a bucket.';

create table rollup.touched (
    family text not null,
    width text not null,
    device integer not null,
    bucket timestamptz not null,
    primary key (family, width, bucket, device)
);
comment on table rollup.touched is
    'Rows of closed buckets that readings which came later have changed; recomputed within seconds, and then gone from here.';

grant usage on schema rollup to dothi_analyst;
grant select, insert, update, delete on rollup.closed, rollup.touched to dothi_analyst;
alter default privileges in schema rollup grant select, insert, update, delete on tables to dothi_analyst;
grant temporary on database :database to dothi_analyst;
