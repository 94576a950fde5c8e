"""Sensor Measurement Lists (SenML, RFC 8428) in JSON and CBOR → one document per device and time.

Everything in RFC 8428 but XML and EXI: base fields, sums, version, relative time, fields that must be understood; units
of RFC 8798. Senders' limits that do no harm (the order of records, of base fields) are not policed.
"""

import re
from base64 import urlsafe_b64encode
from typing import Any, NamedTuple

from devices.codecs.cbor import decode_cbor
from devices.codecs.json_text import decode_json
from devices.codecs.senml_units import SENML_UNITS, measured
from devices.codecs.struct_scan import put
from devices.raw import as_number, shown
from devices.rejected import Reason, Rejected

VERSION = 10
RELATIVE_BELOW = 2**28
"""Seconds: a smaller time is relative to now (RFC 8428, 4.5.3)."""
MAX_RECORDS = 10_000
MAX_CBOR = 65_536  # bytes
LARGEST_INTEGER = 2.0**63
LABELS = {
    **{-1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs"},
    **{0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd"},
}
TEXTS, NUMBERS, VALUES = ("bn", "bu", "n", "u", "vs"), ("bt", "bv", "bs", "v", "s", "t", "ut"), ("v", "vs", "vb", "vd")
KNOWN = {*LABELS.values()}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-:./_]*")
# RFC 9039: the id of a device, behind it its components (`_humidity`) or, as the examples of RFC 8428 have it, a name.
DEVICE_URN = re.compile(r"(urn:dev:[a-z0-9]+:[A-Za-z0-9.\-]+)(?:[:/_](.*))?")


class Record(NamedTuple):
    """A resolved record. `time`: seconds since 1970, or relative to receipt when below 2^28; `values`: by `v`, `s` …"""

    base: str
    own: str
    time: float
    unit: str | None
    values: dict[str, Any]


class _Bad(Exception):
    def __init__(self, rejected: Rejected) -> None:
        super().__init__(rejected.detail)
        self.rejected = rejected


def decode_senml(payload: bytes) -> list[dict[str, Any]] | Rejected:
    """The documents of a pack, at least one, or Rejected.

    Each `{"device": name or None, "time": s since 1970 or "ago": s before receipt, "data": {name: value, …}, "units":
    {name: UCUM}}`. Neither time nor ago: measured at receipt.
    """
    pack = from_cbor(payload) if payload[:1] > b"\x7f" else decode_json(payload)
    if isinstance(pack, Rejected):
        return pack
    try:
        return documents(resolved(pack))
    except _Bad as bad:
        return bad.rejected


def from_cbor(payload: bytes) -> object:
    """A pack in CBOR, whose labels are numbers (RFC 8428, 6), or Rejected."""
    if len(payload) <= MAX_CBOR:
        return decode_cbor(payload, integer_keys=True)
    detail = f"{len(payload)} bytes; expected at most {MAX_CBOR} of SenML in CBOR; send smaller packs, more often"
    return Rejected("codec", Reason.TOO_LARGE, None, str(len(payload)), detail)


def resolved(pack: object) -> list[Record]:
    """The records with their base values applied (RFC 8428, 4.6). Raises _Bad."""
    if not isinstance(pack, list) or not pack:
        raise _wrong(0, None, pack, 'a SenML pack is a list of records, such as [{"bn": "urn:dev:mac:…", "v": 1}]')
    if len(pack) > MAX_RECORDS:
        detail = f"{len(pack)} records; expected at most {MAX_RECORDS}; send smaller packs, more often"
        raise _Bad(Rejected("codec", Reason.TOO_LARGE, None, str(len(pack)), detail))
    base: dict[str, Any] = {}
    records = []
    for number, entry in enumerate(pack, 1):
        record = labelled(entry, number)
        base.update((key, value) for key, value in record.items() if key[0] == "b")
        if base.get("bver", VERSION) > VERSION:
            problem = f"version {base['bver']}; versions up to {VERSION} are understood; send packs of that version"
            raise _wrong(number, "bver", base["bver"], problem)
        if one := resolve(record, base, number):
            records.append(one)
    if not records:
        raise _wrong(0, None, None, "no record has a value (v, vs, vb, vd or s); only base fields")
    return records


def labelled(entry: object, number: int) -> dict[str, Any]:
    """A record's known fields by their JSON names, each of its type. Raises _Bad."""
    if not isinstance(entry, dict):
        raise _wrong(number, None, entry, "a record is an object with fields such as n, u, v")
    record: dict[str, Any] = {integer_label(key): value for key, value in entry.items()}
    for key in record:
        if key.endswith("_"):
            raise _wrong(
                number, key, record[key], f"{key} ends with _: who does not understand it must refuse the pack"
            )
    for key in record.keys() & KNOWN:
        record[key] = typed(key, record[key], number)
    return {key: value for key, value in record.items() if key in KNOWN}


def integer_label(key: object) -> str:
    """The name of a CBOR label, which may have become text on its way: -2 is bn."""
    text = str(key)
    return LABELS.get(int(text), text) if re.fullmatch(r"-?\d", text) else text


def typed(key: str, value: object, number: int) -> object:
    """A field's value in its type. Raises _Bad."""
    if key in NUMBERS:
        found = as_number(value)
        if found is not None:
            return value if isinstance(value, int) and abs(found) < LARGEST_INTEGER else found
        raise _wrong(number, key, value, f"{key} is a number")
    fits = {
        "bver": type(value) is int and value > 0,
        "vb": isinstance(value, bool),
        "vd": isinstance(value, str | bytes),
    }.get(key, isinstance(value, str))
    if not fits:
        kind = {"bver": "a whole number above 0", "vb": "true or false", "vd": "data"}.get(key, "a text")
        raise _wrong(number, key, value, f"{key} is {kind}")
    return urlsafe_b64encode(value).rstrip(b"=").decode() if isinstance(value, bytes) else value


def resolve(record: dict[str, Any], base: dict[str, Any], number: int) -> Record | None:
    """One record with the base values; None when it only sets those. Raises _Bad."""
    values = {key: record[key] for key in (*VALUES, "s") if key in record}
    if len(values.keys() - {"s"}) > 1:
        raise _wrong(number, None, sorted(values), "more than one of v, vs, vb, vd; a record has one value")
    if not values and "bv" in record and "n" in record:
        values["v"] = 0
    if not values:
        return None
    for key, its_base in (("v", "bv"), ("s", "bs")):
        if key in values and its_base in base:
            values[key] += base[its_base]
    name = base.get("bn", "") + record.get("n", "")
    if not NAME.fullmatch(name):
        problem = "a name starts with a letter or a digit and holds only A-Z a-z 0-9 - : . / _"
        raise _wrong(number, "n", name, problem if name else "neither bn nor n names what was measured")
    if "ut" in record:
        values["ut"] = record["ut"]
    time = base.get("bt", 0) + record.get("t", 0)
    return Record(base.get("bn", ""), record.get("n", ""), time, record.get("u", base.get("bu")), values)


def device_and_name(record: Record) -> tuple[str | None, str]:
    """What names the device, and what is left for the measurement.

    A device URN says itself where it ends; else the base name is the device; else what stands before the last / or :.
    """
    whole = record.base + record.own
    urn = DEVICE_URN.fullmatch(whole)
    if urn:
        return urn[1], urn[2] or measured(record.unit)
    if record.base and record.own:
        return record.base.rstrip(":/_"), record.own
    if record.base:
        return record.base.rstrip(":/_"), measured(record.unit)
    before, _, after = whole.rpartition("/") if "/" in whole else whole.rpartition(":")
    return before.rstrip(":/") or None, after or measured(record.unit)


def documents(records: list[Record]) -> list[dict[str, Any]]:
    """One document for each device and time, in the order in which they first appear."""
    found: dict[tuple[str | None, float], dict[str, Any]] = {}
    for record in records:
        device, name = device_and_name(record)
        document = found.get((device, record.time))
        if document is None:
            document = found[device, record.time] = {"device": device, **when(record.time), "data": {}, "units": {}}
        value = next((record.values[key] for key in VALUES if key in record.values), None)
        if value is not None:
            put(document["data"], name, value)
            key = next(reversed(document["data"]))
            if record.unit is not None and isinstance(value, int | float):
                document["units"][key] = SENML_UNITS.get(record.unit, record.unit)
        for extra, label in (("s", "sum"), ("ut", "update_s")):
            if extra in record.values:
                put(document["data"], f"{name}_{label}", record.values[extra])
    return [*found.values()]


def when(time: float) -> dict[str, float]:
    """The time of a document: absolute, before receipt, or at receipt."""
    if time >= RELATIVE_BELOW:
        return {"time": time}
    return {"ago": -time} if time else {}


def _wrong(number: int, field: str | None, value: object, problem: str) -> _Bad:
    where = f"record {number}: " if number else ""
    return _Bad(Rejected("codec", Reason.WRONG_SHAPE, field, shown(value), f"{where}{problem} (SenML, RFC 8428)"))
