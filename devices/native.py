"""Our own message `{"time", "seq", "boot", "metrics": {…}}` → Reading. Every reading passes here: it is kept lean."""

from collections.abc import Callable
from math import nan

from devices.family import Family
from devices.raw import TooDeep, clean, shown, storable
from devices.reading import Reading, hash_seq
from devices.rejected import Reason, Rejected
from devices.time import parse_time
from devices.values import no_metric, value_of

Extra = dict[str, object]
PLAIN = frozenset((str, int, float, bool))
"""What nests nothing."""
MAX_SEQ = 2**63 - 1
MAX_TIME_MS = 253_402_300_799_999  # the end of year 9999
KNOWN = frozenset(("time", "seq", "boot", "metrics"))
WAY = ("radio", "server")
"""Names in `extra` for how a message reached us: they may differ when it comes again and be the same reading."""
RESERVED = frozenset(("rejected", "reasons", *WAY))


def native_reader(family: Family) -> Callable[[object, bytes], Reading | Rejected]:
    """The function that makes a reading of the family from one decoded message and its bytes."""
    blank = [nan] * len(family.metrics)
    # A state's range is empty here, so that only numbers that need no second look pass the quick comparison.
    fields = {m.name: (place, *((1.0, 0.0) if m.states else (m.low, m.high))) for place, m in enumerate(family.metrics)}

    def read(item: object, payload: bytes) -> Reading | Rejected:
        if type(item) is not dict:
            return not_a_message(item)
        metrics = item.get("metrics")
        if type(metrics) is not dict:
            return not_metrics(family, item)
        time, seq, boot = item.get("time"), item.get("seq"), item.get("boot")
        if type(time) is int and 0 <= time <= MAX_TIME_MS:
            time *= 1000
        elif time is not None:
            time = parse_time(time, "ms")
            if isinstance(time, Rejected):
                return time
        if seq is None:
            seq = hash_seq(payload)
        elif type(seq) is not int or not 0 <= seq <= MAX_SEQ:
            return bad_count(Reason.BAD_SEQ, "seq", seq)
        if boot is not None and (type(boot) is not int or not 0 <= boot <= MAX_SEQ):
            return bad_count(Reason.BAD_BOOT, "boot", boot)
        values = blank.copy()
        odd = None
        kept = 0
        for name, raw in metrics.items():
            field = fields.get(name)
            if field and (type(raw) is float or type(raw) is int) and field[1] <= raw <= field[2]:
                values[field[0]] = float(raw)
                kept += 1
            elif odd is None:
                odd = {name: raw}
            else:
                odd[name] = raw
        if odd is None and kept and item.keys() <= KNOWN:
            return Reading(time, seq, boot, values, None, payload)
        return look_closer(family, item, odd or {}, Reading(time, seq, boot, values, None, payload), kept)

    return read


def look_closer(family: Family, item: Extra, odd: Extra, reading: Reading, kept: int) -> Reading | Rejected:
    """A message with states, refused values, unknown metrics or unknown fields."""
    extra: Extra = {}
    refused: dict[str, Rejected] = {}
    try:
        for name, raw in odd.items():
            place = family.index.get(name)
            if place is None:
                keep(extra, "metrics", name, raw)
            elif raw is not None:
                value = value_of(family.metrics[place], raw)
                if isinstance(value, Rejected):
                    refused[name] = value
                else:
                    reading.values[place] = value
                    kept += 1
        for name in [name for name in item if name not in KNOWN]:
            keep(extra, "message", name, item[name])
        if kept or not PLAIN.issuperset([type(odd[name]) for name in refused]):
            note_refused(extra, refused, odd)
    except TooDeep:
        return too_deep()
    if not kept:
        return next(iter(refused.values()), None) or no_metric(family.metrics, [str(name) for name in odd])
    return reading._replace(extra=extra or None)


def keep(extra: Extra, where: str, name: object, raw: object) -> None:
    """Put an unknown field among the extra ones; a name that is taken gets the place it comes from in front."""
    text = clean(str(name))
    extra[f"{where}.{text}" if text in extra or text in RESERVED else text] = storable(raw)


def note_refused(extra: Extra, refused: dict[str, Rejected], raw: Extra) -> None:
    """Write down the refused values as they came, and why."""
    if refused:
        extra["rejected"] = {name: storable(raw[name]) for name in refused}
        extra["reasons"] = {name: rejected.reason.value for name, rejected in refused.items()}


def not_a_message(item: object) -> Rejected:
    """Something other than an object."""
    detail = 'expected an object {"time", "seq", "metrics": {…}} or a list of such objects'
    return Rejected("profile", Reason.WRONG_SHAPE, None, shown(item), detail)


def not_metrics(family: Family, item: Extra) -> Rejected:
    """An object without an object `metrics`."""
    if "metrics" in item:
        detail = 'expected an object of names and values, such as {"metrics": {"' + family.metrics[0].name + '": 1.5}}'
        return Rejected("profile", Reason.WRONG_SHAPE, "metrics", shown(item["metrics"]), detail)
    stray = next((name for name in item if name in family.index), None)
    hint = f"; put {stray} inside metrics" if stray else ""
    detail = 'metrics is missing; expected {"time", "seq", "metrics": {…}}' + hint
    return Rejected("profile", Reason.WRONG_SHAPE, "metrics", None, detail)


def bad_count(reason: Reason, field: str, raw: object) -> Rejected:
    """A seq or boot that is no count."""
    hint = "; send the number without quotes" if isinstance(raw, str) and raw.isdecimal() else ""
    return Rejected("profile", reason, field, shown(raw), f"{field}: expected a whole number from 0 to 2^63-1{hint}")


def too_deep() -> Rejected:
    """Nesting beyond what is stored."""
    detail = "lists or objects are nested too deeply; expected at most 32 levels"
    return Rejected("profile", Reason.TOO_DEEP, None, None, detail)
