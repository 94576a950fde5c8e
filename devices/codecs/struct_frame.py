"""Frames of bytes described in YAML → documents: the struct codec, compiled once when the profile is loaded."""

from collections.abc import Callable
from typing import Any

from devices.codecs.struct_convert import ELSE
from devices.codecs.struct_scan import BadSpec, Place, Refused, Scan, rejection
from devices.codecs.struct_steps import steps_from
from devices.rejected import Reason, Rejected

LAYOUT_KEYS = ("order", "length", "rest", "fields")
RESTS = ("reject", "ignore", "keep")

Layout = Callable[[bytes], object]


def struct_codec(spec: Any) -> Callable[[bytes, int | None], object]:
    """The frame codec of a spec (`docs/struct-codec.md`). Raises BadSpec, which names the place in the YAML.

    A frame becomes a document, a list of them where it holds records (stored measurements) too, or Rejected(codec). An
    element of the list may be Rejected: the rest of a frame behind a key that is in no table.
    """
    place = Place("codec.struct", "be", set(), set())
    if isinstance(spec, list):
        spec = {"fields": spec}
    place.checked(spec, ("ports", *LAYOUT_KEYS))
    if "ports" not in spec:
        layout = layout_from(spec, place)
        return lambda frame, port: layout(frame)
    ports = spec["ports"]
    if not isinstance(ports, dict) or not ports or "fields" in spec:
        raise place.below("ports").bad("expected ports with their layouts, such as {1: {fields: […]}}, and no fields")
    shared = {key: value for key, value in spec.items() if key != "ports"}
    layouts = {port: layout_of_port(port, entry, shared, place.below("ports")) for port, entry in ports.items()}
    return lambda frame, port: by_port(layouts, frame, port)


def layout_of_port(port: object, entry: Any, shared: dict[str, Any], place: Place) -> Layout:
    """The layout of one port (1 to 255) or of every other (`*`)."""
    if port != ELSE and (type(port) is not int or not 0 <= port <= 255):
        raise place.bad(f"port {port!r}; expected 0 to 255, or *")
    inner = place.below(str(port))
    return layout_from({**shared, **({"fields": entry} if isinstance(entry, list) else dict(entry))}, inner)


def by_port(layouts: dict[Any, Layout], frame: bytes, port: int | None) -> object:
    """Read with the layout of the port; a frame whose port is not known with the only one there is."""
    layout = layouts.get(port, layouts.get(ELSE))
    if layout is None and port is None and len(layouts) == 1:
        layout = next(iter(layouts.values()))
    if layout is not None:
        return layout(frame)
    ports = ", ".join(str(known) for known in layouts)
    said = "port is missing" if port is None else f"port {port}"
    detail = f"{said}; expected {ports}; the profile does not know what this device sends there"
    return Rejected("codec", Reason.WRONG_SHAPE, "port", None if port is None else str(port), detail)


def layout_from(spec: Any, place: Place) -> Layout:
    """The function that reads a frame. Raises BadSpec."""
    place.checked(spec, LAYOUT_KEYS)
    order, rest = spec.get("order", "be"), spec.get("rest", "reject")
    if order not in ("be", "le"):
        raise place.below("order").bad(f"{order!r}; expected be (big endian) or le (little endian)")
    if rest not in RESTS:
        raise place.below("rest").bad(f"{rest!r}; expected {', '.join(RESTS)}")
    if "fields" not in spec:
        raise place.bad("fields is missing")
    fits = length_check(spec.get("length"), place.below("length"))
    inner = place._replace(order=order, known=set(), written=set())
    run = steps_from(spec["fields"], inner.below("fields"))
    private = any(name.startswith("_") for name in inner.known)

    def read(frame: bytes) -> object:
        if not fits(len(frame)):
            problem = f"{len(frame)} bytes; expected {spec['length']}; the frame was cut off, or is of another model"
            return rejection(frame, 0, None, problem)
        scan = Scan(frame)
        try:
            run(scan)
        except Refused as refusal:
            return refusal.rejected
        except (
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:  # such as a text where a number is divided
            return rejection(frame, scan.at, None, f"not readable as the profile says: {error}")
        if scan.at < len(frame) and rest != "ignore":
            if rest == "reject":
                return left_over(scan)
            scan.names["rest"] = frame[scan.at :].hex()
        return result(scan, private)

    return read


def left_over(scan: Scan) -> Rejected:
    """Bytes behind all that the layout describes."""
    left = len(scan.frame) - scan.at
    problem = f"{left} byte{'s' * (left != 1)} left over; the device is another model or firmware than the profile's"
    return rejection(scan.frame, scan.at, None, problem, Reason.WRONG_SHAPE)


def result(scan: Scan, private: bool) -> object:
    """What was read: one document, or a list of it and the records."""
    names = scan.names
    if private:
        names = {name: value for name, value in names.items() if name[0] != "_"}
    if not scan.documents:
        return names
    return [names, *scan.documents] if names else scan.documents


def length_check(length: object, place: Place) -> Callable[[int], bool]:
    """Whether a frame has one of the lengths: n, [n, m, …] or {min, max}."""
    if length is None:
        return lambda size: True
    if isinstance(length, dict):
        bounds = place.checked(length, ("min", "max"))
        low, high = bounds.get("min", 0), bounds.get("max", 10**6)
        if type(low) is int and type(high) is int and low <= high:
            return lambda size: low <= size <= high
    lengths = length if isinstance(length, list) else [length]
    if lengths and all(type(size) is int and size > 0 for size in lengths):
        return lambda size: size in lengths
    raise place.bad(f"{length!r}; expected bytes: 9, [9, 11] or {{min: 4, max: 51}}")


__all__ = ["BadSpec", "struct_codec"]
