"""What an opened message holds."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from devices.reading import Reading
from devices.rejected import Reason, Rejected

NoticeKind = Literal["online", "offline", "codec_error", "other"]


class Packet(NamedTuple):
    """One thing that a message speaks of.

    `foreign_id`: what the foreign system calls the device, None when the message does not name it; `document`: in the
    device's own words, or Rejected; `payload`: the bytes of this part (the whole payload when it is alone).
    """

    foreign_id: str | None
    document: object
    payload: bytes


class Notice(NamedTuple):
    """A message, or a part of one, that by design carries no reading: a birth, a join, an availability."""

    foreign_id: str | None
    kind: NoticeKind
    detail: str


Opened = list[Packet | Notice]
"""At least one entry."""

Opener = Callable[[str, bytes], Opened]
"""Topic and payload → what is in it; never raises, whatever the bytes."""


def noticed(result: Reading | Rejected, foreign_id: str | None) -> Reading | Rejected | Notice:
    """What became of a packet; as a notice where by design it carries no reading."""
    if isinstance(result, Rejected) and result.reason is Reason.NO_READING:
        return Notice(foreign_id, "other", result.detail)
    return result
