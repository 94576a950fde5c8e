-- What detectors find, and where they and the indices of hours and days have got to.
create table rollup.finding (
    id bigint generated always as identity primary key,
    device integer not null,
    detector text not null,
    metric text not null,
    since timestamptz not null,
    found timestamptz not null,
    until timestamptz,
    score real not null,
    value double precision,
    expected double precision
);
create unique index finding_open on rollup.finding (device, detector, metric) where until is null;
create index finding_since on rollup.finding (since desc);
create index finding_of_device on rollup.finding (device, since desc);
comment on table rollup.finding is
    'What a detector found of a device, from the first sign (since) to the end (until; null: it lasts). found: when it was sure. metric is empty where it is about the whole device.';

create table rollup.detecting (
    family text primary key,
    xid xid8 not null
) with (fillfactor = 50);
comment on table rollup.detecting is
    'Up to which position of the stream what detectors find is in rollup.finding; moves in the transaction that writes it.';

create table rollup.detector_state (
    family text not null,
    first integer not null,
    xid xid8 not null,
    packed bytea not null,
    primary key (family, first)
);
comment on table rollup.detector_state is
    'What detectors remember of a range of devices, as after all batches up to xid; analytics/detectors/pack.py says how.';
alter table rollup.detector_state alter column packed set storage external;  -- packing it would cost more than writing it

create table rollup.detector_words (
    detector text primary key,
    title_vi text not null,
    title_en text not null
);
comment on table rollup.detector_words is 'What each detector finds, in words; made from analytics/detectors/words.yaml at each migration.';

create view city.finding as
select f.id, d.device, d.name, lpad(d.area::text, 3, '0') as area, d.family, f.detector, nullif(f.metric, '') as metric,
       f.since, f.until, f.found, f.score, f.value, f.expected, w.title_vi, w.title_en
from rollup.finding f
join registry.device d on d.id = f.device
left join rollup.detector_words w on w.detector = f.detector;
comment on view city.finding is
    'What detectors found: open ones (until is null) and those that are over. value: what was seen, expected: what was to be, in the unit of the metric.';

-- Which buckets of rollups an index has taken in; and which were made anew because readings came late.
create table rollup.remade (
    family text not null,
    width text not null,
    bucket timestamptz not null,
    xid xid8 not null default pg_current_xact_id(),
    primary key (family, width, bucket)
);
comment on table rollup.remade is
    'Closed buckets of which rows were made anew, with the last transaction that did. What is reckoned from them is reckoned anew.';

create table rollup.bulletin (
    name text not null,
    family text not null,
    width text not null,
    until timestamptz not null,
    xid xid8 not null,
    primary key (name, family, width)
) with (fillfactor = 50);
comment on table rollup.bulletin is
    'Up to which bucket, and which transaction of rollup.remade, an index has taken in the rollups of a family.';

grant select on rollup.finding, rollup.detecting, rollup.detector_state, rollup.detector_words, rollup.remade, rollup.bulletin to dothi_analyst;
