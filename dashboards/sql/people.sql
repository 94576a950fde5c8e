-- Health, education, industry.

-- name: room_air
{extreme[classroom.co2_avg.DESC]}

-- name: vibration
{extreme[machine.vibration_velocity_avg.DESC]}
