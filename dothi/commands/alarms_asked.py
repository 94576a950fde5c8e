"""What the commands of the alarm desk share: options, people's words for areas and devices, connections."""

import getpass
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from analytics.alarm_desk import SEVERITIES, STATES, Ask, Unlawful, Wanted
from dothi.asking import asking, connected
from dothi.commands.options import Folder
from dothi.errors import Refused, WrongUsage
from dothi.settings import Stack, stack_at
from dothi.times import moment

LANGUAGES = ("vi", "en")
MOST_DEVICES = 1000

HIGHEST = 10**12  # no record has so many
Number = Annotated[int, typer.Argument(metavar="ALARM", help="Number of the alarm.", min=1, max=HIGHEST)]
By = Annotated[str | None, typer.Option("--by", help="Who does it; else the name of your login.")]
Note = Annotated[str | None, typer.Option("--note", help="What others should know; it is kept in the history.")]
Lang = Annotated[str, typer.Option("--lang", help="vi or en.")]
Area = Annotated[str | None, typer.Option("--area", help="Of this area: code, or name (without diacritics, too).")]
Device = Annotated[
    str | None, typer.Option("--device", help="Of this device: id, name (without diacritics, too), serial, alias …")
]
Severity = Annotated[
    str | None, typer.Option("--severity", help=f"This one or worse, or several with commas: {', '.join(SEVERITIES)}.")
]
Kind = Annotated[list[str] | None, typer.Option("--kind", help="Of this kind; may be given several times.")]
State = Annotated[list[str] | None, typer.Option("--state", help=f"One of {', '.join(STATES)}; several times.")]
Age = Annotated[str | None, typer.Option("--age", help="Raised no longer ago than 30m, 12h or 7d, or since a time.")]
Older = Annotated[str | None, typer.Option("--older", help="Raised longer ago than 30m, 12h or 7d, or before a time.")]


class Asked:
    """A stack whose alarms are asked about or acted on."""

    def __init__(self, folder: Folder) -> None:
        self.stack: Stack = stack_at(folder)

    def reading(self) -> AbstractContextManager[Ask]:
        """Questions to whom may read; times come in UTC."""
        return asking(self.stack.reader)

    @contextmanager
    def acting(self) -> Iterator[Ask]:
        """Questions to whom may do what staff do. What the law forbids is one line, exit code 1."""
        with asking(self.stack.document.get("operator", self.stack.database)) as ask:
            try:
                yield ask
            except Unlawful as refusal:
                raise Refused(str(refusal)) from None

    def devices(self, text: str) -> tuple[str, ...]:
        """Ids of the devices that a text names. Raises Refused when it names none."""
        from devices import lookup  # brings all envelopes along; a list without it is quicker

        with connected(self.stack.database) as connection:
            found = lookup.find(connection, text, MOST_DEVICES)
        if not found:
            raise Refused(f"device {text!r}: no enrolled device is called so; see: dothi devices list --find WORD")
        return (text,) if text in found else tuple(found)

    def area(self, text: str) -> str:
        """The code of the area that a text names. Raises WrongUsage."""
        with self.reading() as ask:
            known = [tuple(row.values()) for row in ask("select area, name, name_en from city.plan order by area")]
        wanted = plain(text)
        found = [code for code, *names in known if text == code or wanted in map(plain, names)]
        found = found or [code for code, *names in known if wanted and any(wanted in plain(name) for name in names)]
        if len(found) != 1:
            listed = ", ".join(f"{code} {name}" for code, name, _ in known if not found or code in found)
            raise WrongUsage(f"--area is {text!r}; {'there are' if not found else 'which of'} {listed}")
        return str(found[0])

    def wanted(
        self,
        area: str | None,
        severity: str | None,
        kind: list[str] | None,
        age: str | None,
        older: str | None,
        state: list[str] | None,
        device: str | None,
        cleared: bool = False,
    ) -> Wanted:
        """Which alarms the options mean. Raises WrongUsage for words that nothing can have."""
        for one in state or ():
            if one not in STATES:
                raise WrongUsage(f"--state is {one}; allowed: {', '.join(STATES)}")
        now = datetime.now(UTC)
        return Wanted(
            states=tuple(state or ()),
            severities=severities(severity),
            kinds=tuple(kind or ()),
            area=self.area(area) if area is not None else None,
            devices=self.devices(device) if device is not None else None,
            since=moment("--age", age, now) if age is not None else None,
            until=moment("--older", older, now) if older is not None else None,
            cleared=cleared,
        )


def plain(name: str) -> str:
    """A name of an area as people type it: without diacritics and without what it is.

    >>> plain("TP Bắc Giang"), plain("Huyện Lục Ngạn")
    ('bac giang', 'luc ngan')
    """
    from devices.enroll_said import folded

    return folded(name).removeprefix("tp ").removeprefix("thi xa ").removeprefix("thanh pho ")


def severities(said: str | None) -> tuple[str, ...]:
    """One severity and all that are worse, or exactly those that are listed.

    >>> severities("major")
    ('critical', 'major')
    >>> severities("info,minor")
    ('info', 'minor')
    """
    if said is None:
        return ()
    named = tuple(part.strip() for part in said.split(","))
    for one in named:
        if one not in SEVERITIES:
            raise WrongUsage(
                f"--severity is {one or repr(said)}; allowed: {', '.join(SEVERITIES)}, or several with commas"
            )
    return SEVERITIES[: SEVERITIES.index(named[0]) + 1] if len(named) == 1 else named


def person(by: str | None) -> str:
    """Who acts: as said, else the name of the login. Raises WrongUsage when there is none."""
    try:
        return by if by is not None else getpass.getuser()
    except (KeyError, OSError):
        raise WrongUsage("--by is missing and this login has no name; allowed: the name of a person") from None


def needed(option: str, value: str | None, expected: str, example: str) -> str:
    """The value of an option that a command cannot do without. Raises WrongUsage, which says how it is called."""
    if value is None or not value.strip():
        raise WrongUsage(f"{option} is missing; expected {expected}, as in: {example}")
    return value


def ending(length: str | None, until: str | None, begin: datetime, example: str) -> datetime:
    """When something ends: `--for` so long from its beginning, or `--until` then. Raises WrongUsage."""
    if length is not None and until is not None:
        raise WrongUsage(f"--for and --until are both there; expected one of them, as in: {example}")
    if until is not None:
        return ahead("--until", until, datetime.now(UTC))
    expected = "30m, 12h or 7d (or --until with a time such as 2026-01-31T07:00:00+07:00)"
    return ahead("--for", needed("--for", length, expected, example), begin)


def language(lang: str) -> str:
    """The language. Raises WrongUsage."""
    if lang not in LANGUAGES:
        raise WrongUsage(f"--lang is {lang}; allowed: {', '.join(LANGUAGES)}")
    return lang


def ahead(option: str, text: str, now: datetime) -> datetime:
    """A time to come: `30m`, `12h` or `7d` from now, or RFC 3339 with its zone. Raises WrongUsage.

    >>> ahead("--for", "2h", datetime(2026, 1, 1, tzinfo=UTC)).isoformat()
    '2026-01-01T02:00:00+00:00'
    """
    try:
        when = moment(option, text, now)
    except WrongUsage:
        raise WrongUsage(
            f"{option} {text!r} is no time to come; allowed: 30m, 12h, 7d or a time with its zone"
        ) from None
    back: timedelta = now - when
    return now + back if text[-1:] in "smhd" and text[:-1].isdigit() else when
