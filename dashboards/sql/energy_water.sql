-- Energy and water.

-- name: power_now
{altogether[meter.active_power_avg]}

-- name: water_now
{altogether[water_meter.flow_rate_avg]}

-- name: energy_used
WITH {zone},
{areas[meter.total_active_energy_import_increase]},
{grid}
{area_lines}

-- name: water_used
WITH {zone},
{areas[water_meter.total_volume_increase]},
{grid}
{area_lines}
