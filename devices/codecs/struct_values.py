"""One value of the struct codec: where it stands, its type, and what becomes of the raw number."""

from collections.abc import Callable
from typing import Any

from devices.codecs.struct_convert import finisher, mapping
from devices.codecs.struct_formula import NO_VALUE
from devices.codecs.struct_scan import Place, Scan, Step, cut_off, put, refused
from devices.codecs.struct_types import SIZED, NotThisType, Type, type_named
from devices.rejected import Reason

FINISH_KEYS = frozenset(("name", "bit", "bits", "signed", "scale", "offset", "missing", "map", "formula", "expect"))
VALUE_KEYS = FINISH_KEYS | {"type", "size", "at", "parts"}
_MISSING = object()


def value_step(entry: dict[str, Any], place: Place) -> Step:
    """The step that reads one value. Raises BadSpec."""
    place.checked(entry, VALUE_KEYS)
    if "type" not in entry:
        return computed_step(entry, place)
    kind = named_type(entry["type"], place)
    read = reader(entry, kind, place)
    if "parts" in entry:
        return parts_step(entry, kind, read, place)
    if "name" not in entry and "expect" not in entry:
        raise place.bad("name is missing; a value needs one (or use skip)")
    keep = keeper(entry, kind, place)

    def step(scan: Scan) -> None:
        at = scan.at
        keep(scan, at, read(scan))

    return step


def named_type(name: object, place: Place) -> Type:
    """The type of that name. Raises BadSpec."""
    try:
        return type_named(name, place.order)
    except ValueError as error:
        raise place.below("type").bad(error) from None


def computed_step(entry: dict[str, Any], place: Place) -> Step:
    """A value made of earlier ones."""
    place.checked(entry, ("name", "formula", "map"))
    if "formula" not in entry:
        raise place.bad("type is missing; a value needs a type, or a formula of earlier values")
    evaluate = place.below("formula").formula(entry["formula"])
    words = mapping(entry, place)
    keep = storer(place.name(entry.get("name")), place)

    def step(scan: Scan) -> None:
        try:
            value = evaluate(scan.names)
        except NO_VALUE:
            return
        if not isinstance(value, complex):
            keep(scan.names, words(value) if words else value)

    return step


def parts_step(entry: dict[str, Any], kind: Type, read: Callable[[Scan], Any], place: Place) -> Step:
    """Several bit fields of one integer."""
    place.checked(entry, ("type", "at", "parts"))
    if not isinstance(entry["parts"], list):
        raise place.below("parts").bad("expected a list of bit fields")
    keepers = []
    for number, part in enumerate(entry["parts"]):
        below = place.below("parts").below(number)
        below.checked(part, FINISH_KEYS)
        if "bit" not in part and "bits" not in part:
            raise below.bad("bit or bits is missing")
        keepers.append(keeper(part, kind, below))

    def step(scan: Scan) -> None:
        at = scan.at
        raw = read(scan)
        for keep in keepers:
            keep(scan, at, raw)

    return step


def reader(entry: dict[str, Any], kind: Type, place: Place) -> Callable[[Scan], Any]:
    """Reads the raw value where it stands, and moves on behind it (not where `at` says where it is)."""
    name, fixed, get = entry.get("name"), entry.get("at"), kind.read
    if fixed is not None and (not isinstance(fixed, int) or isinstance(fixed, bool)):
        raise place.below("at").bad(f"{fixed!r}; expected a byte, from 0; below 0 counts from the end")
    measure = size_of(entry, kind, place)
    if isinstance(measure, int):
        size = measure

        def read(scan: Scan) -> Any:
            at = scan.at
            end = at + size
            if end > scan.end:
                raise cut_off(scan, name, size)
            scan.at = end
            return get(scan.frame, at, end)

    else:
        length = measure

        def read(scan: Scan) -> Any:
            at = scan.at
            end = at + length(scan)
            if not at <= end <= scan.end:
                raise cut_off(scan, name, end - at)
            scan.at = end
            try:
                return get(scan.frame, at, end)
            except NotThisType as error:
                raise refused(scan, at, name, f"{name or 'a value'}: {error}") from None

    return read if fixed is None else elsewhere(read, fixed)


