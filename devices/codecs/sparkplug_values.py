"""The data types of Sparkplug B (3.0, section 6.4.16): what a `oneof value` means under a type, and the reverse."""

import struct
from enum import IntEnum
from math import isfinite
from typing import Any

from devices.codecs.sparkplug import Message

LARGEST_BYTES = 256
"""Bytes and files up to this size are kept as they are; of larger ones only the size, for pictures are no readings."""
LONGEST_ARRAY = 65_536


class DataType(IntEnum):
    """The indexes of the schema."""

    Unknown = 0
    Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float, Double, Boolean = range(1, 12)
    String, DateTime, Text, UUID, DataSet, Bytes, File, Template, PropertySet, PropertySetList = range(12, 22)
    Int8Array, Int16Array, Int32Array, Int64Array, UInt8Array, UInt16Array, UInt32Array, UInt64Array = range(22, 30)
    FloatArray, DoubleArray, BooleanArray, StringArray, DateTimeArray = range(30, 35)


NAMES = {kind.name.lower(): kind for kind in DataType}
SIGNED: dict[int | None, int] = {1: 8, 2: 16, 3: 32, 4: 64}
"""Int8 to Int64 by their width in bits."""
UNSIGNED: dict[int | None, int] = {5: 8, 6: 16, 7: 32, 8: 64, 13: 64}
"""UInt8 to UInt64, and DateTime."""
TEXTS: frozenset[int | None] = frozenset((DataType.String, DataType.Text, DataType.UUID))
ITEMS = dict(
    zip(range(DataType.Int8Array, DataType.BooleanArray), "bhiqBHIQfd", strict=True),
) | {int(DataType.DateTimeArray): "Q"}
VALUE_NAMES = frozenset(
    f"{name}_value"
    for name in (
        *("int", "long", "float", "double", "boolean", "string", "bytes"),
        *("dataset", "template", "propertyset", "propertysets", "extension"),
    )
)


class WrongValue(ValueError):
    """A value that its declared type cannot hold; the text says which and what is expected."""


def value_in(message: Message, datatype: int | None) -> Any:
    """The value of a metric, property, parameter or cell, read as its type: numbers (DateTime: ms since 1970), true or
    false, text, bytes, lists; a data set as its columns and rows. None when it is null or absent. Raises WrongValue.

    Integers are taken from both integer fields, floats from every number field: senders disagree on which holds what.
    """
    name = next((name for name in reversed(message) if name in VALUE_NAMES), None)
    if name is None or message.get("is_null"):
        return None
    raw = message[name]
    if name == "dataset_value":
        return rows_of(raw)
    if name == "propertyset_value":
        return properties_of(raw)
    if name == "propertysets_value":
        return [properties_of(inner) for inner in raw.get("propertyset", ())]
    if name == "bytes_value":
        is_array = datatype is not None and DataType.Int8Array <= datatype <= DataType.DateTimeArray
        return array_of(raw, datatype or 0) if is_array else short(raw)
    return scalar_of(raw, name, datatype)


def scalar_of(raw: Any, name: str, datatype: int | None) -> Any:
    """A number, text or truth value under its type; as it stands under a type that we do not know."""
    if datatype in SIGNED or datatype in UNSIGNED:
        return integer_of(raw, DataType(datatype or 0))
    if datatype in (DataType.Float, DataType.Double):
        return number_of(raw, name)
    if datatype == DataType.Boolean:
        return truth_of(raw)
    if datatype in TEXTS and not isinstance(raw, str):
        raise WrongValue(f"{DataType(datatype or 0).name} stands in {name}; expected string_value")
    return shortest(raw) if name == "float_value" else raw


def integer_of(raw: Any, datatype: DataType) -> int:
    """An integer of the type's width. Negative ones come in two's complement of their own width, of 32 or 64 bits."""
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise WrongValue(f"{datatype.name} is {type(raw).__name__}; expected int_value or long_value")
    bits = SIGNED.get(datatype)
    if bits is None:
        if raw >> UNSIGNED[datatype]:
            raise WrongValue(f"{raw} does not fit {datatype.name}")
        return raw
    for width in (bits, 32, 64):
        if raw >> width == 0:
            number = raw - (1 << width) if raw >> (width - 1) else raw
            if -(1 << (bits - 1)) <= number < 1 << (bits - 1):
                return number
    raise WrongValue(f"{raw} does not fit {datatype.name}")


def number_of(raw: Any, name: str) -> float:
    """A float; one of 32 bits as the shortest decimal that means it, so that 0.1 is 0.1."""
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise WrongValue(f"a number stands in {name}; expected float_value or double_value")
    return shortest(float(raw)) if name == "float_value" else float(raw)


