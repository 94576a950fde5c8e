-- Public address and notice boards.

-- name: clusters_faulty
{in_state[public_address.state.fault]}

-- name: clusters_playing
{in_state[public_address.state.playing]}
