"""All kinds of happenings by the name under which a scenario asks for them."""

from collections.abc import Mapping

from simulators.effects import attack, connections, faults, fire, river, traffic, weather, wire
from simulators.effects.kinds import Sort

SORTS: Mapping[str, Sort] = {
    **traffic.SORTS,
    **weather.SORTS,
    **river.SORTS,
    **fire.SORTS,
    **faults.SORTS,
    **connections.SORTS,
    **wire.SORTS,
    **attack.SORTS,
}
