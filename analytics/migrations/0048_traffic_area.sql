-- The flow of each district from the counts alone: looking up the device of each row took most of the time.
create view city.traffic_area_1h as
select t.bucket, lpad(t.area::text, 3, '0') as area, avg(nullif(t.flow, 'NaN')) as flow_veh_h, count(*)::integer as devices
from rollup.traffic_1h t group by t.bucket, t.area;
comment on view city.traffic_area_1h is
    'By district and hour: the mean of the flows of its roads (vehicles an hour, as in city.traffic_1h) and how many devices counted.';
