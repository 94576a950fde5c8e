"""What becomes of a message, for people who ask before a device is enrolled: system, device, profile, readings.

Where nobody told the topic or the profile, they are guessed by the content, and marked as guessed. On the way in
nothing is guessed: there the topic and the registry decide.
"""

from devices.codecs import CODECS
from devices.codecs.frames import FRAME_CODECS
from devices.envelopes import Notice, Opened, Opener, Packet, noticed, opener_of
from devices.fitting import Chosen, chosen, native_profiles
from devices.frame_text import frame_in
from devices.guess import Guess, guess
from devices.outcome import Outcome, Verdict, legal_values
from devices.profile import PROFILES, Profile
from devices.reading import Reading
from devices.rejected import Reason, Rejected
from devices.route import ROUTES, Route, native_topic, route_of, routes_of
from devices.sniff import UNNAMED, Sniffed, sniff
from devices.time import parse_time

PATTERN_MARKS = frozenset("{}<>() +#;…")
"""Characters of topics as manuals write them: `<device>/rpc`, `{prefix}/tracker/{serial}`."""


class Judge:
    """Judges messages one after another; openers that remember (births) do so from one message to the next.

    `now_us`: microseconds since 1970, to believe times by; `hint`: what may name a device's model, a file's name.
    """

    def __init__(self, now_us: int, hint: str = "") -> None:
        self._now_us = now_us
        self._hint = hint
        self._openers: dict[str, Opener] = {}

    def judge(self, payload: bytes, topic: str | None, profile: Profile | None) -> Verdict:
        """What a message becomes; never raises, whatever the bytes."""
        if profile is not None:
            return self._told(payload, topic, profile)
        if topic is None:
            return self._by_content(payload, sniff(payload))
        native = native_topic(topic)
        if native:
            return Verdict("native", *self._native(payload, native[1]))
        route = route_of(topic)
        if route:
            return Verdict(route.name, self._opened(route, topic, payload, named=True), [])
        return self._off_route(payload, topic)

    def _off_route(self, payload: bytes, topic: str) -> Verdict:
        """A topic that the platform does not take: what the content would be on another one, and that refusal."""
        topics = ", ".join(pattern for known in ROUTES.values() for pattern in known.topics)
        detail = f"no route takes topic {topic}; expected dothi/v1/{{area}}/{{device}}/up or one of {topics}"
        refused = Outcome(None, None, Rejected("route", Reason.UNKNOWN_ROUTE, "topic", topic[:200], detail))
        found = self._by_content(payload, sniff(payload))
        if PATTERN_MARKS & {*topic}:
            return found._replace(notes=[f"{topic} is no topic but a pattern for one", *found.notes])
        useful = [outcome for outcome in found.outcomes if not isinstance(outcome.result, Rejected)]
        return Verdict(found.system, [refused, *useful], found.notes)

    def _told(self, payload: bytes, topic: str | None, profile: Profile) -> Verdict:
        """A message of a known device model: its envelope by topic or content, else a bare frame or document."""
        if profile.route is None:
            native = native_topic(topic or "")
            name = native[1] if native else None
            return Verdict("native", [Outcome(name, profile, one, profile.family) for one in profile.read(payload)], [])
        routes = routes_of(profile.route)
        taking, found = route_of(topic or ""), sniff(payload)
        route = taking if taking in routes else next((r for s in found if (r := ROUTES.get(s.system)) in routes), None)
        if route is None and profile.codec in FRAME_CODECS and (frame := frame_in(payload)):
            document = {"eui": None, "port": None, "frame": frame}
            return Verdict("frame", of_profile(profile, [Packet(None, document, payload)]), [BARE_FRAME])
        route = route or next(iter(routes), None)
        if route is None:
            return Verdict("document", of_profile(profile, [Packet(None, profile.decode(payload), payload)]), [])
        told = topic or next((s.topic for s in found if s.system == route.name), topic_on(route))
        return Verdict(route.name, of_profile(profile, self._opener(route)(told, payload)), [])

    def _by_content(self, payload: bytes, found: list[Sniffed]) -> Verdict:
        """A message whose topic nobody knows."""
        known = [s for s in found if s.system == "native" or s.system in ROUTES]
        if not known:
            return self._unrecognised(payload)
        system, topic = known[0]
        notes = [f"read as {system} by its content; --topic tells for sure"]
        if len(known) > 1:
            notes.append(f"it could also be {', '.join(s.system for s in known[1:])}")
        if system == "native":
            outcomes, more = self._native(payload, None)
            return Verdict(system, outcomes, notes + more)
        route = route_of(topic) or ROUTES[system]
        return Verdict(route.name, unnamed(self._opened(route, topic, payload, named=False)), notes)

    def _unrecognised(self, payload: bytes) -> Verdict:
        """Content of no known system: a bare frame, else a document read by vocabulary."""
        document = CODECS["native"](payload)
        if isinstance(document, dict | list):
            return Verdict("document", self._documents(None, document, payload), [BY_VOCABULARY])
        frame = frame_in(payload)
        if frame:
            return Verdict("frame", self._frame(frame, payload), [BARE_FRAME])
        if isinstance(document, Rejected):
            return Verdict("document", [Outcome(None, None, document)], [])
        detail = "a single value; expected a message; a topic may tell what it is: give --topic"
        refused = Rejected("profile", Reason.WRONG_SHAPE, None, str(document)[:200], detail)
        return Verdict("document", [Outcome(None, None, refused)], [])

    def _frame(self, frame: bytes, payload: bytes) -> list[Outcome]:
        """A bare frame: of the device whose profile reads it whole, else Cayenne LPP, which takes much that is none."""
        packet = Packet(None, {"eui": None, "port": None, "frame": frame}, payload)
        found = self._fitted("lorawan", packet, named=False)
        cayenne = ROUTES.get("cayenne")
        if cayenne is None or ("cayenne" not in self._hint.lower() and legal_values(found)):
            return found
        last = unnamed(self._opened(cayenne, topic_on(cayenne), frame, named=False))
        refused = [outcome for outcome in last if isinstance(outcome.result, Rejected)]
        return refused or last

    def _native(self, payload: bytes, device: str | None) -> tuple[list[Outcome], list[str]]:
        """Our own message, whose profile only the registry knows: the native one that has most of its metrics."""
        best = native_profiles(payload)
        told = best[0] if best else next(p for p in PROFILES.values() if p.codec == "native")
        results = told.read(payload)
        guessed = "metrics" if len(best) > 1 else None
        notes = [f"its metrics also fit {', '.join(p.name for p in best[1:])}; --profile tells"] if guessed else []
        return [Outcome(device, told, one, told.family, guessed) for one in results], notes

    def _opener(self, route: Route) -> Opener:
        if route.name not in self._openers:
            self._openers[route.name] = opener_of(route)
        return self._openers[route.name]

    def _opened(self, route: Route, topic: str, payload: bytes, named: bool) -> list[Outcome]:
        """A message of a route: each part with the profile that fits it."""
        outcomes: list[Outcome] = []
        for part in self._opener(route)(topic, payload):
            if isinstance(part, Notice):
                outcomes.append(Outcome(part.foreign_id, None, part))
            else:
                outcomes += self._fitted(route.kind, part, named)
        return outcomes

    def _fitted(self, kind: str, packet: Packet, named: bool) -> list[Outcome]:
        """The readings of a packet; `named`: the platform would need to know the device."""
        found = chosen(kind, packet, self._hint)
        if isinstance(found, Chosen):
            outcomes = [
                Outcome(
                    packet.foreign_id,
                    found.profile,
                    noticed(one, packet.foreign_id),
                    found.profile.family,
                    found.how,
                )
                for one in found.results
            ]
        else:
            outcomes = [Outcome(packet.foreign_id, None, found)]
        words = isinstance(found, Chosen) and found.how == "trial" and found.profile.codec == "decoded"
        if words or not legal_values(outcomes):
            outcomes = max(outcomes, self._by_vocabulary(packet), key=legal_values)
        if named and packet.foreign_id is None and not isinstance(packet.document, Rejected):
            detail = f"the message names no device of {kind}; expected the device's name in the topic or the message"
            unknown = Rejected("route", Reason.UNKNOWN_DEVICE, "device", None, detail)
            outcomes = [Outcome(None, None, unknown), *(o for o in outcomes if not isinstance(o.result, Rejected))]
        return outcomes

    def _by_vocabulary(self, packet: Packet) -> list[Outcome]:
        """The readings of a packet that no profile reads, by the names of its fields; none where they say nothing."""
        document = packet.document
        if isinstance(document, dict):
            document = document.get("decoded") if "frame" in document or "decoded" in document else document
        time = sent_at(packet.document)
        return [
            outcome._replace(result=outcome.result._replace(time=outcome.result.time or time))
            for outcome in self._documents(packet.foreign_id, document, packet.payload)
            if isinstance(outcome.result, Reading)
        ]

    def _documents(self, device: str | None, document: object, payload: bytes) -> list[Outcome]:
        """A document, or each of a list of them, read by vocabulary."""
        listed = document if isinstance(document, list) and all(map(is_document, document)) and document else [document]
        outcomes = []
        for one in listed[:1000]:
            found = guess(one, payload, self._now_us)
            if isinstance(found, Guess):
                family, reading, fields = found
                outcomes.append(Outcome(device, None, reading, family, "vocabulary", fields))
            else:
                outcomes.append(Outcome(device, None, found))
        return outcomes


