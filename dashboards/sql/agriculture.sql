-- Agriculture.

-- name: least_oxygen
{extreme[aquaculture.dissolved_oxygen_avg.ASC]}

-- name: driest_soil
{extreme[soil.soil_moisture_avg.ASC]}
