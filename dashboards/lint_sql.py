"""What is wrong with a panel's SQL before any database has seen it."""

import re
from collections.abc import Iterator, Mapping

from dashboards.macros import QUOTED, without_comments

FOREIGN = re.compile(r"\b(registry|reading|rollup|ops|public|pg_catalog|information_schema)\.\w+")
SOURCE = re.compile(r"\b(?:FROM|JOIN)\s+(?:LATERAL\s+|ONLY\s+)?([a-z_][\w.]*)(\s*\()?", re.IGNORECASE)
NOT_A_SOURCE = re.compile(
    r"\b(extract|trim|substring|overlay)\s*\(\s*\S+\s+FROM\b|\bIS\s+(NOT\s+)?DISTINCT\s+FROM\b", re.I
)
NAMED = re.compile(r"(\w+)\s*(?:\([^()]*\)\s*)?AS\s+(?:NOT\s+)?(?:MATERIALIZED\s*)?\(", re.IGNORECASE)
MAKES_ROWS = {
    "unnest",
    "generate_series",
    "jsonb_array_elements",
    "jsonb_each",
    "jsonb_each_text",
    "regexp_split_to_table",
}
NESTED = re.compile(r"\$__\w+\([^)]*\(")
TURNED = re.compile(r"\$__timeGroup(?:Alias)?\([^)]*'(\d+[dwMy])'")
BOUND = re.compile(r"\bLIMIT\s+\d+\s*\)?\s*;?\s*$|\$__timeFilter\(|\$__unixEpochFilter\(", re.IGNORECASE)

PLACE = re.compile(r"\$(?P<plain>\w+)|\$\{(?P<braced>\w+)(?P<form>[^}]*)\}|\[\[(?P<old>\w+)(?P<old_form>[^\]]*)\]\]")
IN_LIST = (re.compile(r"\bIN\s*\(\s*$", re.IGNORECASE), re.compile(r"\s*\)"))
IN_MACRO = re.compile(r"\$__\w+\([^)]*$")
TOUCHES = re.compile(r"[\w&'\"$]")  # what would make another literal of the quotes beside it, as E does


def bare(sql: str) -> str:
    """The text without comments, texts in quotes and Grafana's own braces."""
    text = re.sub(r"'(?:[^']|'')*'", "''", without_comments(sql))
    return re.sub(r"\$\{[^}]*\}", "$v", text)


def sql_faults(sql: str) -> Iterator[str]:
    """It reads city.* alone, is bounded, and holds nothing that the data source would break."""
    text = bare(sql)
    if not text.strip():
        yield "asks nothing"
    if foreign := {found[0] for found in FOREIGN.finditer(text)}:
        yield f"reads {', '.join(sorted(foreign))}"
    names = {name.lower() for name in NAMED.findall(text)}
    for source, call in SOURCE.findall(NOT_A_SOURCE.sub("", text)):
        known = source.lower() in names or source.startswith("city.") or (call and source.lower() in MAKES_ROWS)
        if not known and source.upper() != "LATERAL":
            yield f"reads {source}"
    if not BOUND.search(text):
        yield "is not bounded by a LIMIT or the time range"
    if "{" in text or "}" in text:
        yield "has a place that was not filled in"
    if NESTED.search(text):
        yield "has parentheses inside a macro, which ends at the first closing one"
    if found := TURNED.search(without_comments(sql)):
        yield f"cuts {found[1]} at midnight in Greenwich; use time_bucket with Asia/Ho_Chi_Minh"
    if ";" in text.strip().rstrip(";"):
        yield "has several statements"
    if not re.match(r"\s*(SELECT|WITH)\b", text, re.IGNORECASE):
        yield "is no SELECT"


def variable_faults(sql: str, several: Mapping[str, bool]) -> Iterator[str]:
    """Each variable stays a value whatever the address of the page says; `several`: which variables allow several.

    Grafana writes one value of a variable that allows one without quotes, and several that the address names all the
    same each in quotes: neither quotes around the name nor none are safe. `:sqlstring` always quotes.
    """
    text = without_comments(sql)
    if len(places(sql, several)) != len(places(text, several)):
        yield "has a variable in a comment"
    quotes = [found.span() for found in QUOTED.finditer(text)]
    for found in places(text, several):
        form = found["form"] or found["old_form"] or ""
        before, after = text[: found.start()], text[found.end() :]
        if any(start < found.start() < end for start, end in quotes):
            yield f"{found[0]} stands in quotes"
        elif form not in ("", ":sqlstring"):
            yield f"{found[0]} is written as it is typed"
        elif not form and not several[named(found)]:
            yield f"{found[0]} has one value, which only :sqlstring quotes"
        elif not form and not (IN_LIST[0].search(before) and IN_LIST[1].match(after)):
            yield f"{found[0]} has several values and stands outside of IN (…)"
        elif IN_MACRO.search(before) or TOUCHES.match(before[-1:]) or TOUCHES.match(after[:1]):
            yield f"{found[0]} stands in a macro or against another word"


def places(text: str, names: Mapping[str, bool]) -> list[re.Match[str]]:
    """Where variables stand."""
    return [found for found in PLACE.finditer(text) if named(found) in names]


def named(place: re.Match[str]) -> str:
    """The name at a place."""
    return str(place["plain"] or place["braced"] or place["old"])
