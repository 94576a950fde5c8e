"""Which profile a packet of a foreign system fits, where no registry tells: by what it says of itself, else by trying.

A frame fits a profile whose codec takes all of it and whose values are all legal; most metrics win.
"""

import re
from math import isnan, nan
from typing import NamedTuple

from devices.codecs import CODECS
from devices.codecs.frames import FRAME_CODECS
from devices.envelopes import Packet
from devices.guess import PRIOR
from devices.laws import mapped_metrics
from devices.mapping import fits
from devices.native import RESERVED
from devices.profile import PROFILES, Profile
from devices.raw import shown
from devices.reading import Reading
from devices.rejected import Reason, Rejected

LEAST_MODEL = 4
"""Letters of a model's name that are looked for in what a message says; shorter ones stand anywhere."""
MOST_NAMED = 8
"""Profiles in a rejection."""
_MODEL_KEYS = (
    "model",
    "deviceProfileName",
    "device_profile_name",
    "deviceName",
    "device_name",
    "device_id",
    "brand_id",
)


class Chosen(NamedTuple):
    """A profile, what it makes of the packet, and how it was found: None where the message itself says its kind."""

    profile: Profile
    results: list[Reading | Rejected]
    how: str | None


class Trial(NamedTuple):
    """What a profile makes of a packet. `metrics`: legal values, `strange`: fields it does not know, `share`: of the
    metrics it can have, those that were there."""

    profile: Profile
    results: list[Reading | Rejected]
    clean: bool
    metrics: int
    strange: int
    share: float

    @property
    def silent(self) -> bool:
        """Whether the frame is known to carry no reading."""
        return all(isinstance(result, Rejected) and result.reason is Reason.NO_READING for result in self.results)

    @property
    def whole(self) -> bool:
        """Whether all of the frame is readings, the first without fault: stored ones behind it may be odd."""
        first = self.results[0]
        return isinstance(first, Reading) and not first.partial and all(isinstance(r, Reading) for r in self.results)

    @property
    def rank(self) -> tuple[int, int, float]:
        """The higher the better."""
        return self.metrics, -self.strange, self.share


def chosen(kind: str, packet: Packet, hint: str = "") -> Chosen | Rejected:
    """The profile for a packet, or why there is none. `hint`: what else may name the model, such as a file's name."""
    document = packet.document
    if isinstance(document, Rejected):
        return document
    candidates = [p for p in PROFILES.values() if p.route == kind and p.table and fits(p.table, document)]
    if isinstance(document, dict) and "frame" in document and "decoded" not in document:
        candidates = [p for p in candidates if p.codec != "decoded"]
    stated = [p for p in candidates if p.table and p.table.match_path is not None]
    trials = [trial(profile, packet) for profile in stated or candidates]
    if not trials:
        return undecided(kind, document, trials) if is_frame(document) else unfitting(kind, document)
    if len(trials) == 1 and (stated or not is_shared(kind)):
        return Chosen(trials[0].profile, trials[0].results, None)
    only: Chosen | None = None
    for said, how in (([hint], "hint"), (said_of_model(document), "model")):
        named = hinted(trials, said)
        best = best_of(named) or (named[0] if len(named) == 1 and named[0].metrics else None)
        if best:
            return Chosen(best.profile, best.results, how)
        only = only or (Chosen(named[0].profile, named[0].results, how) if len(named) == 1 else None)
    best = best_of(trials) or (trials[0] if len(trials) == 1 else None)
    if best:
        return Chosen(best.profile, best.results, "match" if stated else "trial")
    if only and not unreadable(only.results):
        return only
    silent = next((one for one in trials if one.silent), None)
    if silent:
        return Chosen(silent.profile, silent.results, "trial")
    refused = undecided(kind, document, trials)
    return agreed(trials, refused) or only or refused


def is_shared(kind: str) -> bool:
    """Whether many models of devices speak on routes of this kind, so that none is meant unless it is named."""
    profiles = [profile for profile in PROFILES.values() if profile.route == kind]
    return len(profiles) > 1 or any(profile.codec in ("decoded", *FRAME_CODECS) for profile in profiles)


