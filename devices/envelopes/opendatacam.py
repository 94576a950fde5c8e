"""OpenDataCam counts: `/status` and `/recording/<id>/counter` documents, a packet per counting line (area).

Source: https://opendatacam.github.io/opendatacam/apidoc/. It offers them over HTTP; whatever forwards them publishes
each to `opendatacam/<camera>/…`. A line is named `<camera>/<area id>`.
"""

from typing import Any

from devices.codecs import CODECS, encode
from devices.envelopes.packet import Notice, Opened, Opener, Packet
from devices.raw import clean, shown
from devices.rejected import Reason, Rejected
from devices.route import Route

MAX_LINES = 1000


def open_opendatacam(route: Route) -> Opener:
    """The opener of a route of OpenDataCam cameras."""
    base = len(route.topics[0].split("/")) - 1

    def open_message(topic: str, payload: bytes) -> Opened:
        levels = clean(topic).split("/")
        camera = (levels[base] or None) if len(levels) > base else None
        document = CODECS["json"](payload)
        if isinstance(document, Rejected):
            return [Packet(camera, document, payload)]
        records = document if isinstance(document, list) and document else [document]
        if sum(line_count(record) for record in records) > MAX_LINES:
            detail = f"more than {MAX_LINES} lines; send fewer recordings at once"
            return [Packet(camera, Rejected("envelope", Reason.TOO_LARGE, None, None, detail), payload)]
        parts = [part for record in records for part in lines_of(camera, record, payload)]
        alone = sum(isinstance(part, Packet) for part in parts) == 1
        return [part._replace(payload=payload) if alone and isinstance(part, Packet) else part for part in parts]

    return open_message


def line_count(record: object) -> int:
    """How many lines a recording has; one for what is none, since it is told as one."""
    summary = record.get("counterSummary") if isinstance(record, dict) else None
    return len(summary) if isinstance(summary, dict) else 1


def lines_of(camera: str | None, record: object, payload: bytes) -> Opened:
    """The counting lines of one recording or status; a notice when it counted nothing yet."""
    summary = record.get("counterSummary") if isinstance(record, dict) else None
    if not isinstance(record, dict) or not isinstance(summary, dict):
        detail = "expected an object with counterSummary: {area: {_total: n, car: n, …}}"
        return [
            Packet(camera, Rejected("envelope", Reason.WRONG_SHAPE, "counterSummary", shown(record), detail), payload)
        ]
    if not summary:
        return [Notice(camera, "other", "no line has counted anything yet")]
    return [line_packet(camera, record, area, counts, payload) for area, counts in summary.items()]


def line_packet(camera: str | None, record: dict[str, Any], area: str, counts: object, payload: bytes) -> Packet:
    """One line: its counts by class under `counts` (of a finished recording `period_counts`), times, its own name."""
    areas = record.get("areas")
    said = areas.get(area) if isinstance(areas, dict) else None
    state = record.get("appState")
    recording = state.get("recordingStatus") if isinstance(state, dict) else None
    started = recording.get("dateStarted") if isinstance(recording, dict) else None
    document = {
        "counts" if record.get("dateEnd") is None else "period_counts": counts,
        "area": area,
        "name": said.get("name") if isinstance(said, dict) else None,
        "recording": recording.get("recordingId") if isinstance(recording, dict) else record.get("_id"),
        "fps": recording.get("currentFPS") if isinstance(recording, dict) else None,
        "dateStart": record.get("dateStart", started),
        "dateEnd": record.get("dateEnd"),
        "tracked": record.get("trackerSummary"),
    }
    document = {key: value for key, value in document.items() if value is not None}
    return Packet(clean(f"{camera}/{area}" if camera else area)[:300] or None, document, encode(document, payload))
