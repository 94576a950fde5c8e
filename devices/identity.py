"""What a profile says of the device model as a thing: its names, who makes it, how long it may be silent."""

from typing import Any

OFFLINE_AFTER = 3.0
"""Intervals that a device may miss before it counts as silent, unless its profile says otherwise."""


def name_in(document: dict[str, Any], key: str) -> str | None:
    """The text under a key, None where there is none. Raises ValueError."""
    text = document.get(key)
    if key in document and not (isinstance(text, str) and text.strip()):
        raise ValueError(f"{key} is {text}; expected a name")
    return text


def offline_after_in(document: dict[str, Any]) -> float:
    """How many missed intervals make a device silent. Raises ValueError."""
    intervals = document.get("offline_after", OFFLINE_AFTER)
    if isinstance(intervals, bool) or not isinstance(intervals, int | float) or not 1 <= intervals <= 1000:
        raise ValueError(f"offline_after is {intervals}; expected missed intervals, 1 to 1000")
    return float(intervals)


def title_in(document: dict[str, Any]) -> dict[str, str]:
    """The title in both languages. Raises KeyError where one is missing, ValueError where a comma made a third."""
    title = document["title"]
    odd = sorted(str(key) for key in title.keys() - {"vi", "en"})
    if odd:
        raise ValueError(f"title has {odd[0]}; expected vi and en; a text with a comma needs quotes within {{…}}")
    return {"vi": title["vi"], "en": title["en"]}
