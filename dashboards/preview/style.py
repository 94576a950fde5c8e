"""How a column is shown: the panel's defaults with what its overrides change, then one value to a text and a colour."""

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from dashboards.preview.frame import Field
from dashboards.preview.palette import colour, of_names, of_series
from dashboards.preview.unit import with_unit

LOCAL = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")  # no summer time since 1975; needs no zone files


@dataclass(frozen=True, slots=True)
class Shown:
    """One value as people read it: its text and its colour."""

    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Style:
    """The settings of one column, by Grafana's own names: unit, decimals, thresholds, mappings, custom, …"""

    settings: dict[str, Any]

    def get(self, path: str, otherwise: Any = None) -> Any:
        """The setting at a dotted path."""
        place: Any = self.settings
        for step in path.split("."):
            place = place.get(step) if isinstance(place, dict) else None
        return otherwise if place is None else place

    def show(self, value: Any) -> Shown:
        """A value with its mapping, unit, decimals and colour."""
        mapped = mapping(self.get("mappings", []), value)
        text = mapped.get("text") or self._text(value)
        return Shown(text, colour(mapped["color"]) if mapped.get("color") else self.colour(value))

    def _text(self, value: Any) -> str:
        match value:
            case None:
                return str(self.get("noValue", "-"))
            case bool():
                return str(value).lower()
            case int() | float():
                return with_unit(float(value), self.get("unit", "none"), self.get("decimals"))
            case datetime():
                return moment(value, self.get("unit", ""))
        return str(value)

    def colour(self, value: Any) -> str:
        """The colour of a value: by thresholds, or one for all."""
        mode = self.get("color.mode", "thresholds")
        if mode in ("fixed", "shades"):
            return colour(self.get("color.fixedColor", "text"))
        if mode != "thresholds":
            return colour("text")
        return colour(step_of(self.get("thresholds", {}), value, self.get("min"), self.get("max")))


def series_colours(named: list[tuple[str, Style]]) -> list[str]:
    """The colours of the series of a chart."""
    by_name = of_names([name for name, _ in named])
    made: list[str] = []
    for place, (_, style) in enumerate(named):
        mode = style.get("color.mode", "palette-classic")
        fixed = colour(style.get("color.fixedColor", "text")) if mode in ("fixed", "shades") else None
        made.append(fixed or (by_name[place] if mode == "palette-classic-by-name" else of_series(place)))
    return made


def moment(value: datetime, unit: str) -> str:
    """A time in the centre's own zone."""
    local = value.astimezone(LOCAL)
    if unit == "dateTimeFromNow":
        return with_unit((datetime.now(LOCAL) - local) / timedelta(seconds=1), "s", 0)
    forms = {"time:HH:mm": "%H:%M", "time:HH:mm:ss": "%H:%M:%S", "time:DD/MM HH:mm": "%d/%m %H:%M"}
    return local.strftime(forms.get(unit, "%Y-%m-%d %H:%M:%S"))


def step_of(thresholds: dict[str, Any], value: Any, least: float | None, most: float | None) -> str | None:
    """The name of the colour from the highest step that the value reaches; the base where there is no number."""
    number = float(value) if isinstance(value, int | float) else -math.inf
    if thresholds.get("mode") == "percentage" and math.isfinite(number):
        low, high = least or 0.0, 100.0 if most is None else most
        number = 100 * (number - low) / ((high - low) or 1)
    name: str | None = None
    for step in thresholds.get("steps", []):
        if step["value"] is None or number >= step["value"]:
            name = step["color"]
    return name


def mapping(mappings: list[dict[str, Any]], value: Any) -> dict[str, Any]:
    """What the value mappings say about a value: `text`, `color`, or nothing."""
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, float) and value.is_integer():
        text = str(int(value))
    for entry in mappings:
        options = entry["options"]
        match entry["type"]:
            case "value" if value is not None and text in options:
                return dict(options[text])
            case "range" if isinstance(value, int | float) and within(options, float(value)):
                return dict(options["result"])
            case "regex" if isinstance(value, str) and re.search(options["pattern"].strip("/"), value):
                return dict(options["result"])
            case "special" if options["match"] == special(value):
                return dict(options["result"])
    return {}


def within(options: dict[str, Any], number: float) -> bool:
    """Whether a number lies in a mapping's range; both ends belong to it."""
    low, high = options.get("from"), options.get("to")
    return (low is None or number >= low) and (high is None or number <= high)


def special(value: Any) -> str:
    """What a special mapping calls a value; a dash for values that are not special."""
    match value:
        case None:
            return "null"
        case True:
            return "true"
        case False:
            return "false"
        case "":
            return "empty"
    return "-"


def style_of(panel: dict[str, Any], field: Field) -> Style:
    """The settings of a column of a panel."""
    config = panel.get("fieldConfig", {})
    settings = {**config.get("defaults", {})}
    settings["custom"] = {**settings.get("custom", {})}
    for override in config.get("overrides", []):
        if matches(override["matcher"], field):
            for entry in override["properties"]:
                put(settings, entry["id"], entry.get("value"))
    return Style(settings)


def put(settings: dict[str, Any], name: str, value: Any) -> None:
    """One property of an override; `custom.x` goes into the panel's own settings."""
    if name.startswith("custom."):
        settings["custom"][name.removeprefix("custom.")] = value
    else:
        settings[name] = value


def matches(matcher: dict[str, Any], field: Field) -> bool:
    """Whether an override is meant for a column."""
    options = matcher.get("options")
    match matcher["id"]:
        case "byName":
            return bool(options in (field.name, series_name(field)))
        case "byRegexp":
            return bool(re.search(str(options).strip("/"), series_name(field)))
        case "byType":
            return bool(options == field.kind)
        case "byFrameRefID":
            return True
    return False


def series_name(field: Field) -> str:
    """The name of a column without a display name: its own and its labels."""
    if not field.labels:
        return field.name
    if len(field.labels) == 1:
        return f"{field.name} {next(iter(field.labels.values()))}"
    return field.name + " {" + ", ".join(f'{name}="{text}"' for name, text in field.labels.items()) + "}"


def title_of(style: Style, field: Field) -> str:
    """What stands above a column or beside a line."""
    asked = str(style.get("displayName", ""))
    for name, text in field.labels.items():
        asked = asked.replace(f"${{__field.labels.{name}}}", text)
    return asked.replace("${__field.name}", field.name) or series_name(field)
