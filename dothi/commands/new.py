"""`dothi devices new`: a profile drafted from a message. Needs no stack."""

import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from devices.codecs import CODECS
from devices.draft import draft
from devices.envelopes import Notice, Packet, opener_of
from devices.rejected import Rejected
from devices.route import ROUTES, Route, native_topic, route_of
from devices.sniff import sniff
from dothi.commands.options import AsJson
from dothi.errors import Refused, WrongUsage
from dothi.messages import messages_in, read_file
from dothi.output import console, print_json

NAME = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")


def new(
    from_payload: Annotated[Path, typer.Option(help="One message, byte for byte as the device sends it.")],
    topic: Annotated[str | None, typer.Option(help="The topic it came on; tells the route.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the profile here; its name is the profile's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draft a profile from a message of a device that has none: family, fields, units and time, guessed by names.

    Every guess is marked `# CHECK`. Look at them, add examples, and judge the file with `dothi devices check`.

    Example: dothi devices new --from-payload message.json --out my-sensor.yaml
    """
    name = out.stem if out else "my-device"
    if out and not (NAME.fullmatch(name) and out.suffix == ".yaml"):
        raise WrongUsage(f"--out {out}: expected a name of a-z, 0-9 and - (3 to 63 characters) that ends in .yaml")
    if out and out.exists():
        raise WrongUsage(f"--out {out}: the file is there already; expected a new one")
    text = drafted(name, read_file(from_payload), topic)
    if out:
        write(out, text)
    if as_json:
        print_json({"name": name, "out": str(out) if out else None, "checks": text.count("# CHECK"), "profile": text})
    elif out:
        checks = text.count("# CHECK")
        console.print(f"{out}: {checks} lines to check; then: dothi devices check {out}", markup=False, soft_wrap=True)
    else:
        console.out(text, end="", highlight=False)


def drafted(name: str, content: bytes, topic: str | None) -> str:
    """The draft for the first message of a file. Raises Refused, WrongUsage."""
    (said, payload), *_ = messages_in(content)[0]
    route, told = route_for(payload, topic or said)
    text = draft(name, route, told, packet_of(route, told, payload), time.time_ns() // 1000)
    if isinstance(text, Rejected):
        raise Refused(f"nothing to draft from: {text.reason.value}: {text.detail}")
    return text


def route_for(payload: bytes, topic: str | None) -> tuple[Route | None, str | None]:
    """The route of a message and a topic of it, by the topic or else by its content."""
    if topic and native_topic(topic):
        raise WrongUsage(f"--topic {topic}: our own messages have profiles already; see dothi devices profiles")
    if topic and (route := route_of(topic)):
        return route, topic
    for system, found in sniff(payload):
        if system == "native":
            raise Refused("this is our own message, whose profiles exist already; see dothi devices profiles")
        if system in ROUTES:
            return route_of(found) or ROUTES[system], found
    return None, topic


def packet_of(route: Route | None, topic: str | None, payload: bytes) -> Packet:
    """What the message says of one device. Raises Refused when it carries no reading."""
    if route is None or topic is None:
        return Packet(None, CODECS["json"](payload), payload)
    parts: list[Any] = opener_of(route)(topic, payload)
    first = next((part for part in parts if isinstance(part, Packet)), parts[0])
    if isinstance(first, Notice):
        raise Refused(f"the message carries no reading: {first.detail}; take one with values")
    return Packet(first.foreign_id, first.document, payload)


def write(out: Path, text: str) -> None:
    """The file; a new one. Raises WrongUsage."""
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise WrongUsage(f"--out {out}: {error.strerror}") from None
