"""Two common forms of frames: keys with values (channel and type, or type alone), and flags that say what follows."""

from collections.abc import Callable
from typing import Any

from devices.codecs.struct_formula import NO_VALUE
from devices.codecs.struct_scan import Place, Scan, Step, cut_off, put, refused, rejection
from devices.codecs.struct_values import named_type
from devices.rejected import Reason

MakeSteps = Callable[[object, Place], Step]


def table_step(entry: dict[str, Any], place: Place, make: MakeSteps) -> Step:
    """`{table: {"0175": step or […]}, key: bytes of a key, length: type}`: until the end, a key and what it stands for.

    `*` in a key is any digit. `before`: bytes at the end that are not of the table, such as a checksum. With `length`
    each value is preceded by its size and unknown keys are passed over, else an unknown key makes the rest unreadable.
    """
    place.checked(entry, ("table", "key", "length", "before"))
    find = entries_from(entry["table"], place.below("table"), make)
    width = entry.get("key", len(next(iter(entry["table"]))) // 2)
    if width not in (1, 2, 3, 4):
        raise place.below("key").bad(f"{width!r}; expected 1 to 4 bytes")
    length = named_type(entry["length"], place.below("length")) if "length" in entry else None
    if length is not None and (length.size is None or not length.bits):
        raise place.below("length").bad("expected an integer type such as u8")

    behind = entry.get("before", 0)
    if type(behind) is not int or behind < 0:
        raise place.below("before").bad(f"{behind!r}; expected bytes, 0 or more")

    def step(scan: Scan) -> None:
        scan.end = outer = scan.end - behind
        run(scan, outer)
        scan.end = outer + behind

    def run(scan: Scan, outer: int) -> None:
        while scan.at < outer:
            start = scan.at
            if start + width > outer:
                raise cut_off(scan, "the key of a value", width)
            key = scan.frame[start : start + width].hex()
            scan.at = start + width
            if length is not None and length.size is not None:
                if scan.at + length.size > outer:
                    raise cut_off(scan, f"the size of {key}", length.size)
                size = length.read(scan.frame, scan.at, scan.at + length.size)
                scan.at += length.size
                if not 0 <= size <= outer - scan.at:
                    raise cut_off(scan, key, size)
                scan.end = scan.at + size
            found = find(key)
            if found is not None:
                found(scan)
            elif length is None:
                scan.documents.append(unknown_key(scan, start, key))
                scan.at = outer
                return
            if length is not None:
                scan.at, scan.end = scan.end, outer

    return step


def unknown_key(scan: Scan, at: int, key: str) -> object:
    """Where reading a table ended; what was read before is kept."""
    problem = (
        f"key {key} is not in the table, so that what follows it cannot be read; what stands before it is kept; "
        "add the key to the profile's table, or choose the profile of the model that sends it"
    )
    return rejection(scan.frame, at, key, problem, Reason.WRONG_SHAPE)


def entries_from(table: object, place: Place, make: MakeSteps) -> Callable[[str], Step | None]:
    """Finds what a key stands for. Raises BadSpec."""
    if not isinstance(table, dict) or not table:
        raise place.bad('expected keys in hexadecimal with what they stand for, such as {"0175": {name, type}}')
    widths = {len(key) for key in table if isinstance(key, str)}
    exact: dict[str, Step] = {}
    loose: list[tuple[str, Step]] = []
    for key, entry in table.items():
        below = place.below(str(key))
        if not isinstance(key, str) or len(key) % 2 or len(widths) > 1 or set(key.lower()) - set("0123456789abcdef*"):
            raise below.bad('a key is hexadecimal text in quotes, all of one length, such as "0175" or "**75"')
        steps = entry if isinstance(entry, list) else [entry]
        step = make(steps, below._replace(repeated=True)) if len(steps) == 1 else together(steps, below, make)
        if "*" in key:
            loose.append((key.lower(), step))
        else:
            exact[key.lower()] = step
    if not loose:
        return exact.get

    def find(key: str) -> Step | None:
        found = exact.get(key)
        return found or next((step for pattern, step in loose if fits(pattern, key)), None)

    return find


def together(entries: list[object], place: Place, make: MakeSteps) -> Step:
    """The steps of one key, whose formulas mean the values of this key and not those of one like it before."""
    inner = place._replace(known=set(place.known), written=set(), repeated=False)
    run = make(entries, inner)
    own = inner.written
    place.known.update(inner.known)
    place.written.update(inner.written)

    def step(scan: Scan) -> None:
        outer = scan.names
        scan.names = inside = {name: value for name, value in outer.items() if name not in own}
        before = len(inside)
        run(scan)
        scan.names = outer
        for name in [*inside][before:]:
            put(outer, name, inside[name])

    return step


def fits(pattern: str, key: str) -> bool:
    """Whether each digit is the pattern's, or the pattern's is `*`."""
    return all(wanted in ("*", digit) for wanted, digit in zip(pattern, key, strict=True))


def flags_step(entry: dict[str, Any], place: Place) -> Step:
    """`{flags: u16, groups: [{words: 2, type: u16, values: {name: formula of x0, x1}}, …]}`: bit 0 of the flags says
    whether the first group follows, bit 1 the second, …"""
    place.checked(entry, ("flags", "groups"))
    kind = named_type(entry["flags"], place.below("flags"))
    if kind.size is None or not kind.bits:
        raise place.below("flags").bad("expected an integer type such as u16")
    size, read = kind.size, kind.read
    if not isinstance(entry.get("groups"), list) or len(entry["groups"]) > kind.bits:
        raise place.below("groups").bad(f"expected a list of at most {kind.bits} groups, one for each flag")
    groups = [group_from(group, place.below("groups").below(bit)) for bit, group in enumerate(entry["groups"])]
    known = (1 << len(groups)) - 1

    def step(scan: Scan) -> None:
        at = scan.at
        if at + size > scan.end:
            raise cut_off(scan, "flags", size)
        flags = read(scan.frame, at, at + size)
        scan.at = at + size
        if flags & ~known:
            problem = f"flags {flags:#06x} name a group beyond the profile's {len(groups)}; this is another model"
            raise refused(scan, at, "flags", problem, Reason.WRONG_SHAPE)
        for bit, group in enumerate(groups):
            if flags >> bit & 1:
                group(scan)

    return step


def group_from(entry: object, place: Place) -> Step:
    """The words of a group and the values that formulas make of them."""
    group = place.checked(entry, ("words", "type", "values"))
    count = group.get("words")
    if type(count) is not int or not 1 <= count <= 64:
        raise place.below("words").bad(f"{count!r}; expected 1 to 64")
    kind = named_type(group.get("type", "u16"), place)
    if kind.size is None:
        raise place.below("type").bad("expected a type of a fixed size such as u16")
    words = [f"x{number}" for number in range(count)]
    width, total, read = kind.size, kind.size * count, kind.read
    values = []
    for name, text in place.below("values").checked(group.get("values"), group.get("values") or ()).items():
        values.append((name, place.below(f"values.{name}").formula(text, *words)))
        place.name(name)

    def step(scan: Scan) -> None:
        at = scan.at
        if at + total > scan.end:
            raise cut_off(scan, values[0][0] if values else None, total)
        scan.at = at + total
        inner = dict(scan.names)
        for number, word in enumerate(words):
            inner[word] = read(scan.frame, at + number * width, at + (number + 1) * width)
        for name, evaluate in values:
            try:
                scan.names[name] = inner[name] = evaluate(inner)
            except NO_VALUE:
                continue

    return step
