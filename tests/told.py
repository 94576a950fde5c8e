"""Devices and foreign names as a worker is told of them, row by row."""

from typing import NamedTuple

import numpy as np

from devices.changed import Aliases, Devices, Standing, alias_key
from ingest.route import Router


class Change(NamedTuple):
    """A device."""

    id: int
    device: str
    profile: str
    area: str
    area_id: int
    retired: bool


class AliasChange(NamedTuple):
    """A foreign name and the device it stands for."""

    route: str
    foreign_id: str
    device: str


def devices_of(*changes: Change) -> Devices:
    """Columns of rows."""
    return Devices(
        [change.device.encode() for change in changes],
        np.array([change.id for change in changes], dtype=np.int64),
        np.arange(len(changes)),
        [Standing(*change[2:]) for change in changes],
    )


def aliases_of(*aliases: AliasChange) -> Aliases:
    """Columns of rows."""
    return Aliases(
        [alias_key(alias.route, alias.foreign_id) for alias in aliases], [alias.device.encode() for alias in aliases]
    )


def tell(router: Router, *told: Change | AliasChange) -> None:
    """Tell a router of devices and of foreign names, which come after their devices."""
    for one in told:
        if isinstance(one, Change):
            router.take(devices_of(one))
        else:
            router.known.take_aliases(aliases_of(one))
