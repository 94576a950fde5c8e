"""A report in the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from dothi.output import console
from simulators.report_html import COUNTED, DELAY_HEADS, delay_rows

WIDEST = 120
NAMES = {
    "late": "due → sent",
    "answer": "sent → PUBACK",
    "received": "sent → received",
    "told": "sent → settled**",
    "queryable": "sent → queryable*",
}


def print_report(document: Mapping[str, Any], folder: Path | None) -> None:
    """The account, delays, cost, and the verdict last, where the eye is."""
    account = document["conservation"]
    lines = [*account["by_family"], account | {"family": "total"}]
    table("messages", COUNTED[1:], [[line["family"], *(f"{line[name]:,}" for name in COUNTED[1:])] for line in lines])
    whole = document["delays"]["whole_s"]
    table("delay", DELAY_HEADS, delay_rows(whole, NAMES))
    console.print(
        f"* {whole['queryable']['count']:,} of {whole['queryable']['asked']:,} {whole['queryable']['family']} messages "
        "were seen by a client that asks by SQL ten times a second"
        + ("\n** devices that ask for it were told, which happens after COMMIT" if "told" in whole else "")
        + "\n",
        highlight=False,
        soft_wrap=True,
    )
    found = document["processes"]
    table(
        "part", ("CPU s", "CPU s/100,000 messages", "most memory, MiB"), [part(found, name) for name in found["cpu_s"]]
    )
    print_upkeep(document)
    print_verdict(document, folder)


def print_upkeep(document: Mapping[str, Any]) -> None:
    """Memory of each process in the second half, and what the database did beside storing."""
    slopes = document["processes"].get("memory_second_half", {})
    rows = [
        [name, *(f"{one[key]:,.2f}" for key in ("from_mib", "to_mib", "percent_a_minute"))]
        for name, one in slopes.items()
    ]
    if rows:
        table("memory, second half", ("MiB at half time", "MiB at the end", "% a minute"), rows)
    if meanwhile := document["platform"].get("meanwhile"):
        console.print(
            f"meanwhile {meanwhile['chunk_roll_overs']:,} roll-overs of chunks in {meanwhile['families_rolled_over']} "
            f"families, {meanwhile['checkpoints_timed'] + meanwhile['checkpoints_requested']:,} checkpoints, "
            f"{meanwhile['wal_bytes'] / 1e9:,.2f} GB of write-ahead log\n",
            highlight=False,
            soft_wrap=True,
        )


def part(found: Mapping[str, Any], name: str) -> list[str]:
    """What a part cost, as a row."""
    share = found["cpu_s_per_100k"][name]
    memory = max(found["memory_mib"].get(name) or [0])
    return [name, f"{found['cpu_s'][name]:,.1f}", "–" if share is None else f"{share:,.2f}", f"{memory:,.0f}"]


def table(first: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table that fits 80 columns up to 99,999,999 messages; it becomes wider rather than cut a figure."""
    made = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    made.add_column(first, no_wrap=True)
    for head in heads:
        made.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    console.print(made, width=max(console.width, WIDEST), crop=False)
    console.print()


def outcome(account: Mapping[str, Any]) -> Text:
    """The account in one line: what is not found is missing only once the platform has dealt with all it was given."""
    if not account["missing"]:
        return Text("nothing is missing: acknowledged = stored + duplicate + quarantined", "bold green")
    if account["settled"]:
        return Text(f"{account['missing']:,} acknowledged messages are missing", "bold red")
    return Text(
        f"{account['missing']:,} acknowledged messages were not dealt with when they were counted: what is missing "
        "cannot be said; send more slowly, or wait longer with --settle-s",
        "bold yellow",
    )


def print_verdict(document: Mapping[str, Any], folder: Path | None) -> None:
    """Rate, and whether anything acknowledged is missing."""
    account, sending = document["conservation"], document["sending"]
    console.print(
        f"{sending['sent']:,} messages sent in {sending['seconds']:,.0f} s, {sending['rate_per_s']:,.0f} messages/s; "
        f"{account['acknowledged']:,} acknowledged, {account['not_sent']:,} not sent, "
        f"{account['unanswered']:,} without PUBACK",
        highlight=False,
        soft_wrap=True,
    )
    word = "missing" if account["settled"] else "not found yet"
    for one in account["first_missing"]:
        console.print(
            f"{word}: {one['device']} boot {one['boot']} seq {one['seq']} time {one['time']} ms", highlight=False
        )
    console.print(outcome(account), highlight=False, soft_wrap=True)
    if folder:
        console.print(f"report: {folder / 'report.html'}", soft_wrap=True, highlight=False)
