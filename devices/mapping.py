"""A foreign document → Reading, by the field table of a profile: paths, source units, words of states."""

from collections.abc import Callable
from functools import lru_cache
from math import isnan, nan

from devices.codecs import encode
from devices.native import MAX_SEQ, RESERVED, WAY, Extra, note_refused, too_deep
from devices.paths import MISSING, Path, find, first, leaves, without
from devices.raw import TooDeep, as_number, clean, shown, storable
from devices.reading import Reading, hash_seq
from devices.rejected import Reason, Rejected
from devices.table import Field, Table
from devices.time import SECOND, parse_time
from devices.units import SAME, UnknownUnit, conversion
from devices.values import no_metric, value_of

ELSE = "*"
UPLINK_TIME: tuple[Path, ...] = (("time",),)
UPLINK_COUNT: tuple[Path, ...] = (("count",),)
UPLINK_OWN = frozenset((name,) for name in ("eui", "model", "device_name", "tags", *WAY))
LONGEST_AGO_S = 2**28


def fits(table: Table, document: object) -> bool:
    """Whether a document says that it is of the kind that the profile reads."""
    if table.match_path is None:
        return True
    found = find(document, table.match_path)
    return found == table.match_value or (isinstance(found, list) and table.match_value in found)


def redacted(table: Table, document: object) -> object:
    """The document without its private fields. Raises RecursionError when it is too deep to be gone through."""
    return without(document, table.private_paths, table.private_keys) if table.private else document


def table_reader(table: Table) -> Callable[[object, bytes], Reading | Rejected]:
    """The function that makes a reading from one document and its bytes."""

    def read(document: object, payload: bytes) -> Reading | Rejected:
        try:
            shared = redacted(table, document)
            kept = encode(shared, payload) if table.private else payload
            return read_document(table, shared, kept)
        except (TooDeep, RecursionError):
            return too_deep()

    return read


def read_document(table: Table, document: object, payload: bytes) -> Reading | Rejected:
    """A document without private fields → Reading. Raises TooDeep."""
    if not isinstance(document, dict):
        return Rejected("profile", Reason.WRONG_SHAPE, None, shown(document), "expected an object")
    if not fits(table, document):
        return not_fitting(table, document)
    root = next((keys for keys in table.roots if isinstance(find(document, keys), dict)), ())
    used: set[Path] = set()
    time = read_time(table, document, root, used)
    seq = read_seq(table, document, root, used)
    if isinstance(time, Rejected) or isinstance(seq, Rejected):
        return time if isinstance(time, Rejected) else seq  # type: ignore[return-value]  # one of them is
    ago = read_ago(table, document, root, used) if table.ago_paths else 0
    if isinstance(ago, Rejected):
        return ago
    values = [nan] * len(table.family.metrics)
    refused: dict[str, Rejected] = {}
    raws: Extra = {}
    for field in table.fields:
        take(field, document, root, used, values, refused, raws)
    if all(map(isnan, values)):
        return next(iter(refused.values()), None) or nothing_found(table, document)
    extra = rest_of(table, document, frozenset(used))
    note_refused(extra, refused, raws)
    number = hash_seq(payload) if seq is None else seq
    if time is None:
        return Reading(None, number, None, values, extra or None, payload, ago)
    return Reading(time - ago, number, None, values, extra or None, payload)


def take(
    field: Field,
    document: dict[str, object],
    root: Path,
    used: set[Path],
    values: list[float],
    refused: dict[str, Rejected],
    raws: Extra,
) -> None:
    """One field of the table: its value goes to `values`, or why not to `refused`; what was read is marked as used."""
    if field.between:
        values[field.place] = seconds_between(document, field)
        return
    keys, raw = first_below(document, root, field.paths)
    if raw is MISSING or field.metric.name in refused or not isnan(values[field.place]):
        return  # not there, or an earlier row of the table has spoken for the metric
    if isinstance(raw, Rejected):  # the codec itself refuses this one value
        used.add(keys)
        refused[field.metric.name], raws[field.metric.name] = raw._replace(field=field.metric.name), raw.value
        return
    word = own_word(field, raw)
    if word is None:
        return
    if word == raw or not isinstance(raw, str):  # a word that was translated is kept as it came, too
        used.add(keys)
    value = value_of(field.metric, word) if field.metric.states else convert(field, document, root, used, keys, raw)
    if isinstance(value, Rejected):
        refused[field.metric.name], raws[field.metric.name] = value, raw
    else:
        values[field.place] = value


def own_word(field: Field, raw: object) -> object | None:
    """A state's word in the family's language; None when it says nothing of this metric. Other values as they are."""
    if not field.states:
        return raw
    word = {True: "true", False: "false"}[raw] if isinstance(raw, bool) else raw
    if type(word) is int and -1000 < word < 1000:  # a code: `{"0": closed, "1": open}`
        word = str(word) if str(word) in field.states else raw
    if not isinstance(word, str):
        return raw
    if word in field.states:
        return field.states[word]
    return word if word in field.metric.states else field.states.get(ELSE, word)