def trial(profile: Profile, packet: Packet) -> Trial:
    """What a profile makes of a packet."""
    results = profile.map(packet.document, packet.payload)
    readings = [result for result in results if isinstance(result, Reading)]
    metrics = sum(not isnan(value) for reading in readings for value in reading.values)
    mapped = max(len(mapped_metrics(profile)), 1) * max(len(readings), 1)
    strange = sum(len(reading.extra.keys() - RESERVED) for reading in readings if reading.extra)
    clean = len(readings) == len(results) and not any(reading.partial for reading in readings)
    return Trial(profile, results, clean, metrics, strange, metrics / mapped)


def best_of(trials: list[Trial]) -> Trial | None:
    """The best trial that is good enough, codecs for any device last; None when none is, or several that differ are."""
    framed = any(one.profile.codec in FRAME_CODECS for one in trials)
    good = [one for one in trials if one.metrics and (one.clean or not framed)]
    good = good or [one for one in trials if one.metrics and one.whole]
    particular = [one for one in good if one.profile.codec != "builtin"]
    ranked = sorted(particular or good, key=lambda one: one.rank, reverse=True)
    return ranked[0] if ranked and not any(rivals(one, ranked[0], framed) for one in ranked) else None


def rivals(one: Trial, best: Trial, framed: bool) -> bool:
    """Whether a trial casts doubt on the best one: it differs, and is as good, or is a frame of the same vendor's and
    finds as much of what its model sends: vendors put other quantities in the same places."""
    related = framed and vendor_of(one.profile) == vendor_of(best.profile) and one.share >= best.share
    return (related or one.rank == best.rank) and not agree(one, best)


def vendor_of(profile: Profile) -> str:
    """The vendor's name, else the first word of the profile's."""
    return (profile.vendor or profile.name.partition("-")[0]).lower()


def agree(one: Trial, best: Trial) -> bool:
    """Whether a trial says nothing that the best one does not say: the same values, or fewer of them."""
    said = [(values(one.profile, a), values(best.profile, b)) for a, b in zip(one.results, best.results, strict=False)]
    return len(one.results) == len(best.results) and all(a.items() <= b.items() for a, b in said)


def values(profile: Profile, result: Reading | Rejected) -> dict[str, float]:
    """A reading's values by metric; families may differ where both have the metric."""
    if isinstance(result, Rejected):
        return {}
    metrics = zip(profile.family.metrics, result.values, strict=True)
    return {metric.name: value for metric, value in metrics if not isnan(value)}


def hinted(trials: list[Trial], said: list[str]) -> list[Trial]:
    """The trials whose model is named: `milesight-am102` by `AM102-868M`; the longest name of a model wins."""
    texts = [parts_of(text) for text in said]
    models = [(model_of(one.profile), one) for one in trials]
    found = [(len("".join(model)), one) for model, one in models if any(stands_in(model, text) for text in texts)]
    longest = max((length for length, _ in found), default=0)
    return [one for length, one in found if length == longest]


def stands_in(model: list[str], text: list[str]) -> bool:
    """Whether the parts of a name follow one another in a text; its last part may go on there: EM4301 in EM4301CT."""
    size = len(model)
    for start in range(len(text) - size + 1 if model else 0):
        here = text[start : start + size]
        if here[:-1] == model[:-1] and here[-1].startswith(model[-1]):
            return True
    return False


def model_of(profile: Profile) -> list[str]:
    """The parts of the model's name as texts are searched for it, with the vendor's where it is short."""
    first, _, rest = profile.name.partition("-")
    model = parts_of(profile.model or rest)
    return model if len("".join(model)) >= LEAST_MODEL else [*parts_of(profile.vendor or first), *model]


def said_of_model(document: object, depth: int = 0) -> list[str]:
    """The texts by which servers name a device's model, its profile or the device itself, and its tags."""
    if not isinstance(document, dict) or depth > 3:
        return []
    found: list[str] = []
    for key, item in document.items():
        if key in _MODEL_KEYS and isinstance(item, str):
            found.append(item[:200])
        elif key == "tags" and isinstance(item, dict):
            found += [str(tag)[:200] for tag in item.values()]
        elif key not in ("decoded", "data"):
            found += said_of_model(item, depth + 1)
    return found


