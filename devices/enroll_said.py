"""What an unknown word of an enrolment file was probably meant to be. Remembered: a file repeats its mistakes."""

from difflib import get_close_matches
from functools import lru_cache
from unicodedata import category, normalize

from devices.area import ZONES

MANY = 8


@lru_cache(1024)
def suggestion_of_profile(said: str, known: tuple[str, ...]) -> str:
    """The profiles nearest to an unknown one."""
    near = get_close_matches(said[:80].lower().replace("_", "-"), known, 3, 0.6)
    near += [name for name in known if said and said.lower().replace("_", "-") in name and name not in near][:3]
    if near:
        return f"unknown profile; nearest: {', '.join(near)}; all of them: dothi devices profiles"
    if len(known) <= MANY:
        return f"unknown profile; known: {', '.join(known)}"
    return "unknown profile; all of them: dothi devices profiles"


@lru_cache(1024)
def suggestion_of_area(said: str, known: tuple[str, ...]) -> str:
    """The zone whose name or code an unknown area resembles, and all codes."""
    codes = f"the zones of the plan are {', '.join(known)}"
    zones = {folded(name): zone for zone in ZONES if zone.code in known for name in (zone.name_vi, zone.name_en)}
    near = get_close_matches(folded(said[:80]), [*zones], 1, 0.75)
    if near:
        return f"unknown area; {zones[near[0]].code} is {zones[near[0]].name_vi}; {codes}"
    if said.isdecimal() and said.zfill(3) in known:
        return f"unknown area; {said.zfill(3)} with its noughts (a spreadsheet drops them); {codes}"
    return f"unknown area; {codes}"


def folded(text: str) -> str:
    """In lower case and without diacritics: `Đồng Mỏ` → `dong mo`.

    >>> folded("Đồng Mỏ")
    'dong mo'
    """
    letters = (letter for letter in normalize("NFD", text.lower().replace("đ", "d")) if category(letter) != "Mn")
    return "".join(letters).replace("huyen ", "").strip()
