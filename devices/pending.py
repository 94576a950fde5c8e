"""First contact: devices that speak and are not enrolled, and what they most likely are.

Ingest keeps their messages in quarantine as `unknown_device`; this reads them there. What is proposed is for a person:
nothing is enrolled by it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from devices.area_outline import zone_at
from devices.fitting import native_profiles
from devices.outcome import Outcome, metrics_of
from devices.profile import PROFILES, Profile
from devices.raw import shown
from devices.reading import Reading
from devices.rejected import Rejected
from devices.route import ROUTES
from devices.verdict import Judge

Connection = psycopg.Connection[Any]

NATIVE = "native"
SAMPLES = 5
LONGEST_ID = 63
LONGEST_SAMPLE = 200
SURE = (None, "model")
"""How a profile was found that needs no second look: the message itself states its kind, or names the model."""

SEEN = """
with seen as (
    select inbox, device, count(*) as n, min(received) as first, max(received) as last
    from city.quarantine
    where reason = 'unknown_device' and replayed is null and received >= %(since)s and device <> ''
    group by inbox, device
)
select s.inbox, k.kind, s.device, s.n, s.first, s.last
from seen s left join unnest(%(inboxes)s::text[], %(kinds)s::text[]) as k (inbox, kind) using (inbox)
where case when k.kind is null then not exists (select from registry.device d where d.device = s.device)
      else not exists (select from registry.alias l where l.route = k.kind and l.foreign_id = s.device) end
order by s.last desc limit %(most)s
"""
KEPT = """
select topic, payload from city.quarantine
where device = %(device)s and inbox = any(%(inboxes)s) and reason = 'unknown_device' and replayed is null
  and received >= %(since)s and size > 0 and size <= octet_length(payload)
