-- What late readings of counters and states change in later buckets is looked up for many at once, in the passes in which
-- rows are made anew: each look is planned for the hour it concerns, which costs more than the look. Until then they wait here.
create table rollup.late (
    family text not null,
    device integer not null,
    time timestamptz not null,
    metrics bigint not null,
    primary key (family, device, time)
);
comment on table rollup.late is
    'Late readings whose later buckets are still to be looked up; metrics: the bits of the family''s counters and states that each has. Gone with the next pass.';
comment on table rollup.touched is
    'Rows of closed buckets that readings which came later have changed; made anew in the next pass, and then gone from here.';
