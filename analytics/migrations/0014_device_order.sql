-- Apart from the column itself, whose lock must not last as long as filling it.
update registry.device d set family = p.family from registry.profile p where p.id = d.profile and d.family is null;

-- "The first devices of a zone" and "of a zone and a family" in order, without sorting or looking at others.
create index device_by_area on registry.device (lpad(area::text, 3, '0'), device);
create index device_by_area_and_family on registry.device (lpad(area::text, 3, '0'), family, device);
analyze registry.device;
