-- The highest index of each district, from the indices alone: looking up the device of each row took most of the time.
create view city.air_index_area_1h as
select x.bucket, lpad(x.area::text, 3, '0') as area, max(x.vn_aqi) as vn_aqi, count(*)::integer as devices
from rollup.air_index_1h x group by x.bucket, x.area;
comment on view city.air_index_area_1h is
    'By district and closed hour: the highest VN_AQI of its air quality devices (null: too few hours of dust) and how many devices have a row in city.air_index_1h.';

create view city.air_index_area_1d as
select x.bucket, lpad(x.area::text, 3, '0') as area, max(x.vn_aqi) as vn_aqi, count(*)::integer as devices
from rollup.air_index_1d x group by x.bucket, x.area;
comment on view city.air_index_area_1d is 'By district and local day: as city.air_index_area_1h, of city.air_index_1d.';
