"""The file of receivers and routes: read and checked before anything is sent. docs/alarm-delivery.md describes it."""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import yaml

from analytics.delivery.routes import HOURS, PROVINCE, Email, Receiver, Route, Routes, Secrets, Webhook, span
from analytics.tables import TableRefused, converted
from devices.documents import parse_yaml

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
LEAST_SECRET = 16
MOST_NAMED = 50


class RoutesRefused(ValueError):
    """Routes that cannot be used. The message is one line that names file, field, value and what is allowed."""


def read_routes(
    path: Path, areas: Collection[str], kinds: Collection[str], secret: Callable[[str], str | None]
) -> Routes:
    """The routes of a file. `secret`: the value of a variable by its name. Raises RoutesRefused."""
    try:
        document = parse_yaml(path.read_text("utf-8"))
    except OSError as error:
        raise RoutesRefused(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise RoutesRefused(f"{path} is no readable YAML ({' '.join(str(error).split())[:200]})") from None
    return routes_from(path.name, document, areas, kinds, secret)


def routes_from(
    file: str, document: Any, areas: Collection[str], kinds: Collection[str], secret: Callable[[str], str | None]
) -> Routes:
    """The routes of a document. Raises RoutesRefused."""
    keys = ("receivers", "routes", "give_up_after_h")
    if not isinstance(document, dict) or not isinstance(document.get("receivers"), dict):
        raise RoutesRefused(f"{file}: expected a document of {', '.join(keys)}; receivers by name")
    if unknown := [key for key in document if key not in keys]:
        raise RoutesRefused(f"{file}: unknown key {unknown[0]}; expected {', '.join(keys)}")
    try:
        receivers = {
            str(name): converted(file, entry, Webhook | Email, f"receivers.{name}")
            for name, entry in document["receivers"].items()
        }
        entries = converted(file, document.get("routes", []), list[Any], "routes")
        routes = [converted(file, entry, Route, f"routes.{at}") for at, entry in enumerate(entries, 1)]
        hours = converted(file, document.get("give_up_after_h", 24.0), Annotated[float, msgspec.Meta(ge=1, le=720)])
    except TableRefused as error:
        raise RoutesRefused(str(error)) from None
    for name, receiver in receivers.items():
        _check_receiver(f"{file}: receivers.{name}", name, receiver)
    for at, route in enumerate(routes, 1):
        _check_route(f"{file}: routes.{route.name or at}", route, receivers, areas, kinds)
    _check_names(file, routes)
    secrets = {name: _secrets(f"{file}: receivers.{name}", one, secret) for name, one in receivers.items()}
    return Routes(receivers, routes, secrets, hours)


def _check_receiver(place: str, name: str, receiver: Receiver) -> None:
    if not NAME.fullmatch(name):
        raise RoutesRefused(f"{place}: a receiver's name has lower-case letters, digits and hyphens, at most 63")
    if isinstance(receiver, Webhook):
        if bool(receiver.url) == bool(receiver.url_env):
            raise RoutesRefused(f"{place}: expected one of url and url_env")
        if receiver.url:
            _check_url(f"{place}.url is {receiver.url}", receiver.url)
    else:
        _check_email(place, receiver)
    if receiver.ca and not Path(receiver.ca).is_file():
        raise RoutesRefused(f"{place}.ca is {receiver.ca}; expected a file of certificates in PEM")


def _check_url(said: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        host, port, held = parts.hostname or "", parts.port, "@" in parts.netloc
        good = parts.scheme in ("http", "https") and (":" in host or HOST.fullmatch(host) is not None)
        good = good and port != 0 and not parts.fragment and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        good, held = False, False
    if held:
        raise RoutesRefused(f"{said.partition(' is ')[0]} holds a user; what is secret belongs into url_env")
    if not good:
        raise RoutesRefused(f"{said}; expected an address such as https://desk.example.vn/alarms")


def _check_email(place: str, receiver: Email) -> None:
    host, _, port = receiver.server.rpartition(":")
    if not HOST.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise RoutesRefused(f"{place}.server is {receiver.server}; expected host:port such as smtp.example.vn:587")
    for key, mailbox in (("from", receiver.sender), *(("to", one) for one in receiver.to)):
        if not MAILBOX.fullmatch(mailbox):
            raise RoutesRefused(f"{place}.{key} is {mailbox}; expected an address such as duty@example.vn")
    if bool(receiver.user) != bool(receiver.password_env):
        raise RoutesRefused(f"{place}: user and password_env go together")
    if receiver.user and receiver.security == "none" and host not in ("127.0.0.1", "[::1]", "localhost"):
        raise RoutesRefused(f"{place}.security is none; a password wants starttls or tls")


def _check_route(
    place: str, route: Route, receivers: Mapping[str, Receiver], areas: Collection[str], kinds: Collection[str]
) -> None:
    for key, values, known in (
        ("to", route.to, receivers),
        ("areas", route.areas, (*areas, PROVINCE)),
        ("kinds", route.kinds, kinds),
    ):
        if unknown := [value for value in values if value not in known]:
            raise RoutesRefused(f"{place}.{key} has {unknown[0]}; there are {some_of(known)}")
    found = HOURS.fullmatch(route.hours)
    if route.hours and (not found or len(set(span(route.hours))) == 1):
        raise RoutesRefused(f"{place}.hours is {route.hours}; expected two times such as 17:00-07:00")


def some_of(known: Collection[str]) -> str:
    """Names that there are, as many as fit on a line; those with a hyphen, of single metrics, come last."""
    listed = sorted(known, key=lambda name: ("-" in name, name))
    more = len(listed) - MOST_NAMED
    return ", ".join(listed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _check_names(file: str, routes: list[Route]) -> None:
    names = [route.name for route in routes if route.name]
    if twice := [name for name in names if names.count(name) > 1]:
        raise RoutesRefused(f"{file}: two routes are {twice[0]}; expected a name of its own for each")


def _secrets(place: str, receiver: Receiver, secret: Callable[[str], str | None]) -> Secrets:
    def held(key: str, name: str, least: int = 1) -> str:
        value = secret(name) or ""
        if len(value) < least:
            lack = f"has only {len(value)} characters; expected at least {least}" if value else "is not set"
            raise RoutesRefused(f"{place}.{key} is {name}; this variable of the environment {lack}")
        return value

    if isinstance(receiver, Email):
        return Secrets(held("password_env", receiver.password_env) if receiver.password_env else "")
    url = receiver.url or held("url_env", receiver.url_env)
    if receiver.url_env:
        _check_url(f"{place}.url_env is {receiver.url_env}, whose value cannot be used", url)
    return Secrets(held("secret_env", receiver.secret_env, LEAST_SECRET), url)
