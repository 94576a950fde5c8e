"""Native messages as devices write them: `{"time": ms, "seq": n, "boot": b, "metrics": {…}}` in JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from simulators.behaviour import Voice, values
from simulators.draw import Ints, Keys


class Writer:
    """Writes the messages of one profile's devices, many at a time."""

    def __init__(self, voices: tuple[Voice, ...]) -> None:
        self.voices = voices
        fields = ",".join(f'"{voice.metric.name}":{_slot(voice)}' for voice in voices)
        self._form = ('{"time":%d,"seq":%d,"boot":%d,"metrics":{' + fields + "}}").encode()

    def write(self, keys: Keys, time: Ints, seq: Ints, boot: int) -> list[bytes]:
        """One payload per device key. `time`: ms since 1970."""
        columns = [column.tolist() for column in values(self.voices, keys, time / 1000.0).values()]
        columns = [_words(c) if v.decimals is None else c for v, c in zip(self.voices, columns, strict=True)]
        head = (time.tolist(), seq.tolist(), [boot] * len(keys))
        return [self._form % row for row in zip(*head, *columns, strict=True)]

    def out_of_range(self, payload: bytes, *, every: bool) -> bytes:
        """The message with an impossible value in its first numeric metric, or in every metric."""
        message = msgspec.json.decode(payload)
        for voice in self._first_number() if not every else self.voices:
            message["metrics"][voice.metric.name] = _impossible(voice)
        return msgspec.json.encode(message)

    def with_metric(self, payload: bytes, extra: Mapping[str, Any]) -> bytes:
        """The message with metrics added that its profile does not have."""
        message = msgspec.json.decode(payload)
        message["metrics"].update(extra)
        return msgspec.json.encode(message)

    def _first_number(self) -> Sequence[Voice]:
        return [voice for voice in self.voices if voice.decimals is not None][:1] or self.voices[:1]


def mean_size(writer: Writer, samples: int = 200) -> float:
    """Bytes of a payload on average, measured over a day of messages of different devices."""
    keys = np.arange(1, samples + 1, dtype=np.uint64)
    time = 1_764_547_200_000 + (np.arange(samples, dtype=np.int64) * (86_400_000 // samples))
    sizes = [
        len(payload) for payload in writer.write(keys, time, np.full(samples, 10_000, dtype=np.int64), 1_764_547_200)
    ]
    return sum(sizes) / len(sizes)


def _slot(voice: Voice) -> str:
    if voice.decimals is None:
        return "%s"
    return "%d" if voice.decimals == 0 else f"%.{voice.decimals}f"


def _words(column: list[Any]) -> list[bytes]:
    return [msgspec.json.encode(word) for word in column]


def _impossible(voice: Voice) -> Any:
    if voice.decimals is None:
        return "?"
    return round(abs(voice.metric.high) * 10 + 1000, 1)
