"""The words of a report: headings in both languages, and how each number was measured."""

from collections.abc import Mapping
from html import escape

Both = tuple[str, str]
"""Vietnamese, English."""

TITLE: Both = ("Báo cáo diễn tập đô thị", "Rehearsal of a city: load report")
HEADS: Mapping[str, Both] = {
    "rates": ("Bản tin mỗi giây", "Messages per second"),
    "conservation": ("Bảo toàn: mọi bản tin đi về đâu", "Conservation: where every message went"),
    "delays": ("Độ trễ", "Delays"),
    "processes": ("Bộ xử lý và bộ nhớ", "Processor and memory"),
    "run": ("Lần chạy", "The run"),
    "sending": ("Bên gửi", "The sender's summary"),
    "machine": ("Máy", "The machine"),
    "platform": ("Nền tảng", "The platform and its settings"),
    "versions": ("Phiên bản", "Versions"),
}
METHODS: Mapping[str, str] = {
    "rates": """
        Due: when the simulated devices wanted to send; the schedule does not wait for the platform, so a slow
        platform shows as a gap between due and sent. Sent: handed to the network. Acknowledged: PUBACK of the
        broker. Stored: received by the platform, of those readings that were found in its tables afterwards. What
        came after the run counts where it came.
    """,
    "conservation": """
        Every message that was sent is in a record of the sender. After the run each was looked for in the reading
        tables by device, time and number, and in quarantine by the same or by the SHA-256 of its bytes: set
        difference, not the platform's own counters, which stand below for comparison. acknowledged = stored +
        duplicate + quarantined + missing. Duplicate: a message with the key of a stored one, sent again on purpose.
        Quarantined: kept with the reason why it is no reading; a share of the messages is faulty on purpose.
    """,
    "delays": """
        Of all messages, from the sender's clock; classes 2.3 % wide. Received: by the platform's clock on receipt.
        Queryable is measured on a sample: a client asks for a few devices' readings about ten times a second, with
        the rights of a reader, and notes when each first stands in an answer; so it is too long by up to one round
        of asking, and covers COMMIT.
    """,
    "processes": """
        CPU seconds as the kernel counts them for each process and its children, once a second; memory is what the
        processes have for themselves plus the largest shared part, once. Its slope is that of the line of least
        squares through the second half of the sending. Lag: age of the oldest message in the hands of the workers, as
        they report it.
    """,
    "run": """
        What was asked for. speed: by how much the intervals of the profiles were divided.
    """,
    "sending": """
        late, duplicated, faulty: so on purpose. overdue: sent more than 1 s after it was due.
    """,
    "machine": """
        As the kernel tells it. Simulator, brokers and platform shared it unless said otherwise.
    """,
    "platform": """
        fsync and synchronous_commit say whether COMMIT waits for the disk. meanwhile: from the first message until
        the platform had dealt with all; a roll-over is a family going on in a chunk later than those it had.
    """,
    "versions": "",
}
"""HTML reads runs of spaces as one."""
PARTS: Mapping[str, str] = {
    "simulator": "simulator (this program)",
    "broker": "brokers",
    "database": "database",
    "workers": "ingest workers",
    "analyst": "analytics",
    "keeper": "keeper of the history",
}


def heading(words: Both) -> str:
    """Vietnamese, and English below it."""
    return f"{escape(words[0])}<small>{escape(words[1])}</small>"