def elsewhere(read: Callable[[Scan], Any], fixed: int) -> Callable[[Scan], Any]:
    """Reads at a byte of the frame, and stays where it was."""

    def read_there(scan: Scan) -> Any:
        before = scan.at
        scan.at = fixed if fixed >= 0 else len(scan.frame) + fixed
        if scan.at < 0:
            scan.at = 0
            raise cut_off(scan, None, -fixed)
        value = read(scan)
        scan.at = before
        return value

    return read_there


def size_of(entry: dict[str, Any], kind: Type, place: Place) -> int | Callable[[Scan], int]:
    """How many bytes the value takes: a number, or what a formula or `rest` says."""
    if kind.size is not None:
        if "size" in entry:
            raise place.below("size").bad(f"only {', '.join(SIZED)} have a size")
        return kind.size
    size = entry.get("size")
    if size == "rest":
        return lambda scan: scan.end - scan.at
    if isinstance(size, dict):
        return up_to(place.below("size").checked(size, ("until",)), place.below("size"))
    if isinstance(size, int) and not isinstance(size, bool):
        if size < 1:
            raise place.below("size").bad(f"{size}; expected 1 or more bytes, or rest")
        return lambda scan: size
    if size is None:
        raise place.bad(f"size is missing; {', '.join(SIZED)} need one: bytes, a formula, {{until: …}} or rest")
    evaluate = place.below("size").formula(size)

    def measured(scan: Scan) -> int:
        try:
            return int(evaluate(scan.names))
        except NO_VALUE:
            return -1

    return measured


def up_to(size: dict[str, Any], place: Place) -> Callable[[Scan], int]:
    """`{until: "ff"}`: the bytes before the next of this value, or all that are left."""
    try:
        stop = bytes.fromhex(str(size.get("until")))
    except ValueError:
        stop = b""
    if not stop:
        raise place.bad('expected the bytes that follow, in hexadecimal, such as {until: "ff"}')

    def measured(scan: Scan) -> int:
        found = scan.frame.find(stop, scan.at, scan.end)
        return (scan.end if found < 0 else found) - scan.at

    return measured


def keeper(entry: dict[str, Any], kind: Type, place: Place) -> Callable[[Scan, int, Any], None]:
    """What is done with a raw value: checked, converted, kept under its name."""
    finish, expected = finisher(entry, kind, place), entry.get("expect", _MISSING)
    wanted = expected if isinstance(expected, list) else [expected]
    name = place.name(entry["name"]) if "name" in entry else None
    store = storer(name, place) if name else None

    def keep(scan: Scan, at: int, raw: Any) -> None:
        if expected is not _MISSING and raw not in wanted:
            words = " or ".join(str(one) for one in wanted)
            problem = f"{name or 'a fixed value'} is {raw}; expected {words}; this is another model, version or port"
            raise refused(scan, at, name, problem, Reason.WRONG_SHAPE)
        if store:
            value = finish(raw, scan.names) if finish else raw
            if value is not None:
                store(scan.names, value)

    if expected is not _MISSING or finish is None or store is None:
        return keep

    def keep_converted(scan: Scan, at: int, raw: Any) -> None:
        value = finish(raw, scan.names)
        if value is not None:
            store(scan.names, value)

    return keep_converted


def storer(name: str, place: Place) -> Callable[[dict[str, Any], object], None]:
    """Keeps a value under the name; numbered where the step can run again."""
    if place.repeated and not name.startswith("_"):
        return lambda names, value: put(names, name, value)

    def store(names: dict[str, Any], value: object) -> None:
        names[name] = value

    return store