def shortest(number: float) -> float:
    """The decimal with fewest digits that is the same 32-bit float."""
    if not isfinite(number):
        return number
    wanted = struct.pack("<f", number)
    for digits in range(6, 10):
        near = float(f"{number:.{digits}g}")
        if abs(near) < 3.4e38 and struct.pack("<f", near) == wanted:
            return near
    return number


def truth_of(raw: Any) -> bool:
    """True or false, 0 and 1 included."""
    if isinstance(raw, bool) or raw in (0, 1):
        return bool(raw)
    raise WrongValue(f"Boolean is {raw!r:.40}; expected boolean_value")


def array_of(raw: bytes, datatype: int) -> list[Any]:
    """The items of an array (section 6.4.17): packed little-endian; booleans as bits, high bit first, after a count
    of 32 bits; texts each ended by a zero. Raises WrongValue."""
    if len(raw) > LONGEST_ARRAY:
        raise WrongValue(f"an array of {len(raw)} bytes; expected at most {LONGEST_ARRAY}")
    if datatype == DataType.StringArray:
        texts = raw.decode("utf-8", "replace").split("\0")
        return texts[:-1] if texts[-1] == "" else texts
    if datatype == DataType.BooleanArray:
        return bits_of(raw)
    item = ITEMS[datatype]
    if len(raw) % struct.calcsize(f"<{item}"):
        raise WrongValue(f"{DataType(datatype).name} of {len(raw)} bytes; expected whole items")
    items = [found for (found,) in struct.iter_unpack(f"<{item}", raw)]
    return [shortest(one) for one in items] if item == "f" else items


def bits_of(raw: bytes) -> list[bool]:
    """The truth values of a BooleanArray."""
    count = int.from_bytes(raw[:4], "little")
    if len(raw) < 4 or (count + 7) // 8 > len(raw) - 4:
        raise WrongValue(f"BooleanArray of {len(raw)} bytes says that it holds {count} values; it was cut off")
    return [bool(raw[4 + at // 8] >> (7 - at % 8) & 1) for at in range(count)]


def short(raw: bytes) -> Any:
    """Bytes as they are, or only how many when they are many."""
    return raw if len(raw) <= LARGEST_BYTES else {"bytes": len(raw)}


def rows_of(data_set: Message) -> dict[str, Any]:
    """A data set as its columns and rows; a cell that does not fit its type is None."""
    types = data_set.get("types", [])
    rows = []
    for row in data_set.get("rows", ()):
        cells = row.get("elements", ())
        rows.append([quietly(cell, types[at] if at < len(types) else None) for at, cell in enumerate(cells)])
    return {"columns": data_set.get("columns", []), "rows": rows}


def properties_of(properties: Message) -> dict[str, Any]:
    """A property set as names and values."""
    pairs = zip(properties.get("keys", ()), properties.get("values", ()), strict=False)
    return {key: quietly(value, value.get("type")) for key, value in pairs}


def quietly(message: Message, datatype: int | None) -> Any:
    """A value that only accompanies a metric: None when it does not fit its type."""
    try:
        return value_in(message, datatype)
    except WrongValue:
        return None


def value_fields(value: Any, datatype: DataType) -> Message:
    """The `oneof value` that holds a value of a type: what `value_in` reads back. Raises KeyError, struct.error,
    OverflowError for what the type cannot hold."""
    if value is None:
        return {"is_null": True}
    if datatype in SIGNED or datatype in UNSIGNED:
        bits = SIGNED.get(datatype) or UNSIGNED[datatype]
        return {"long_value" if bits == 64 else "int_value": value & ((1 << max(bits, 32)) - 1)}
    if datatype >= DataType.Int8Array:
        return {"bytes_value": array_bytes(value, datatype)}
    return {_FIELD[datatype]: value}


def array_bytes(items: list[Any], datatype: DataType) -> bytes:
    """The bytes of an array."""
    if datatype == DataType.StringArray:
        return b"".join(text.encode() + b"\0" for text in items)
    if datatype == DataType.BooleanArray:
        packed = bytearray((len(items) + 7) // 8)
        for at, item in enumerate(items):
            packed[at // 8] |= item << (7 - at % 8)
        return len(items).to_bytes(4, "little") + bytes(packed)
    return struct.pack(f"<{len(items)}{ITEMS[datatype]}", *items)


_FIELD: dict[DataType, str] = {
    DataType.Float: "float_value",
    DataType.Double: "double_value",
    DataType.Boolean: "boolean_value",
    **dict.fromkeys((DataType.String, DataType.Text, DataType.UUID), "string_value"),
    DataType.Bytes: "bytes_value",
    DataType.File: "bytes_value",
}
