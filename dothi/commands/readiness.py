"""What a process of the stack says of itself on its page."""

from urllib.request import urlopen


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
