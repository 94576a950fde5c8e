"""What the events of cameras are about: ONVIF's topics (Core and Analytics specifications, topic namespace `tns1`) and
Axis's own (`tnsaxis`), without their namespaces → a kind of ours."""

import re
from functools import lru_cache
from typing import NamedTuple


class About(NamedTuple):
    """What a topic is about. `part`: which of a camera's devices it belongs to: `event` (what it sees), `counter`,
    `occupancy`, `health`, or `none`; `kind`: a state of camera_event.event_kind, or the metric of camera_health;
    `active`, `quiet`: that metric while the event holds, and after it."""

    part: str
    kind: str
    active: str = ""
    quiet: str = ""


_NAMESPACE = re.compile(r"^[A-Za-z0-9_-]+:")
_ENDS = ("$source", "$key", "$data")

# The first pattern that is found in the topic decides.
TOPICS: tuple[tuple[re.Pattern[str], About], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), about)
    for pattern, about in (
        (r"CountAggregation/Occupancy|OccupancyCounter|OccupancyInArea", About("occupancy", "count")),
        (r"CountAggregation|LineCounter|CrosslineCount|PeopleCount|VehicleCount", About("counter", "count")),
        (r"LicensePlate|PlateRecogni|/ALPV|/LPR|/ANPR|NumberPlate", About("event", "plate_read")),
        (r"LineDetector|LineCross|Crossed|FenceGuard", About("event", "line_crossing")),
        (r"Loitering|TimeInArea", About("event", "loitering")),
        (r"(FieldDetector|Field)/.*Left|RegionExit|AreaExit|Exiting", About("event", "zone_exit")),
        (r"FieldDetector|Intrusion|RegionEntrance|ObjectsInside|Entering", About("event", "zone_entry")),
        (r"AbandonedObject|LeftObject|UnattendedObject", About("event", "abandoned_object")),
        (r"RemovedObject|MissingObject", About("event", "removed_object")),
        (r"WrongDirection|WrongWay|Violation|RedLight|IllegalPark", About("event", "violation")),
        (r"Crowd|Queue", About("event", "crowd")),
        (r"Fight|Violence", About("event", "fight")),
        (r"FallDetect|Falling", About("event", "fall")),
        (r"Smoke", About("event", "smoke")),
        (r"FireAlarm|FireDetect|Flame", About("event", "fire")),
        (r"GlobalSceneChange|CameraMoved|Redirect|Shock", About("health", "picture", "moved", "clear")),
        (r"Tamper", About("health", "picture", "covered", "clear")),
        (r"TooBlurry|Defocus|OutOfFocus", About("health", "picture", "blurred", "clear")),
        (r"TooDark", About("health", "picture", "dark", "clear")),
        (r"TooBright|Overexpos", About("health", "picture", "overexposed", "clear")),
        (r"SignalLoss|VideoLoss|VideoLost|NoSignal", About("health", "picture", "lost", "clear")),
        (r"StorageFailure|Storage/Disruption|DiskError|DiskFull", About("health", "recording", "error", "on")),
        (r"HardwareFailure|FanFailure|PowerSupply|/Failure", About("health", "state", "degraded", "online")),
        (r"TemperatureCritical", About("health", "state", "degraded", "online")),
        (r"SystemReady", About("health", "state", "online", "degraded")),
        (r"ProcessorUsage|DeviceStatus|Monitoring", About("health", "usage")),
        (r"ObjectAnalytics", About("event", "object")),
        (r"ObjectTrack|Aggregation|Recognition|ObjectDetect", About("event", "object")),
        (r"Motion|PIR|VMD|PassiveInfrared", About("event", "motion")),
        (r"RuleEngine|VideoAnalytics|AudioAnalytics|CameraApplicationPlatform|IVA", About("event", "other")),
        (r"Sensor|/IO/|Trigger|Input|Relay", About("event", "other")),
    )
)  # fmt: skip
UNKNOWN = About("none", "other")


@lru_cache(4096)
def plain_topic(topic: str) -> str:
    """The topic without namespaces and without the source and key that stand behind it:
    `tns1:Device/tnsaxis:Sensor/PIR`, `tns:onvif/Device/tns:axis/Sensor/PIR/$source/…` → `Device/Sensor/PIR`."""
    levels = []
    for level in topic.split("/"):
        if level in _ENDS or level.startswith("&"):
            break
        if not level.startswith("tns:"):
            levels.append(_NAMESPACE.sub("", level))
    return "/".join(level for level in levels if level)


@lru_cache(4096)
def about(topic: str) -> About:
    """What a topic without namespaces is about; UNKNOWN when no camera that we know of says so."""
    text = topic[:500]
    return next((found for pattern, found in TOPICS if pattern.search(text)), UNKNOWN)
