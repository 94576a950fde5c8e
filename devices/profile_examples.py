"""What a drafted profile makes of the vendor's frames, as examples of the profile."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from devices.codecs.js import with_folder
from devices.documents import parse_yaml
from devices.import_codec import MAX_EXAMPLES, Draft, profile_text
from devices.laws import stated_metrics
from devices.profile import Profile, profile_from
from devices.reading import Reading
from devices.rejected import Rejected
from devices.vendor_examples import Tried


def profile_with_examples(draft: Draft, tried: Sequence[Tried], folder: Path) -> str:
    """The YAML of the profile, the vendor's examples in it; its codec's file lies in `folder` already.

    Raises BadProfile.
    """
    profile = profile_from(draft.name, with_folder(parse_yaml(profile_text(draft, [])), folder))
    return profile_text(draft, [*profile_examples(profile, tried)][:MAX_EXAMPLES])


def profile_examples(profile: Profile, tried: Sequence[Tried]) -> Iterator[dict[str, Any]]:
    """An example for each of the vendor's that the codec keeps to, and one that is cut off where that is refused."""
    names: set[str] = set()
    kept = [one.example for one in tried if one.problem is None]
    for example in sorted(kept[:200], key=lambda one: -len(stated(profile, one.frame.payload, one.frame.port))):
        name = unique(example.name, names)
        yield {"name": name, **became(profile, example.frame.payload, example.frame.port)}
        for size in range(len(example.frame.payload) - 1, 0, -1) if "cut off" not in names else ():
            cut = became(profile, example.frame.payload[:size], example.frame.port)
            if "reason" in cut:
                yield {"name": unique("cut off", names), **cut}
                break


def unique(name: str, names: set[str]) -> str:
    """The name in one line, with a number behind it where it is taken."""
    plain = " ".join(name.split())[:80] or "example"
    free = next(
        one for count in range(1, 10_000) if (one := plain if count == 1 else f"{plain} ({count})") not in names
    )
    names.add(free)
    return free


def became(profile: Profile, frame: bytes, port: int | None) -> dict[str, Any]:
    """Frame, port and what the profile makes of them, with the keys of an example."""
    given: dict[str, Any] = {"frame": frame.hex()} | ({} if port is None else {"port": port})
    results = read(profile, frame, port)
    first = results[0]
    if isinstance(first, Rejected):
        return given | {"reason": first.reason.value}
    several: dict[str, Any] = {"readings": len(results)} if len(results) > 1 else {}
    reasons = (first.extra or {}).get("reasons")
    return (
        given | several | {"metrics": tidy(stated_metrics(profile, first))} | ({"reasons": reasons} if reasons else {})
    )


def stated(profile: Profile, frame: bytes, port: int | None) -> dict[str, Any]:
    """The metrics of a frame's first reading; none of one that is refused."""
    first = read(profile, frame, port)[0]
    return stated_metrics(profile, first) if isinstance(first, Reading) else {}


def read(profile: Profile, frame: bytes, port: int | None) -> list[Reading | Rejected]:
    """The readings of a bare frame, as if a LoRaWAN server had passed it on."""
    return profile.map({"eui": "0000000000000000", "port": port, "frame": frame}, frame)


def tidy(metrics: dict[str, float | str]) -> dict[str, float | str]:
    """Whole numbers as such, others to twelve digits."""
    return {
        name: value if isinstance(value, str) else int(value) if value == int(value) else float(f"{value:.12g}")
        for name, value in metrics.items()
    }
