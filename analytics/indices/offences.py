"""Events of cameras about the same vehicle, folded: what is told again within minutes is the same offence."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

WINDOW_S = 600
"""Seconds within which the same is the same again, counted from the event before: a chain of events is one offence."""
PLACE_M = 150.0
"""Cameras that are not farther than this from the first of them are one place, such as a junction."""
M_PER_DEGREE = 111_320.0


def first_of_each(place: Ints, vehicle: Ints, kind: Ints, time_s: Floats, window_s: float = WINDOW_S) -> Bools:
    """Which events begin an offence: no other of this vehicle, place and kind came within the window before it.

    One entry per event, in any order. `vehicle`: numbers that stand for what the camera told of it, below 0 where it
    told nothing: then each event is an offence of its own. Of events at the same time the first entry begins.
    """
    order = np.lexsort((np.arange(len(time_s)), time_s, kind, vehicle, place))
    columns = (place[order], vehicle[order], kind[order])
    same = np.logical_and.reduce([column[1:] == column[:-1] for column in columns])
    again = same & (vehicle[order][1:] >= 0) & (np.diff(time_s[order]) <= window_s)
    first = np.ones(len(order), np.bool_)
    first[order[1:]] = ~again
    return first


def places(lat: Floats, lon: Floats, within_m: float = PLACE_M) -> Ints:
    """The place of each camera: the entry of the first camera that is near, its own where none before it is.

    One without coordinates (NaN) is a place of its own. Cameras that come later behind the others change no place.
    """
    found = np.arange(len(lat))
    leaders: dict[tuple[int, int], list[int]] = {}
    step = within_m / M_PER_DEGREE
    east = lon * np.cos(np.radians(lat))
    for camera in np.flatnonzero(~np.isnan(lat + lon)).tolist():
        row, column = int(lat[camera] // step), int(east[camera] // step)
        near = [
            leader
            for beside in ((row + up, column + right) for up in (-1, 0, 1) for right in (-1, 0, 1))
            for leader in leaders.get(beside, [])
            if np.hypot(lat[leader] - lat[camera], east[leader] - east[camera]) <= step
        ]
        if near:
            found[camera] = min(near)
        else:
            leaders.setdefault((row, column), []).append(camera)
    return found
