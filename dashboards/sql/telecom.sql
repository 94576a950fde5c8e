-- Telecom sites and data centre.

-- name: sites_down
{in_state[telecom_site.site_state.out_of_service]}

-- name: sites_on_battery
{in_state[telecom_site.mains.absent]}
