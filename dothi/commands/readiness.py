"""What a process of the stack says of itself on its page."""

from typing import TypedDict
from urllib.request import urlopen

QUEUE = {"dothi_broker_messages": "messages", "dothi_broker_limit_messages": "limit", "dothi_broker_share": "share"}


class Queue(TypedDict):
    """What the brokers hold for ingest: messages, how many they may hold (0: not known), how full the fullest is."""

    messages: int
    limit: int
    share: float


def queue(url: str | None) -> Queue | None:
    """What the page of `up` says of the brokers' queues; None where there is no such page or no broker of ours."""
    page = metrics(url) if url else None
    return None if page is None else queue_in(page)


def metrics(url: str) -> str | None:
    """The page of a process; None where it does not answer."""
    try:
        with urlopen(f"{url}/metrics", timeout=2) as answer:  # noqa: S310 - a loopback address of our own
            return str(answer.read().decode())
    except OSError:
        return None


def queue_in(page: str) -> Queue | None:
    """The same from the text of the page.

    >>> queue_in('dothi_broker_messages{part="a"} 3.0\\ndothi_broker_limit_messages{part="a"} 60.0\\n'
    ...          'dothi_broker_share{part="a"} 0.05\\n')
    {'messages': 3, 'limit': 60, 'share': 0.05}
    """
    found: dict[str, list[float]] = {name: [] for name in QUEUE.values()}
    for line in page.splitlines():
        name = line.partition("{")[0]
        if name in QUEUE:
            found[QUEUE[name]].append(float(line.rpartition(" ")[2]))
    if not found["messages"]:
        return None
    limit, share = sum(found["limit"]), max(found["share"], default=0.0)
    return Queue(messages=int(sum(found["messages"])), limit=int(limit), share=round(share, 4))


def readiness(url: str | None) -> str:
    """What /readyz of a process says, in one line."""
    if url is None:
        return "not started"
    try:
        with urlopen(f"{url}/readyz", timeout=2) as answer:  # noqa: S310 - a loopback address of our own
            return str(answer.read().decode()).strip()
    except OSError as error:
        body = getattr(error, "read", None)
        return str(body().decode()).strip() if body else "does not answer"