def convert(field: Field, document: object, root: Path, used: set[Path], at: Path, raw: object) -> float | Rejected:
    """The raw number, which stands at the path `at`, in the metric's unit and range."""
    change = field.convert
    below = at[len(root) :] if at[: len(root)] == root else at
    candidates = field.unit_paths if field.units is None else (*field.unit_paths, field.units + below)
    keys, unit = first_below(document, root, candidates) if candidates else ((), None)
    if isinstance(unit, str):
        used.add(keys)
        try:
            change = conversion_of(unit[:40], field.metric.unit)
        except UnknownUnit as error:
            return Rejected("values", Reason.WRONG_TYPE, field.metric.name, shown(raw), f"{field.metric.name}: {error}")
    number = as_number(raw)
    if number is None or change is SAME:
        return value_of(field.metric, raw)
    value = value_of(field.metric, tidy(change(number)))
    return value._replace(value=shown(raw)) if isinstance(value, Rejected) else value


conversion_of = lru_cache(1024)(conversion)


def tidy(number: float) -> float:
    """Without the last digits that a conversion's rounding left: 0.314614, not 0.31461400000000003."""
    return float(f"{number:.14g}")


def first_below(document: object, root: Path, candidates: tuple[Path, ...]) -> tuple[Path, object]:
    """As `first`, each candidate below the root or, failing that, from the top."""
    if not root:
        return first(document, candidates)
    keys, raw = first(find(document, root), candidates)
    return (root + keys, raw) if raw is not MISSING else first(document, candidates)


def seconds_between(document: object, field: Field) -> float:
    """Seconds from one time of the document to another; NaN unless both are there and in order."""
    start, end = (parse_time(find(document, keys), "rfc3339", "Z") for keys in field.between or ())
    if isinstance(start, Rejected) or isinstance(end, Rejected):
        return nan
    seconds = (end - start) / SECOND
    return seconds if field.metric.low <= seconds <= field.metric.high else nan


def read_time(table: Table, document: object, root: Path, used: set[Path]) -> int | Rejected | None:
    """The time that the document states; None when it states none."""
    keys, raw = first_below(document, root, table.time_paths)
    if raw is MISSING and table.uplink:
        keys, raw = first(document, UPLINK_TIME)
    if raw is MISSING:
        return None
    used.add(keys)
    return parse_time(raw, table.time_unit, table.time_zone)


def read_ago(table: Table, document: object, root: Path, used: set[Path]) -> int | Rejected:
    """Microseconds before the document's time at which it was measured; below 0 is after it."""
    keys, raw = first_below(document, root, table.ago_paths)
    if raw is MISSING:
        return 0
    number = as_number(raw)
    seconds = nan if number is None else table.ago_unit(number)
    if not abs(seconds) <= LONGEST_AGO_S:
        return Rejected("time", Reason.BAD_TIME, ".".join(keys), shown(raw), "expected how long ago, at most 9 years")
    used.add(keys)
    return round(seconds * SECOND)


def read_seq(table: Table, document: object, root: Path, used: set[Path]) -> int | Rejected | None:
    """The sequence number that the document states; None when it states none."""
    if table.uplink:  # from the top: what a device counts itself may be called `count`, too
        keys, raw = first(document, table.seq_paths + UPLINK_COUNT)
    else:
        keys, raw = first_below(document, root, table.seq_paths)
    if raw is MISSING:
        return None
    if type(raw) is not int or not 0 <= raw <= MAX_SEQ:
        detail = "seq: expected a whole number from 0 to 2^63-1"
        return Rejected("profile", Reason.BAD_SEQ, ".".join(keys), shown(raw), detail)
    used.add(keys)
    return raw


def rest_of(table: Table, document: object, used: frozenset[Path]) -> Extra:
    """What no field took and the profile does not drop, under dotted names; nulls and empty objects say nothing."""
    skipped = used | table.dropped
    extra = {
        clean(".".join(keys)): storable(item.value if isinstance(item, Rejected) else item)
        for keys, item in leaves(document, skipped | UPLINK_OWN if table.uplink else skipped)
        if item is not None and item != {} and item != []
    }
    for name in RESERVED & extra.keys():
        extra[f"message.{name}"] = extra.pop(name)
    if table.uplink and isinstance(document, dict):
        extra |= {name: storable(document[name]) for name in WAY if name in document and (name,) not in table.dropped}
    return extra


def not_fitting(table: Table, document: object) -> Rejected:
    """A document of another kind."""
    keys = table.match_path or ()
    found = find(document, keys)
    name = ".".join(keys)
    value = None if found is MISSING else shown(found)
    detail = f"{name} is {value or 'missing'}; expected {table.match_value}"
    return Rejected("profile", Reason.WRONG_SHAPE, name, value, detail)


def nothing_found(table: Table, document: dict[str, object]) -> Rejected:
    """A document in which no field of the table stands; by design, where its frame codec says so under `notice`."""
    said = MISSING if table.notice is None else find(document, table.notice)
    if isinstance(said, str):
        return Rejected("profile", Reason.NO_READING, None, None, f"carries no reading: {said}")
    metrics = tuple(field.metric for field in table.fields)
    return no_metric(metrics, [str(name) for name in document])
