"""What is wrong with a panel's SQL before any database has seen it."""

import re
from collections.abc import Iterator

from dashboards.macros import without_comments

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
