"""One message through the real pipeline: published at the broker, looked for in the database."""

import time
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
import psycopg
from paho.mqtt.enums import CallbackAPIVersion
from psycopg import sql
from psycopg.rows import dict_row

from devices import registry
from devices.enroll import Row
from devices.enroll_cells import foreign_name
from devices.envelopes import Notice, Packet, opener_of
from devices.profile import PROFILES, Profile
from devices.reading import Reading
from devices.route import route_of, routes_of
from dothi.errors import Refused, WrongUsage
from dothi.layers import layers
from dothi.settings import Stack

KNOWN_AFTER_S = 2.5  # ingest looks at the registry every second
VERDICT_S = 15.0

Connection = psycopg.Connection[Any]


def send(stack: Stack, payload: bytes, profile_name: str, area: str, topic: str | None) -> dict[str, Any]:
    """Send `payload` for a trial device of the profile; the stored row, or the reason, with `stored` true or false.

    `layers`: what each layer before the database makes of it.
    """
    profile = PROFILES.get(profile_name)
    if profile is None:
        raise WrongUsage(f"--profile {profile_name!r} is not known; known: {', '.join(sorted(PROFILES))}")
    if stack.broker is None:
        raise WrongUsage("no broker: name a running stack with --dir, or set DOTHI_BROKER_URL")
    with psycopg.connect(stack.database, autocommit=True) as connection:
        areas = registry.known_areas(connection)
        if area not in areas:
            raise WrongUsage(f"--area {area!r} is not a zone of the plan; the zones are {', '.join(areas)}")
        device = f"try-{profile_name}"
        topic = topic or topic_of(profile, area, device, payload)
        require_reading(profile, topic, payload)
        since = server_time(connection)
        if introduce(connection, Row(device, profile_name, area), profile, topic, payload):
            time.sleep(KNOWN_AFTER_S)
        publish(broker_of(stack, profile, area), topic, payload)
        verdict = wait_for_verdict(connection, profile, device, topic, since)
        return {**verdict, "layers": [layer._asdict() for layer in layers(profile, topic, payload)]}


def topic_of(profile: Profile, area: str, device: str, payload: bytes) -> str:
    """The topic that a device of this profile uses; of several the first on which the message is understood."""
    if profile.route is None:
        return f"dothi/v1/{area}/{device}/up"
    filters = [pattern for route in routes_of(profile.route) for pattern in route.topics]
    topics = [pattern.replace("+", device).replace("#", device) for pattern in filters]
    understood = (
        topic for topic in topics if any(isinstance(result, Reading) for result in profile.read(payload, topic))
    )
    return next(understood, topics[0])


def server_time(connection: Connection) -> object:
    """The database's clock."""
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None  # a select of a function always gives a row
    return row[0]


def introduce(connection: Connection, row: Row, profile: Profile, topic: str, payload: bytes) -> bool:
    """Enrol the trial device under the name that this message uses; whether anything was new."""
    if profile.route is not None:
        name = foreign_id(profile.route, topic, payload)
        if name and foreign_name(profile.route, name) != name:
            raise Refused(f"the message names the device {name[:60]!r}, which holds characters that are no text")
        known = connection.execute(
            "select 1 from registry.alias where route = %s and foreign_id = %s", (profile.route, name)
        ).fetchone()
        if name and not known:
            row = row._replace(route=profile.route, foreign_id=name)
    result = registry.enroll(connection, [row])
    return bool(result.new or result.changed or row.foreign_id)


def require_reading(profile: Profile, topic: str, payload: bytes) -> None:
    """Refuse a message that would be taken and leave no trace. Raises Refused.

    Only where one message can be judged alone: other openers know from earlier ones what it means.
    """
    if profile.route != "lorawan":
        return
    route = route_of(topic) or routes_of(profile.route)[0]
    parts = opener_of(route)(topic, payload)
    said = [part.detail for part in parts if isinstance(part, Notice)]
    if len(said) == len(parts):
        raise Refused(f"the message carries no reading, by design of {route.name}: {said[0]}")


def foreign_id(kind: str, topic: str, payload: bytes) -> str | None:
    """What the foreign system calls the device; None when the message names none, or several."""
    route = route_of(topic) or routes_of(kind)[0]
    opened = opener_of(route)(topic, payload)
    names = {part.foreign_id for part in opened if isinstance(part, Packet)}
    return names.pop() if len(names) == 1 else None


def broker_of(stack: Stack, profile: Profile, area: str) -> str:
    """The broker that serves this area; foreign routes come in at the first."""
    for broker in stack.document.get("brokers", ()):
        if profile.route is None and area in broker["areas"]:
            return str(broker["url"])
    assert stack.broker is not None
    return stack.broker


def publish(url: str, topic: str, payload: bytes) -> None:
    """Publish once at QoS 1 and wait for the broker's acknowledgement."""
    parts = urlsplit(url)
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    refused: list[str] = []
    client.on_publish = lambda *said: refused.append(str(said[3])) if said[3].is_failure else None
    if parts.username:
        client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
    try:
        client.connect(parts.hostname or "127.0.0.1", parts.port or 1883)
        client.loop_start()
        message = client.publish(topic, payload, qos=1)
        message.wait_for_publish(5)
    except (OSError, ValueError, RuntimeError) as error:
        raise Refused(f"broker {parts.hostname}:{parts.port}, topic {topic}: {error}") from None
    finally:
        client.disconnect()
        client.loop_stop()
    if not message.is_published():
        raise Refused(f"broker {parts.hostname}:{parts.port} did not acknowledge the message on {topic} within 5 s")
    if refused:
        raise Refused(f"the broker refused topic {topic} ({refused[0]}): no area and no route of the platform takes it")


def wait_for_verdict(
    connection: Connection, profile: Profile, device: str, topic: str, since: object
) -> dict[str, Any]:
    """The quarantined message or the stored row that appeared since; a duplicate's row is the one stored before."""
    table = sql.Identifier("city", profile.family.name)
    stored = sql.SQL("select * from {} where device = %s and received >= %s limit 1").format(table)
    refused = sql.SQL(
        "select received, topic, size, device, profile, layer, reason, field, value, detail from city.quarantine "
        "where topic = %s and received >= %s limit 1"
    )
    until = time.monotonic() + VERDICT_S
    while time.monotonic() < until:
        for statement, key, kept in ((refused, topic, False), (stored, device, True)):
            row = connection.cursor(row_factory=dict_row).execute(statement, (key, since)).fetchone()
            if row:
                return {"stored": kept, **row}
        time.sleep(0.05)
    raise Refused(
        f"the broker acknowledged the message on {topic}, but {VERDICT_S:.0f} s later it is neither a new row nor in "
        "quarantine: it was stored before (a duplicate), or ingest is behind; see: dothi status"
    )