def parts_of(text: str) -> list[str]:
    """Words and numbers of a text, in lower case."""
    return re.findall(r"[a-z0-9]+", text.lower())


def native_profiles(payload: bytes) -> list[Profile]:
    """The native profiles that have most of the metrics which a message names, the likeliest first."""
    document = CODECS["native"](payload)
    first = document[0] if isinstance(document, list) and document else document
    metrics = first.get("metrics") if isinstance(first, dict) else None
    if not isinstance(metrics, dict):
        return []
    natives = [profile for profile in PROFILES.values() if profile.codec == "native"]
    counts = {profile.name: len(profile.family.index.keys() & metrics.keys()) for profile in natives}
    best = [profile for profile in natives if counts[profile.name] == max(counts.values()) > 0]
    return sorted(best, key=lambda p: PRIOR.index(p.family.name) if p.family.name in PRIOR else len(PRIOR))


def unfitting(kind: str, document: object) -> Rejected:
    """No profile of the kind takes such a document."""
    stated = [p.table for p in PROFILES.values() if p.route == kind and p.table]
    said = document.get("type") if isinstance(document, dict) else None
    value = None if said is None else shown(said)
    expected = ", ".join(sorted({str(table.match_value) for table in stated if table.match_value})) or "none"
    detail = f"no profile of {kind} takes a message of type {value}; expected {expected}; write a profile for it"
    return Rejected("profile", Reason.WRONG_SHAPE, "type", value, detail)


def is_frame(document: object) -> bool:
    """Whether a document carries the bytes of a frame."""
    return isinstance(document, dict) and isinstance(document.get("frame"), bytes)


def unreadable(results: list[Reading | Rejected]) -> bool:
    """Whether the codec cannot read the frame: what named the profile is mistaken."""
    return all(isinstance(result, Rejected) and result.layer == "codec" for result in results)


def agreed(trials: list[Trial], refused: Rejected) -> Chosen | None:
    """What the best of several profiles that differ have in common, and beside it the refusal that names them."""
    good = [one for one in trials if one.clean and one.metrics and len(one.results) == 1]
    best = [one for one in good if one.metrics == max(other.metrics for other in good)]
    found = [values(one.profile, one.results[0]) or {} for one in best]
    common = (
        {name for name in found[0] if all(other.get(name) == found[0][name] for other in found)} if found else set()
    )
    reading = best[0].results[0] if common else None
    if not isinstance(reading, Reading):
        return None
    metrics = zip(best[0].profile.family.metrics, reading.values, strict=True)
    kept = [value if metric.name in common else nan for metric, value in metrics]
    return Chosen(best[0].profile, [reading._replace(values=kept, extra=None), refused], "common")


def undecided(kind: str, document: object, trials: list[Trial]) -> Rejected:
    """None of the profiles fits, or several do and differ."""
    good = [one for one in trials if one.clean and one.metrics]
    frame = document["frame"] if isinstance(document, dict) and is_frame(document) else b""
    if good:
        best = sorted(good, key=lambda one: one.rank, reverse=True)
        names = ", ".join(one.profile.name for one in best[:MOST_NAMED]) + (", …" if len(best) > MOST_NAMED else "")
        detail = f"several profiles fit and differ: {names}; give --profile, or name the model at the server"
    elif is_frame(document):
        port = document.get("port") if isinstance(document, dict) else None
        tried = f"none of {len(trials)} profiles" if trials else f"no profile of {kind}"
        detail = f"{tried} reads this frame of {len(frame)} bytes (port {port}) to its end"
        detail += " with legal values; give --profile, or have the server decode it"
    else:
        nearest = max(trials, key=lambda one: one.metrics)
        first = next((one for one in nearest.results if isinstance(one, Rejected)), None)
        if first:
            return first
        detail = f"none of the {len(trials)} profiles of {kind} finds a metric"
    value = shown(frame) if frame else None
    return Rejected("profile", Reason.WRONG_SHAPE, None, value, detail)
