"""The report of a run as one page that needs nothing else: no network, no other file.

In Vietnamese and English, for people who decide as well as for those who measure: every number has its unit and says
how it was measured.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from simulators.report_charts import charts, library
from simulators.report_words import HEADS, METHODS, PARTS, TITLE, heading

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #1b2430; background: #f4f6f8;
       margin: 0; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 28px; margin: 0 0 4px; } h2 { font-size: 20px; margin: 40px 0 8px; }
h1 small, h2 small { display: block; font-weight: normal; color: #5a6675; font-size: 0.72em; }
section { background: #fff; border: 1px solid #dde3ea; border-radius: 10px; padding: 2px 24px 20px; margin: 20px 0; }
.verdict { border-left: 8px solid #1a7f4b; padding: 16px 24px; font-size: 18px; }
.verdict.bad { border-color: #b3261e; }
.figures { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0; }
.figure { flex: 1 1 150px; background: #fff; border: 1px solid #dde3ea; border-radius: 10px; padding: 12px 16px; }
.figure b { display: block; font-size: 24px; font-variant-numeric: tabular-nums; } .figure span { color: #5a6675; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { text-align: right; padding: 5px 8px; border-bottom: 1px solid #e6ebf0; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: #5a6675; font-weight: 600; }
tr.total td { font-weight: 700; border-top: 2px solid #8995a3; } td.bad { color: #b3261e; font-weight: 700; }
p.how { color: #5a6675; font-size: 14px; max-width: 90ch; }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""
# What a line of the account shows; a delay's rows and columns.
COUNTED = ("due", "sent", "acknowledged", "stored", "duplicate", "quarantined", "missing")
DELAYS = ("late", "answer", "received", "told", "queryable")
SHOWN = ("p50", "p90", "p99", "p999", "max")
DELAY_HEADS = ("half", "90 %", "99 %", "99.9 %", "longest", "messages")


def page(document: Mapping[str, Any]) -> str:
    """The whole page of a report."""
    drawn = charts(document)
    body = "\n".join(
        [
            f"<h1>{heading(TITLE)}</h1>",
            f"<p class=how>{escape(told_run(document))}</p>",
            verdict(document),
            figures(document),
            *(section(name, document, drawn.get(name, "")) for name in HEADS),
        ]
    )
    return (
        '<!doctype html>\n<html lang="vi"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(TITLE[1])}</title><style>{STYLE}</style>"
        f"<script>{library()}</script></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )


def told_run(document: Mapping[str, Any]) -> str:
    """What was run, in one line."""
    run = document["run"]
    return (
        f"{run['devices']:,} devices, {run['seconds']:,.0f} s from {run['start']}, seed {run['seed']}, "
        f"boot {run['boot']}, {run['sender']}; report made {document['made']}"
    )


def verdict(document: Mapping[str, Any]) -> str:
    """Whether anything that was acknowledged is missing, in one sentence of each language."""
    account = document["conservation"]
    missing, acknowledged = account["missing"], account["acknowledged"]
    if missing and not account["settled"]:
        vi = (
            f"{missing:,} trong {acknowledged:,} bản tin đã xác nhận chưa được xử lý xong khi kiểm đếm; chưa thể nói "
            "có bị mất hay không."
        )
        en = (
            f"{missing:,} of {acknowledged:,} acknowledged messages were not dealt with when they were counted; "
            "whether any is missing cannot be said."
        )
    elif missing:
        vi = f"{missing:,} trong {acknowledged:,} bản tin đã được xác nhận bị mất."
        en = f"{missing:,} of {acknowledged:,} acknowledged messages are missing."
    else:
        vi = (
            f"Không mất bản tin nào: tất cả {acknowledged:,} bản tin đã xác nhận đều được tìm thấy trong cơ sở dữ liệu."
        )
        en = f"Nothing is lost: all {acknowledged:,} acknowledged messages were found in the database."
    mark = "verdict bad" if missing else "verdict"
    return f'<section class="{mark}"><strong>{vi}</strong><br>{en}</section>'


def figures(document: Mapping[str, Any]) -> str:
    """The numbers that are looked for first."""
    sending, account, whole = document["sending"], document["conservation"], document["delays"]["whole_s"]
    rows = (
        (f"{sending['rate_per_s']:,.0f}", "bản tin/s · messages/s sent"),
        (f"{account['acknowledged']:,}", "đã xác nhận · acknowledged"),
        (f"{account['stored']:,}", "đã lưu · stored"),
        (milliseconds(whole["answer"]["p99"]), "gửi → PUBACK, p99"),
        (milliseconds(whole["queryable"]["p99"]), "gửi → truy vấn được · sent → queryable, p99"),
    )
    cells = "".join(f"<div class=figure><b>{value}</b><span>{name}</span></div>" for value, name in rows)
    return f"<div class=figures>{cells}</div>"


def milliseconds(seconds: float | None) -> str:
    """A delay as people read it."""
    if seconds is None:
        return "–"
    return f"{seconds:,.2f} s" if seconds >= 1 else f"{seconds * 1000:,.3g} ms"


def section(name: str, document: Mapping[str, Any], chart: str) -> str:
    """Heading, chart, table and how it was measured."""
    return (
        f'<section id="{name}"><h2>{heading(HEADS[name])}</h2>{chart}'
        f"<div class=wide>{TABLES[name](document)}</div><p class=how>{METHODS[name]}</p></section>"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], total: Sequence[str] | None = None) -> str:
    """A table; the last row may be the sum."""
    lines = ["".join(f"<th>{escape(head)}</th>" for head in heads)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    made = "".join(f"<tr>{line}</tr>" for line in lines)
    if total:
        made += "<tr class=total>" + "".join(f"<td>{escape(cell)}</td>" for cell in total) + "</tr>"
    return f"<table>{made}</table>"


def account_table(document: Mapping[str, Any]) -> str:
    """Messages by family, then by district, then what else bears on the account."""
    account = document["conservation"]
    total = ["total", *counts(account)]
    families = table(("family", *COUNTED), ([one["family"], *counts(one)] for one in account["by_family"]), total)
    areas = ([f"{one['area']} {one['name']}", *counts(one)] for one in account["by_district"])
    districts = table(("district", *COUNTED), areas, total)
    names = ("device", "boot", "seq", "time")
    missing = [[str(one[name]) for name in names] for one in account["first_missing"]]
    word = "Missing" if account["settled"] else "Not dealt with yet"
    named = f"<h3>{word}, the first {len(missing)}</h3>{table((*names[:3], 'time, ms since 1970'), missing)}"
    return f"{families}<br>{districts}<br>{apart(account)}{named if missing else ''}"


def counts(line: Mapping[str, Any]) -> list[str]:
    """The cells of one line of the account."""
    return [f"{line[name]:,}" for name in COUNTED]


def apart(account: Mapping[str, Any]) -> str:
    """What stands beside the account: not acknowledged, and what the platform counts of itself."""
    names = {
        "not_sent": "not sent: given up because the broker was slow, messages",
        "unanswered": "sent, no PUBACK came, messages",
        "refused": "refused by a broker, messages",
        "unheard": "acknowledged by a broker that had nobody to give it to, messages",
        "stored_unacknowledged": "stored though no PUBACK came, messages",
        "stored_not_noted": "stored under this run's mark, not in the sender's record, readings",
        "quarantined_not_kept": "quarantined beyond a device's quota of the day: counted, not kept, messages",
    }
    rows = [(text, f"{account[name]:,}") for name, text in names.items()]
    rows += [
        (f"platform's own ledger: {name}, readings of all senders", f"{n:,}") for name, n in account["ledger"].items()
    ]
    return table(("beside", "count"), rows)


def delay_table(document: Mapping[str, Any]) -> str:
    """Percentiles of each delay."""
    names = {
        "late": "due → sent",
        "answer": "sent → PUBACK of the broker",
        "received": "sent → received by the platform, of what was stored",
        "told": "sent → COMMIT heard of by devices that ask for it (sample)",
        "queryable": "sent → seen in an SQL answer (sample)",
    }
    return table(("delay", *DELAY_HEADS), delay_rows(document["delays"]["whole_s"], names))


def delay_rows(whole: Mapping[str, Any], names: Mapping[str, str]) -> list[list[str]]:
    """Name, percentiles and number of each delay; reports made before it was measured lack `told`."""
    return [
        [names[key], *(milliseconds(whole[key][name]) for name in SHOWN), f"{whole[key]['count']:,}"]
        for key in DELAYS
        if key in whole
    ]


def process_table(document: Mapping[str, Any]) -> str:
    """What each part cost."""
    found = document["processes"]
    rows = [
        [
            PARTS.get(name, name),
            f"{spent:,.1f}",
            "–" if found["cpu_s_per_100k"][name] is None else f"{found['cpu_s_per_100k'][name]:.2f}",
            f"{max(found['memory_mib'].get(name) or [0]):,.0f}",
        ]
        for name, spent in found["cpu_s"].items()
    ]
    return table(("part", "CPU s", "CPU s per 100,000 messages sent", "most memory, MiB"), rows) + slope_table(found)


def slope_table(found: Mapping[str, Any]) -> str:
    """What memory did in the second half of the run; nothing in reports that do not tell."""
    slopes = found.get("memory_second_half") or {}
    rows = [
        [name, *(f"{one[key]:,.1f}" for key in ("from_mib", "to_mib")), f"{one['percent_a_minute']:+.3f}"]
        for name, one in slopes.items()
    ]
    heads = ("memory of each process, second half", "at half time, MiB", "at the end, MiB", "slope, % a minute")
    return "<br>" + table(heads, rows) if rows else ""


def pairs(found: Mapping[str, Any], under: str = "") -> list[tuple[str, str]]:
    """A nested document as rows of name and value."""
    rows: list[tuple[str, str]] = []
    for name, value in found.items():
        if isinstance(value, Mapping):
            rows += pairs(value, f"{under}{name} ")
        elif isinstance(value, list):
            rows.append((f"{under}{name}", ", ".join(map(str, value)) or "–"))
        else:
            number = isinstance(value, int | float) and not isinstance(value, bool) and name not in ("seed", "boot")
            rows.append(
                (f"{under}{name}".replace("_", " "), f"{value:,}" if number else "–" if value is None else str(value))
            )
    return rows


def section_table(name: str) -> Callable[[Mapping[str, Any]], str]:
    """A section's document as it is."""
    return lambda document: table(("", ""), pairs(document[name]))


TABLES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "rates": lambda document: "",
    "conservation": account_table,
    "delays": delay_table,
    "processes": process_table,
    "run": section_table("run"),
    "sending": section_table("sending"),
    "machine": section_table("machine"),
    "platform": section_table("platform"),
    "versions": section_table("versions"),
}
