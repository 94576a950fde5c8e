"""Who is told of which alarms: receivers, and routes to them. All routes that fit count; none ends the search."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Annotated, Literal, get_args

import msgspec

LOCAL = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")  # no summer time since 1975
Severity = Literal["critical", "major", "minor", "warning", "info"]
Language = Literal["vi", "en"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
What = Literal[
    "raised",
    "reopened",
    "grown",
    "spread",
    "reminded",
    "unshelved",
    "maintenance_over",
    "acknowledged",
    "receded",
    "cleared",
]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
DAYS: tuple[Day, ...] = get_args(Day)
PROVINCE = "000"
"""Stands for the area of an alarm that concerns the whole province: no zone has this code."""
USUAL: tuple[What, ...] = (
    *("raised", "reopened", "grown", "spread", "reminded", "unshelved", "maintenance_over", "receded", "cleared"),
)
HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|(24):(00))")

Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=120)]


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="webhook"):
    """A program that takes JSON by HTTP. `secret_env`, `url_env`: variables of the environment that hold these."""

    secret_env: str
    url: str = ""
    url_env: str = ""
    language: Language = "vi"
    time_limit_s: Seconds = 10.0
    at_once: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    ca: str = ""


class Email(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="email"):
    """People who read e-mail. `server`: host:port of the SMTP server that takes it."""

    server: str
    sender: str = msgspec.field(name="from")
    to: Annotated[list[str], msgspec.Meta(min_length=1, max_length=50)]
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_env: str = ""
    language: Language = "vi"
    time_limit_s: Seconds = 30.0
    at_once: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    ca: str = ""


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which alarms go to which receivers. What is left out holds for all."""

    to: Annotated[list[str], msgspec.Meta(min_length=1)]
    name: str = ""
    areas: list[str] = msgspec.field(default_factory=list)
    severities: list[Severity] = msgspec.field(default_factory=list)
    kinds: list[str] = msgspec.field(default_factory=list)
    days: list[Day] = msgspec.field(default_factory=list)
    hours: str = ""
    language: Language | None = None
    what: list[What] = msgspec.field(default_factory=lambda: list(USUAL))

    def fits(self, areas: Sequence[str | None], severity: str, kind: str, at: datetime) -> bool:
        """Whether an alarm of this kind at this moment takes this route: one about all of these; None: the province."""
        return (
            (not self.areas or any((area or PROVINCE) in self.areas for area in areas))
            and (not self.severities or severity in self.severities)
            and (not self.kinds or kind in self.kinds)
            and self.open_at(at)
        )

    def open_at(self, at: datetime) -> bool:
        """Whether a moment lies in its hours. Hours that go over midnight belong to the day on which they begin."""
        local = at.astimezone(LOCAL)
        begin, end = span(self.hours) if self.hours else (0, 24 * 60)
        minute, days = local.hour * 60 + local.minute, self.days or DAYS
        today, yesterday = DAYS[local.weekday()] in days, DAYS[local.weekday() - 1] in days
        if begin < end:
            return today and begin <= minute < end
        return (today and minute >= begin) or (yesterday and minute < end)


Receiver = Webhook | Email


class Routes(msgspec.Struct, frozen=True):
    """All receivers by name, with their secrets by name, and the routes to them."""

    receivers: dict[str, Receiver] = msgspec.field(default_factory=dict)
    routes: list[Route] = msgspec.field(default_factory=list)
    secrets: dict[str, "Secrets"] = msgspec.field(default_factory=dict)
    give_up_after_h: float = 24.0


class Secrets(msgspec.Struct, frozen=True):
    """What a receiver's variables hold; never shown."""

    secret: str = ""
    url: str = ""

    def __repr__(self) -> str:
        """Nothing of it."""
        return "Secrets(…)"


NOBODY = Routes()
"""Without a file: MQTT alone, which takes no routes."""


class Chosen(msgspec.Struct, frozen=True):
    """A receiver that is told of something, in which language, and by which route."""

    receiver: str
    language: Language
    route: str


def span(hours: str) -> tuple[int, int]:
    """Minutes of the day from which and up to which `17:00-07:00` reaches."""
    found = HOURS.fullmatch(hours)
    assert found, hours  # checked when the file was read
    begin, end = int(found[1]) * 60 + int(found[2]), int(found[3] or found[5]) * 60 + int(found[4] or found[6])
    return begin, end


def chosen(
    routes: Routes, what: str, areas: Sequence[str | None], severity: str, kind: str, at: datetime
) -> list[Chosen]:
    """Who is told, each receiver once: by the first of its routes that fits."""
    told: dict[str, Chosen] = {}
    for number, route in enumerate(routes.routes, 1):
        if what in route.what and route.fits(areas, severity, kind, at):
            for name in route.to:
                language = route.language or routes.receivers[name].language
                told.setdefault(name, Chosen(name, language, route.name or str(number)))
    return list(told.values())
