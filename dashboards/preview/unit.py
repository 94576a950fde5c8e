"""A number with its unit, for the unit ids of Grafana that dashboards use."""

from collections.abc import Callable

# What stands behind the number, for units that are not scaled.
SUFFIX = {
    "none": "", "short": "", "locale": "", "string": "", "percent": "%", "celsius": " °C", "humidity": " %H",
    "conμgm3": " μg/m³", "conmgm3": " mg/m³", "conppm": " ppm", "pressurehpa": " hPa", "velocityms": " m/s",
    "velocitykmh": " km/h", "lengthmm": " mm", "lengthm": " m", "lengthkm": " km", "degree": "°", "watt": " W",
    "kwatt": " kW", "kwatth": " kWh", "watth": " Wh", "volt": " V", "amp": " A", "lux": " lx", "dB": " dB",
    "dBm": " dBm", "m3": " m³", "litre": " L", "flowcms": " cms", "reqps": " req/s", "rps": " rps", "cps": " c/s",
    "ops": " ops/s", "rowsps": " rows/s", "hertz": " Hz", "rotrpm": " rpm", "bpm": " bpm", "Wm2": " W/m²", "h": " h",
}  # fmt: skip
THOUSANDS = {"locale"}
TIMES = (
    (31_536_000, "years"),
    (604_800, "weeks"),
    (86_400, "days"),
    (3600, "hours"),
    (60, "mins"),
    (1, "s"),
    (0.001, "ms"),
)
BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB")


def rounded(number: float, decimals: int | None, thousands: bool = False) -> str:
    """Digits as asked for; without a wish as few as keep three figures."""
    if decimals is None:
        decimals = 0 if number == round(number) or abs(number) >= 1000 else 2 if abs(number) < 10 else 1
    text = f"{number:,.{decimals}f}" if thousands else f"{number:.{decimals}f}"
    return text.lstrip("-") if not float(text.replace(",", "")) else text


def clock(number: float) -> str:
    """Hours, minutes and seconds, days before them when there are any."""
    left = round(abs(number))
    days, left = divmod(left, 86_400)
    text = f"{left // 3600:02}:{left // 60 % 60:02}:{left % 60:02}"
    return ("-" if number < 0 else "") + (f"{days} d {text}" if days else text)


def duration(number: float, decimals: int | None) -> str:
    """Seconds in the unit that keeps the number small."""
    size, name = next(((size, name) for size, name in TIMES if abs(number) >= size), (1, "s"))
    return f"{rounded(number / size, decimals)} {name}"


def scaled(number: float, decimals: int | None, names: tuple[str, ...], base: float, behind: str = "") -> str:
    """A number of bytes in the unit that keeps it small."""
    place = 0
    while abs(number) >= base and place < len(names) - 1:
        number, place = number / base, place + 1
    return f"{rounded(number, decimals)} {names[place]}{behind}"


SCALED: dict[str, Callable[[float, int | None], str]] = {
    "percentunit": lambda number, decimals: rounded(100 * number, decimals) + "%",
    "dthms": lambda number, _: clock(number),
    "clocks": lambda number, _: clock(number),
    "s": duration,
    "ms": lambda number, decimals: duration(number / 1000, decimals),
    "m": lambda number, decimals: duration(number * 60, decimals),
    "d": lambda number, decimals: duration(number * 86_400, decimals),
    "dtdurations": duration,
    "bytes": lambda number, decimals: scaled(number, decimals, BINARY, 1024),
    "decbytes": lambda number, decimals: scaled(number, decimals, DECIMAL, 1000),
    "binBps": lambda number, decimals: scaled(number, decimals, BINARY, 1024, "/s"),
    "Bps": lambda number, decimals: scaled(number, decimals, DECIMAL, 1000, "/s"),
}


def with_unit(number: float, unit: str, decimals: int | None) -> str:
    """The number as people read it. A unit that is not known here stands behind the number by its id."""
    if unit in SCALED:
        return SCALED[unit](number, decimals)
    if unit.startswith("suffix:"):
        return f"{rounded(number, decimals)} {unit.removeprefix('suffix:')}"
    if unit.startswith("prefix:"):
        return unit.removeprefix("prefix:") + rounded(number, decimals)
    text = rounded(number, decimals, thousands=unit in THOUSANDS)
    return text + SUFFIX.get(unit, f" {unit}")