BY_VOCABULARY = "no profile describes it: metrics are guessed by the names of fields; write a profile before it is used"
BARE_FRAME = "taken as the bare bytes of a frame"


def unnamed(outcomes: list[Outcome]) -> list[Outcome]:
    """Outcomes without the names that only a made-up topic gave."""
    return [one._replace(device=None) if one.device and UNNAMED in one.device else one for one in outcomes]


def sent_at(document: object) -> int | None:
    """The time that a network server wrote on an uplink."""
    said = document.get("time") if isinstance(document, dict) and "port" in document else None
    time = parse_time(said, "rfc3339", "Z") if isinstance(said, str) else None
    return time if isinstance(time, int) else None


def is_document(one: object) -> bool:
    """Whether an element of a list is a message of its own rather than one value with its name."""
    return isinstance(one, dict) and not {"value", "v"} & one.keys()


def of_profile(profile: Profile, opened: Opened) -> list[Outcome]:
    """Every part of a message read with one profile."""
    outcomes: list[Outcome] = []
    for part in opened:
        if isinstance(part, Notice):
            outcomes.append(Outcome(part.foreign_id, profile, part))
        else:
            results = profile.map(part.document, part.payload)
            outcomes += [
                Outcome(part.foreign_id, profile, noticed(r, part.foreign_id), profile.family) for r in results
            ]
    return outcomes


def topic_on(route: Route) -> str:
    """A topic that the route takes."""
    return route.topics[0].replace("+", "unnamed").replace("#", "unnamed")
