"""Native messages as devices write them: `{"time": ms, "seq": n, "boot": b, "metrics": {…}}` in JSON.

Numbers are rounded to the decimals of their metric; a value that is not finite (NaN) is a metric left out.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulators.behaviour import Column, Voice, values
from simulators.digits import Field, decimal, scaled, texts, whole
from simulators.draw import Ints, Keys
from simulators.messages import Kind, Messages
from simulators.packets import Part

RENAMED_END = "_value"
"""What a firmware that renames a metric puts behind its name."""


class Writer:
    """Writes the messages of one profile's devices, many at a time."""

    def __init__(self, voices: tuple[Voice, ...]) -> None:
        self.voices = voices
        self._fields = [f'"{voice.metric.name}":{_slot(voice)}'.encode() for voice in voices]
        self._head = b'{"time":%d,"seq":%d,"boot":%d,"metrics":{'
        self._form = self._head + b",".join(self._fields) + b"}}"
        self._words = [texts(_words(voice)) if voice.decimals is None else None for voice in voices]

    def write(self, messages: Messages, columns: Mapping[str, Column]) -> list[bytes]:
        """The payload of each message; per metric one column of values, states as indices."""
        said = [spelt(voice, columns[voice.metric.name]) for voice in self.voices]
        head = (messages.time.tolist(), messages.seq.tolist(), messages.boot.tolist())
        rows = zip(zip(*head, *said, strict=True), complete(columns).tolist(), strict=True)
        return [self._form % row if whole else self._with_gaps(row) for row, whole in rows]

    def parts(self, messages: Messages, columns: Mapping[str, Column]) -> list[Part]:
        """The same payloads as parts of a matrix; all columns are `complete`."""
        parts: list[Part] = [b'{"time":', *whole(messages.time), b',"seq":', *whole(messages.seq)]
        parts += [b',"boot":', *whole(messages.boot), b',"metrics":{']
        for voice, words in zip(self.voices, self._words, strict=True):
            column, mark = columns[voice.metric.name], b"," if voice is not self.voices[0] else b""
            parts.append(b'%s"%s":' % (mark, voice.metric.name.encode()))
            parts += decimal(column, voice.decimals) if voice.decimals is not None else [cast(Field, words)[column]]
        return [*parts, b"}}"]

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

    def _with_gaps(self, row: Sequence[Any]) -> bytes:
        fields = (field % value for field, value in zip(self._fields, row[3:], strict=True) if value == value)
        return self._head % tuple(row[:3]) + b",".join(fields) + b"}}"

    def renamed(self, payload: bytes) -> bytes:
        """The message of a firmware that calls the first metric otherwise: `pm25` becomes `pm25_value`."""
        name = self.voices[0].metric.name
        return payload.replace(f'"{name}":'.encode(), f'"{name}{RENAMED_END}":'.encode(), 1)

    def at_the_top(self, payload: bytes) -> bytes:
        """The message with its first number at the top of the legal range: false, and nothing in it says so."""
        message = msgspec.json.decode(payload)
        for voice in self._first_number():
            message["metrics"][voice.metric.name] = (
                voice.metric.states[-1] if voice.metric.states else voice.metric.high
            )
        return msgspec.json.encode(message)

    def _first_number(self) -> Sequence[Voice]:
        return [voice for voice in self.voices if voice.decimals is not None][:1] or self.voices[:1]


def spoil(payload: bytes, kind: Kind, writer: Writer) -> bytes:
    """The payload with the fault of its kind; as it is, where the kind has none."""
    if kind is Kind.CUT_SHORT:
        return payload[: len(payload) * 2 // 3]
    if kind is Kind.GARBAGE:
        return b"\xff" + blake2b(payload).digest()  # 0xff begins neither a JSON text nor a CBOR item
    if kind is Kind.RENAMED:
        return writer.renamed(payload)
    if kind is Kind.SPOOFED:
        return writer.at_the_top(payload)
    if not kind.faulty:
        return payload
    if kind is Kind.UNKNOWN_METRIC:
        return writer.with_metric(payload, {"firmware_temp_raw": 8191})
    return writer.out_of_range(payload, every=kind is Kind.ALL_OUT_OF_RANGE)


def sample(keys: Keys, time: Ints, seq: int = 10_000, boot: int = 1_764_547_200) -> Messages:
    """Fresh messages of devices that stand in no fleet, at `time` (ms since 1970)."""
    device, count = np.arange(len(keys), dtype=np.uint32), len(keys)
    fresh, once = np.full(count, Kind.FRESH, dtype=np.uint8), np.zeros(count, dtype=np.bool_)
    return Messages(device, device, np.full(count, boot), np.full(count, seq), time, time / 1000.0, fresh, once)


def mean_size(writer: Writer, samples: int = 200) -> float:
    """Bytes of a payload on average, measured over a day of messages of different devices."""
    keys = np.arange(1, samples + 1, dtype=np.uint64)
    time = 1_764_547_200_000 + (np.arange(samples, dtype=np.int64) * (86_400_000 // samples))
    written = writer.write(sample(keys, time), values(writer.voices, keys, time / 1000.0))
    return sum(map(len, written)) / len(written)


def _slot(voice: Voice) -> str:
    if voice.decimals is None:
        return "%s"
    return "%d" if voice.decimals == 0 else f"%.{voice.decimals}f"


def spelt(voice: Voice, column: Column) -> list[Any]:
    """A column as the form takes it: numbers, and states as words in quotes."""
    if voice.decimals is not None:
        unit = 10.0**voice.decimals
        return cast(list[Any], (scaled(column, voice.decimals) / unit + 0.0).tolist())  # 0.0: never "-0"
    words = _words(voice)
    return [words[number] for number in column.tolist()]


def complete(columns: Mapping[str, Column]) -> NDArray[np.bool_]:
    """Which rows have a value in every column."""
    return np.asarray(np.logical_and.reduce([np.isfinite(column) for column in columns.values()]), dtype=np.bool_)


def _words(voice: Voice) -> list[bytes]:
    return [msgspec.json.encode(word) for word in voice.metric.states]


def _impossible(voice: Voice) -> Any:
    if voice.decimals is None:
        return "?"
    return round(abs(voice.metric.high) * 10 + 1000, 1)
