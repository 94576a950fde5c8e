"""What the simulator would send for a profile, judged by that profile: the law that both keep to the same file."""

from collections.abc import Iterator

import numpy as np

from devices.profile import Profile
from devices.reading import Reading
from simulators.behaviour import BehaviourError, Voice, values, voices
from simulators.draw import Floats, Keys
from simulators.payload import Writer
from simulators.payload import sample as messages_at

DEVICES, MOMENTS = 12, 48
NEW_YEAR_S = 1_767_200_400.0  # 2026-01-01T00:00:00+07:00
YEAR_S = 365 * 86_400.0


def speaks_true(profile: Profile) -> Iterator[str]:
    """Messages of several devices over a year that the profile itself would refuse, in whole or in part.

    The simulator writes our own format only; of a foreign profile with a behaviour the values are judged.
    """
    if profile.route is not None and not profile.behaviour:
        return
    try:
        spoken = voices(profile)
    except BehaviourError as error:
        yield str(error)
        return
    keys, seconds = sample()
    yield from outside(spoken, keys, seconds)
    if profile.route is None:
        yield from refused(profile, spoken, keys, seconds)


def sample() -> tuple[Keys, Floats]:
    """Device keys and moments, spread over devices, hours and seasons."""
    keys = np.repeat(np.arange(1, DEVICES + 1, dtype=np.uint64), MOMENTS)
    moments = NEW_YEAR_S + np.linspace(0, YEAR_S, MOMENTS, endpoint=False)
    return keys, np.tile(moments, DEVICES)


def outside(spoken: tuple[Voice, ...], keys: Keys, seconds: Floats) -> Iterator[str]:
    """Metrics with a value that is not legal."""
    for voice, column in zip(spoken, values(spoken, keys, seconds).values(), strict=True):
        metric = voice.metric
        low, high = (0, len(metric.states) - 1) if metric.states else (metric.low, metric.high)
        legal = (column >= low) & (column <= high)
        if not legal.all():
            yield f"the simulator says {metric.name} {column[~legal][0]}; expected {metric.states or 'its range'}"


def refused(profile: Profile, spoken: tuple[Voice, ...], keys: Keys, seconds: Floats) -> Iterator[str]:
    """Messages that are not stored in full."""
    time = (seconds * 1000).astype(np.int64)
    for payload in Writer(spoken).write(messages_at(keys, time), values(spoken, keys, time / 1000.0)):
        (result,) = profile.read(payload)
        if not isinstance(result, Reading) or result.extra is not None:
            yield f"the simulator's {payload[:200]!r} is not stored in full: {result}"
            return
