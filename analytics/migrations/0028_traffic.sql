-- What roads are like: five minutes and hours of each counter, the speed of the empty road; and violations by hour.
create table rollup.traffic_5m (
    bucket timestamptz not null,
    device integer not null,
    vehicles double precision,
    counted_s double precision,
    flow double precision,
    pcu_flow double precision,
    speed double precision,
    occupancy double precision,
    density double precision,
    free_speed double precision,
    travel_index double precision,
    n integer not null,
    area smallint not null,
    service smallint,
    queued boolean
);
select create_hypertable('rollup.traffic_5m', by_range('bucket', interval '1 day'), create_default_indexes => false);
create unique index traffic_5m_key on rollup.traffic_5m (bucket, device);
create index traffic_5m_device on rollup.traffic_5m (device, bucket desc);
comment on table rollup.traffic_5m is
    'Written by the analyst every five minutes, and again when the hour is closed or made anew. service: 0 (A) to 5 (F). What is unknown is NaN, an unknown service -1.';

create table rollup.traffic_1h (
    bucket timestamptz not null,
    device integer not null,
    vehicles double precision,
    counted_s double precision,
    flow double precision,
    pcu_flow double precision,
    speed double precision,
    occupancy double precision,
    density double precision,
    free_speed double precision,
    travel_index double precision,
    planning_index double precision,
    buffer_index double precision,
    queued_min double precision,
    n integer not null,
    days integer not null,
    area smallint not null,
    service smallint
);
select create_hypertable('rollup.traffic_1h', by_range('bucket', interval '7 days'), create_default_indexes => false);
create unique index traffic_1h_key on rollup.traffic_1h (bucket, device);
create index traffic_1h_device on rollup.traffic_1h (device, bucket desc);

create table rollup.traffic_free_speed (
    device integer primary key,
    speed double precision not null,
    evidence double precision not null,
    until timestamptz not null
) with (fillfactor = 70);
comment on table rollup.traffic_free_speed is
    'Speed of the empty road, km/h, learnt from five-minute means of hours up to until; evidence: how many were of a rather empty road.';

create view city.traffic_5m as
select t.bucket, d.device, a.code as area, t.n, nullif(t.vehicles, 'NaN') as vehicles,
       nullif(t.counted_s, 'NaN') as counted_s, nullif(t.flow, 'NaN') as flow_veh_h,
       nullif(t.pcu_flow, 'NaN') as flow_pcu_h,
       nullif(t.speed, 'NaN') as speed_kmh, nullif(t.occupancy, 'NaN') as occupancy,
       nullif(t.density, 'NaN') as density_pcu_km, nullif(t.free_speed, 'NaN') as free_speed_kmh,
       nullif(t.travel_index, 'NaN') as travel_index,
       nullif(substr('ABCDEF', t.service + 1, 1), '') as level_of_service, t.queued
from rollup.traffic_5m t
join registry.device d on d.id = t.device
join registry.area a on a.id = t.area;
comment on view city.traffic_5m is
    'Roads in five minutes: flow in vehicles and passenger car units per hour, mean speed, density (PCU per km of the counted road), level of service A to F (null before the free-flow speed is learnt), queued: slower than half of it and full.';

create view city.traffic_1h as
select t.bucket, d.device, a.code as area, t.n, nullif(t.vehicles, 'NaN') as vehicles,
       nullif(t.counted_s, 'NaN') as counted_s, nullif(t.flow, 'NaN') as flow_veh_h,
       nullif(t.pcu_flow, 'NaN') as flow_pcu_h,
       nullif(t.speed, 'NaN') as speed_kmh, nullif(t.occupancy, 'NaN') as occupancy,
       nullif(t.density, 'NaN') as density_pcu_km, nullif(t.free_speed, 'NaN') as free_speed_kmh,
       nullif(t.travel_index, 'NaN') as travel_index, nullif(t.planning_index, 'NaN') as planning_index,
       nullif(t.buffer_index, 'NaN') as buffer_index, t.days,
       nullif(substr('ABCDEF', t.service + 1, 1), '') as level_of_service, t.queued_min
from rollup.traffic_1h t
join registry.device d on d.id = t.device
join registry.area a on a.id = t.area;
comment on view city.traffic_1h is
    'Roads by hour. planning_index, buffer_index: of this hour of the day over the last 28 days, of which days were measured (null below 5).';

create view city.traffic_state as
select distinct on (t.device) d.device, d.name, a.code as area, d.lat, d.lon, t.bucket as since,
       t.bucket + interval '5 minutes' as as_of, nullif(t.flow, 'NaN') as flow_veh_h,
       nullif(t.pcu_flow, 'NaN') as flow_pcu_h, nullif(t.speed, 'NaN') as speed_kmh,
       nullif(t.occupancy, 'NaN') as occupancy, nullif(t.density, 'NaN') as density_pcu_km,
       nullif(t.free_speed, 'NaN') as free_speed_kmh, nullif(t.travel_index, 'NaN') as travel_index,
       nullif(substr('ABCDEF', t.service + 1, 1), '') as level_of_service, t.queued
from rollup.traffic_5m t
join registry.device d on d.id = t.device
join registry.area a on a.id = t.area
where t.bucket > now() - interval '20 minutes' and d.state <> 'retired'
order by t.device, t.bucket desc;
comment on view city.traffic_state is
    'The newest five minutes of each counter, none older than 20 minutes: who is missing here is not heard, not empty.';

create table rollup.violation_1h (
    bucket timestamptz not null,
    device integer not null,
    events integer not null,
    offences integer not null,
    area smallint not null,
    violation text not null,
    object_class text not null
);
select create_hypertable('rollup.violation_1h', by_range('bucket', interval '7 days'), create_default_indexes => false);
create unique index violation_1h_key on rollup.violation_1h (bucket, device, violation, object_class);

create view city.violation_1h as
select v.bucket, d.device, d.name, a.code as area, v.violation, v.object_class, v.events, v.offences
from rollup.violation_1h v
join registry.device d on d.id = v.device
join registry.area a on a.id = v.area;
comment on view city.violation_1h is
    'Violations that cameras told, by hour: events as they came, offences without what is the same again: one vehicle, one kind of violation, one place within minutes. Told of no vehicle, every event is an offence. Minutes and places: docs/analytics-traffic.md.';