order by received desc limit %(most)s
"""


class Sample(NamedTuple):
    """A message that was kept, or the part of one that speaks of the device."""

    topic: str
    payload: bytes


class Stranger(NamedTuple):
    """A device that speaks and is not enrolled.

    `kind`: of the foreign route, `native` for our own topics; `foreign_id`: what it calls itself there; `inboxes`:
    areas or routes by which it came; `messages`: kept, at most 1,000 a day; `private`: its route keeps no payload of
    devices that nobody answers for.
    """

    kind: str
    foreign_id: str
    inboxes: tuple[str, ...]
    messages: int
    first: datetime
    last: datetime
    private: bool

    @property
    def name(self) -> str:
        """How commands call it: `lorawan:70b3d50000000001`, and a native device by its id alone."""
        return self.foreign_id if self.kind == NATIVE else f"{self.kind}:{self.foreign_id}"


class Proposal(NamedTuple):
    """What a stranger most likely is. `profile`: None where none is likelier than others; `sure`: no person needs to
    choose; `why`: a sentence; `others`: profiles that fit as well; `metrics`: what its messages hold."""

    profile: str | None
    sure: bool
    why: str
    others: tuple[str, ...] = ()
    family: str | None = None
    metrics: dict[str, float | str] = {}  # noqa: RUF012 - a NamedTuple's default, never written to


def strangers(connection: Connection, since: datetime, most: int = 1000) -> list[Stranger]:
    """Who spoke since then without being enrolled, the newest first."""
    kinds = {name: route.kind for name, route in ROUTES.items()}
    wanted = {"since": since, "inboxes": [*kinds], "kinds": [*kinds.values()], "most": most}
    found: dict[tuple[str, str], Stranger] = {}
    for inbox, kind, device, count, first, last in connection.execute(SEEN, wanted).fetchall():
        one = Stranger(kind or NATIVE, device, (inbox,), count, first, last, kind is not None and ROUTES[inbox].private)
        known = found.get((one.kind, device))
        found[one.kind, device] = joined(known, one) if known else one
    return sorted(found.values(), key=lambda one: one.last, reverse=True)


def joined(known: Stranger, more: Stranger) -> Stranger:
    """One device that came by several inboxes."""
    return known._replace(
        inboxes=tuple(sorted({*known.inboxes, *more.inboxes})),
        messages=known.messages + more.messages,
        first=min(known.first, more.first),
        last=max(known.last, more.last),
        private=known.private and more.private,
    )


def samples_of(connection: Connection, stranger: Stranger, since: datetime, most: int = SAMPLES) -> list[Sample]:
    """Its newest whole messages, the oldest of them first."""
    wanted = {"device": stranger.foreign_id, "inboxes": list(stranger.inboxes), "since": since, "most": most}
    rows = connection.execute(KEPT, wanted).fetchall()
    return [Sample(topic, bytes(payload)) for topic, payload in reversed(rows)]


def propose(stranger: Stranger, samples: Sequence[Sample], now_us: int) -> Proposal:
    """What the stranger most likely is. `now_us`: microseconds since 1970, to believe times by."""
    if not samples:
        return unheard(stranger)
    judge = Judge(now_us)
    outcomes = [
        outcome
        for sample in samples
        for outcome in judge.judge(sample.payload, sample.topic, None).outcomes
        if outcome.device in (stranger.foreign_id, None)
    ]
    if stranger.kind == NATIVE:
        return native(samples, outcomes)
    return fitted([outcome for outcome in outcomes if isinstance(outcome.result, Reading)], outcomes)


def unheard(stranger: Stranger) -> Proposal:
    """Nothing was kept to judge by."""
    known = tuple(profile.name for profile in PROFILES.values() if profile.route == stranger.kind)
    reason = "its route is private: of unknown devices no payload is kept" if stranger.private else "no whole payload"
    return Proposal(None, False, f"{reason}; choose a profile by what stands on the device", known)


def native(samples: Sequence[Sample], outcomes: Sequence[Outcome]) -> Proposal:
    """Our own message names its metrics, not its profile: the native profile that has most of them in each."""
    found = [best for sample in samples if (best := native_profiles(sample.payload))]
    if not found:
        return Proposal(None, False, refusal(outcomes))
    best = [profile for profile in found[0] if all(profile in others for others in found)]
    likeliest = (best or found[-1])[0]
    results = [result for sample in samples for result in likeliest.read(sample.payload)]
    metrics = holding([Outcome(None, likeliest, result, likeliest.family) for result in results])
    if len(best) != 1:
        likely = best or list({profile.name: profile for others in found for profile in others}.values())
        return Proposal(None, False, "several families have these metrics", names(likely), None, metrics)
    return Proposal(best[0].name, True, "it alone has these metrics", (), best[0].family.name, metrics)


def fitted(readings: Sequence[Outcome], outcomes: Sequence[Outcome]) -> Proposal:
    """The profile that most messages fit."""
    if not readings:
        return Proposal(None, False, refusal(outcomes))
    votes = Counter(one.profile.name for one in readings if one.profile)
    if not votes:
        family = readings[-1].family.name if readings[-1].family else None
        why = (
            "no profile describes it; metrics by the names of fields; draft one: dothi devices new --from-payload FILE"
        )
        return Proposal(None, False, why, (), family, holding(readings[-1:]))
    first, *others = [name for name, _ in votes.most_common()]
    sure = not others and all(one.guessed in SURE for one in readings)
    mine = [one for one in readings if one.profile and one.profile.name == first]
    why = "its messages say so" if sure else "its messages fit it; look before you accept"
    return Proposal(first, sure, why, tuple(others), PROFILES[first].family.name, holding(mine))


def holding(outcomes: Sequence[Outcome]) -> dict[str, float | str]:
    """Every metric of the readings, as it was last."""
    found: dict[str, float | str] = {}
    for one in outcomes:
        if one.family and isinstance(one.result, Reading):
            found |= metrics_of(one.family, one.result)
    return found


def refusal(outcomes: Sequence[Outcome]) -> str:
    """Why its newest message is no reading."""
    said = [one.result.detail for one in outcomes if isinstance(one.result, Rejected)]
    return said[-1] if said else "its messages carry no reading so far"


def names(profiles: Sequence[Profile]) -> tuple[str, ...]:
    """Their names."""
    return tuple(profile.name for profile in profiles)


def device_id(stranger: Stranger) -> str:
    """An id for it, made of what it is called: `Tuya-Plug_1` becomes `tuya-plug-1`.

    The end of a name tells devices apart, so the end is what stays of one that is too long.
    """
    if stranger.kind == NATIVE:
        return stranger.foreign_id
    slug = re.sub(r"[^a-z0-9]+", "-", stranger.foreign_id.lower()).strip("-")
    name = slug if len(slug) >= 3 else f"{stranger.kind}-{slug}".rstrip("-")
    return name[-LONGEST_ID:].strip("-")


def area_of(stranger: Stranger, proposal: Proposal) -> str | None:
    """The area under whose topic it speaks, or in which it says that it stands; None where nothing tells."""
    if stranger.kind == NATIVE:
        return stranger.inboxes[0] if len(stranger.inboxes) == 1 else None
    latitude, longitude = proposal.metrics.get("latitude"), proposal.metrics.get("longitude")
    if not isinstance(latitude, float) or not isinstance(longitude, float):
        return None
    return zone_at(latitude, longitude)


def sample_shown(samples: Sequence[Sample]) -> str | None:
    """The beginning of its newest message, as text or in hexadecimal."""
    if not samples:
        return None
    payload = samples[-1].payload
    try:
        return shown(payload.decode())[:LONGEST_SAMPLE]
    except UnicodeDecodeError:
        return payload[: LONGEST_SAMPLE // 2].hex()
