"""What foreign systems say of devices besides readings: counted, and told as `ops.event` within bounds."""

from ingest.batch import Batch, Heard
from ingest.metrics import Meters
from ingest.watch import Event, Events

AGAIN_AFTER_S = 3600.0
"""The same notice of the same device is told again only then."""
MOST_A_MINUTE = 100
"""Events; beyond that, as when a bridge goes with all its devices, notices are only counted."""
MOST_REMEMBERED = 100_000

SEVERITY = {"online": "info", "offline": "warning", "codec_error": "warning"}
KIND = {"online": "device_online", "offline": "device_offline", "codec_error": "codec_error"}


class Herald:
    """Hears every committed batch of one worker."""

    def __init__(self, meters: Meters, events: Events) -> None:
        self._meters = meters
        self._events = events
        self._said: dict[tuple[int, str], tuple[str, float]] = {}  # last kind, and when, by device and subject
        self._minute = 0
        self._in_minute = 0

    def hear(self, batch: Batch) -> None:
        """Count what a batch held besides readings; tell of devices that went, came or could not be decoded."""
        if batch.notices:
            self._meters.notices.update(batch.notices)
        if batch.unknown:
            self._meters.unknown.update(batch.unknown)
        for heard in batch.heard:
            if self._new(heard) and self._allowed(heard.at // 60_000_000):
                self._events.note(event_of(heard))

    def _new(self, heard: Heard) -> bool:
        """Whether this differs from what was last said of the device, or that is long ago."""
        subject = "codec" if heard.notice.kind == "codec_error" else "presence"
        key, now = (heard.device.id, subject), heard.at / 1e6
        kind, at = self._said.get(key, ("", 0.0))
        if kind == heard.notice.kind and now - at < AGAIN_AFTER_S:
            return False
        if len(self._said) >= MOST_REMEMBERED:
            self._said.clear()
        self._said[key] = (heard.notice.kind, now)
        return True

    def _allowed(self, minute: int) -> bool:
        if minute != self._minute:
            self._minute, self._in_minute = minute, 0
        self._in_minute += 1
        return self._in_minute <= MOST_A_MINUTE


def event_of(heard: Heard) -> Event:
    """The event for one notice."""
    kind = heard.notice.kind
    said = f"device {heard.device.name}: {heard.notice.detail}"
    return Event(heard.at / 1e6, KIND[kind], SEVERITY[kind], heard.inbox, said, {}, heard.device.name)
