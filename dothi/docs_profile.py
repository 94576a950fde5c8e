"""The reference page of one profile: what the device sends, what becomes of it, when it raises an alarm."""

import json
from collections.abc import Iterator
from typing import Any

from devices.alarm import Alarm
from devices.family import Metric
from devices.profile import Profile
from devices.route import routes_of
from devices.table import Field

LONGEST = 1500
"""Characters of a message that a page shows."""


def profile_page(profile: Profile) -> Iterator[str]:
    """The lines of the page."""
    yield f"# {profile.title['en']}"
    yield ""
    yield f"{profile.title['vi']}."
    yield ""
    yield "| | |"
    yield "|---|---|"
    for name, value in facts(profile):
        yield f"| {name} | {value} |"
    yield from metrics_of(profile)
    yield from alarms_of(profile)
    yield from examples_of(profile)


def facts(profile: Profile) -> Iterator[tuple[str, str]]:
    """What is known of the model as a whole."""
    yield "profile", f"`{profile.name}`"
    yield "family", f"[{profile.family.name}](../families.md)"
    if profile.vendor or profile.model:
        yield "made by", " ".join(filter(None, (profile.vendor, profile.model)))
    if profile.source:
        yield "described by", profile.source.replace("|", "\\|")
    yield "comes in by", transport(profile)
    yield "codec", f"`{profile.codec}`"
    yield "expected every", duration(profile.interval_s)
    yield "silent after", duration(profile.interval_s * profile.offline_after)
    yield "told on `…/ack` what is settled", "yes" if profile.acknowledge else "no"
    panel = profile.panel
    limits = "" if panel.amber is None or panel.red is None else f", amber {panel.amber:g}, red {panel.red:g}"
    yield "best shown as", f"{panel.form} of {', '.join(panel.metrics)}{limits}"


def transport(profile: Profile) -> str:
    """Topics, by the routes that carry it."""
    if profile.route is None:
        return "`dothi/v1/{area}/{device}/up`"
    routes = routes_of(profile.route)
    return "; ".join(f"{route.name}: {', '.join(f'`{topic}`' for topic in route.topics)}" for route in routes)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    for length, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {name}"
    return f"{seconds:g} s"


def metrics_of(profile: Profile) -> Iterator[str]:
    """What it can tell, and where in the message that stands."""
    yield "\n## Metrics\n"
    yield "| metric | unit | range or states | in the message | there in |"
    yield "|---|---|---|---|---|"
    if profile.table is None:
        for metric in profile.family.metrics:
            yield f"| {metric.name} | `{metric.unit}` | {allowed(metric)} | `metrics.{metric.name}` | `{metric.unit}` |"
        return
    for field in profile.table.fields:
        unit = f"`{field.unit}`" if not field.metric.states else "words"
        yield f"| {field.metric.name} | `{field.metric.unit}` | {allowed(field.metric)} | {where(field)} | {unit} |"


def where(field: Field) -> str:
    """The paths of a field."""
    paths = field.between or field.paths
    joiner = " to " if field.between else ", "
    return joiner.join(f"`{'.'.join(path) or '.'}`" for path in paths).replace("|", "\\|") or "–"


def allowed(metric: Metric) -> str:
    """What values a metric may take."""
    return ", ".join(metric.states) if metric.states else f"{metric.low:g} to {metric.high:g}"


def alarms_of(profile: Profile) -> Iterator[str]:
    """When an alarm is raised by default, and when it clears."""
    if not profile.alarms:
        return
    yield "\n## Alarms\n"
    yield "Defaults; a centre may set its own.\n"
    yield "| alarm | báo động | severity | raised when | for | cleared when |"
    yield "|---|---|---|---|---|---|"
    for alarm in profile.alarms:
        raised, cleared = limits(alarm)
        lasting = duration(alarm.for_s) if alarm.for_s else "at once"
        title = alarm.title
        yield f"| {title['en']} | {title['vi']} | {alarm.severity} | {raised} | {lasting} | {cleared} |"


def limits(alarm: Alarm) -> tuple[str, str]:
    """What raises and what clears, in words."""
    name, unit = alarm.metric.name, "" if alarm.metric.unit == "1" else f" {alarm.metric.unit}"
    if alarm.raise_at is None or alarm.clear_at is None:
        # In the order of the family: that of a set is another in every run.
        raised, cleared = (
            ", ".join(state for state in alarm.metric.states if state in chosen)
            for chosen in (alarm.raise_states, alarm.clear_states)
        )
        return f"{name} is {raised}", f"{name} is {cleared}"
    back = {">": "<", "<": ">"}[alarm.when]
    return f"{name} {alarm.when} {alarm.raise_at:g}{unit}", f"{name} {back} {alarm.clear_at:g}{unit}"


def examples_of(profile: Profile) -> Iterator[str]:
    """Messages and what becomes of them."""
    yield "\n## Examples"
    for example in profile.examples:
        yield f"\n### {example['name']}\n"
        if "source" in example:
            yield f"From: {example['source']}\n"
        yield from fenced(message_of(example))
        yield f"\n{outcome(example)}"


def message_of(example: dict[str, Any]) -> str:
    """The message as text: its topic or port where that matters, and its content."""
    head = [f"topic {example['topic']}"] if "topic" in example else []
    head += [f"port {example['port']}"] if "port" in example else []
    content = str(next((example[key] for key in ("payload", "hex", "frame") if key in example), ""))
    if len(content) > LONGEST:
        content = f"{content[:LONGEST]}… ({len(content)} characters)"
    return "\n".join([*head, content])


def fenced(text: str) -> Iterator[str]:
    """A block that no content can end."""
    yield "~~~~text"
    yield text.replace("\r", "\\r")
    yield "~~~~"


def outcome(example: dict[str, Any]) -> str:
    """What the example states."""
    if "reason" in example:
        return f"Refused: [`{example['reason']}`](../reasons.md)."
    said = f"Becomes {listed(example.get('metrics', {}))}"
    if "time" in example:
        said += f" at {example['time']}"
    if example.get("readings", 1) > 1:
        said += f", the first of {example['readings']} readings"
    if "reasons" in example:
        said += f"; not taken: {listed(example['reasons'])}"
    return f"{said}."


def listed(values: dict[str, Any]) -> str:
    """Names with values, as JSON writes them."""
    return ", ".join(f"{name} `{json.dumps(value, ensure_ascii=False)}`" for name, value in values.items()) or "nothing"
