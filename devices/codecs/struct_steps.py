"""The steps of the struct codec that hold other steps: conditions, cases, repetitions, records."""

from collections.abc import Callable
from typing import Any

from devices.codecs.struct_convert import ELSE
from devices.codecs.struct_formula import NO_VALUE
from devices.codecs.struct_scan import Place, Scan, Step, cut_off, refused
from devices.codecs.struct_table import flags_step, table_step
from devices.codecs.struct_values import value_step
from devices.rejected import Reason

MAX_RECORDS = 10_000


def steps_from(entries: object, place: Place) -> Step:
    """One step that does all of a list in order. Raises BadSpec."""
    if not isinstance(entries, list):
        raise place.bad("expected a list of steps")
    steps = [step_from(entry, place.below(number)) for number, entry in enumerate(entries)]
    if len(steps) == 1:
        return steps[0]

    def run(scan: Scan) -> None:
        for step in steps:
            step(scan)

    return run


def step_from(entry: object, place: Place) -> Step:
    """The step that an element of `fields` describes, told by its key. Raises BadSpec."""
    if not isinstance(entry, dict):
        keys = ", ".join(HOLDERS)
        raise place.bad(f"{str(entry)[:60]!r} is no step; expected a mapping with one of {keys}, or name and type")
    maker = next((make for key, make in HOLDERS.items() if key in entry), None)
    if maker:
        return maker(entry, place)
    if "when" in entry:
        return when_step({"when": entry["when"], "fields": [{k: v for k, v in entry.items() if k != "when"}]}, place)
    return value_step(entry, place)


def computed(text: object, place: Place) -> Callable[[Scan], Any]:
    """The value of a formula, in which `left` is how many bytes are left; None where it has none."""
    evaluate = place.formula(text, "left")
    counts = isinstance(text, str) and "left" in text

    def value(scan: Scan) -> Any:
        try:
            return evaluate({**scan.names, "left": scan.end - scan.at} if counts else scan.names)
        except NO_VALUE:
            return None

    return value


def when_step(entry: dict[str, Any], place: Place) -> Step:
    """`{when: formula, fields: […], else: […]}`."""
    place.checked(entry, ("when", "fields", "else"))
    holds = computed(entry.get("when", "true"), place.below("when"))
    yes = steps_from(entry["fields"], place.below("fields"))
    no = steps_from(entry["else"], place.below("else")) if "else" in entry else None

    def step(scan: Scan) -> None:
        if holds(scan):
            yes(scan)
        elif no:
            no(scan)

    return step


def switch_step(entry: dict[str, Any], place: Place) -> Step:
    """`{switch: formula, cases: {1: […], "*": […]}}`; without `*` any other value is refused."""
    place.checked(entry, ("switch", "cases"))
    evaluate = computed(entry["switch"], place.below("switch"))
    cases = entry.get("cases")
    if not isinstance(cases, dict) or not cases:
        raise place.below("cases").bad("expected values with their steps, such as {1: […], 2: […]}")
    steps = {value: steps_from(fields, place.below("cases").below(str(value))) for value, fields in cases.items()}
    otherwise, words = steps.get(ELSE), ", ".join(str(value) for value in steps)

    def step(scan: Scan) -> None:
        value = evaluate(scan)
        chosen = steps.get(value, otherwise)
        if chosen is None:
            problem = f"{entry['switch']} is {value}; expected one of {words}; the profile does not know this message"
            raise refused(scan, max(scan.at - 1, 0), str(entry["switch"]), problem, Reason.WRONG_SHAPE)
        chosen(scan)

    return step


def skip_step(entry: dict[str, Any], place: Place) -> Step:
    """`{skip: n}`: bytes that say nothing; `{skip: rest}` all that are left."""
    place.checked(entry, ("skip",))
    count = entry["skip"]
    if count == "rest":

        def to_end(scan: Scan) -> None:
            scan.at = scan.end

        return to_end
    evaluate = computed(count, place.below("skip"))

    def step(scan: Scan) -> None:
        size = evaluate(scan)
        if not isinstance(size, int) or size < 0 or scan.at + size > scan.end:
            raise cut_off(scan, "what is skipped", size if isinstance(size, int) else 1)
        scan.at += size

    return step


def repeat_step(entry: dict[str, Any], place: Place) -> Step:
    """`{repeat: n | formula | rest, fields: […]}`: each time a document of its own; with `list: name` an element of
    that list. `index` counts from 0."""
    place.checked(entry, ("repeat", "fields", "list"))
    count = entry["repeat"]
    evaluate = None if count == "rest" else computed(count, place.below("repeat"))
    run = record_of(entry, place._replace(known=place.known | {"index"}))
    name = place.name(entry["list"]) if "list" in entry else None

    def step(scan: Scan) -> None:
        wanted = MAX_RECORDS if evaluate is None else evaluate(scan)
        if not isinstance(wanted, int) or not 0 <= wanted <= MAX_RECORDS:
            raise refused(scan, scan.at, str(count), f"{count} is {wanted}; expected 0 to {MAX_RECORDS} repetitions")
        records = []
        for index in range(wanted):
            if evaluate is None and scan.at >= scan.end:
                break
            before = scan.at
            records.append(run(scan, index))
            if scan.at == before and evaluate is None:
                raise refused(scan, scan.at, None, "a repetition takes no byte; it would never end")
        if name:
            scan.names[name] = records
        else:
            scan.documents += records

    return step


def record_step(entry: dict[str, Any], place: Place) -> Step:
    """`{record: […]}`: the values are a document of their own, such as a stored measurement with its time."""
    place.checked(entry, ("record",))
    run = record_of({"fields": entry["record"]}, place)

    def step(scan: Scan) -> None:
        scan.documents.append(run(scan, 0))

    return step


def record_of(entry: dict[str, Any], place: Place) -> Callable[[Scan, int], dict[str, Any]]:
    """Reads the fields into a document of their own, in which the values read before can be used but do not stand."""
    if "fields" not in entry:
        raise place.bad("fields is missing")
    inner = place._replace(known=set(place.known), written=set(), repeated=False)
    fields = steps_from(entry["fields"], inner.below("fields"))
    own = inner.written

    def run(scan: Scan, index: int) -> dict[str, Any]:
        outer = scan.names
        scan.names = names = {name: value for name, value in outer.items() if name not in own}
        names["index"] = index
        fields(scan)
        scan.names = outer
        return {name: value for name, value in names.items() if name in own and name[0] != "_"}

    return run


HOLDERS: dict[str, Callable[[dict[str, Any], Place], Step]] = {
    "skip": skip_step,
    "switch": switch_step,
    "repeat": repeat_step,
    "record": record_step,
    "table": lambda entry, place: table_step(entry, place, steps_from),
    "flags": flags_step,
    "fields": when_step,
}
