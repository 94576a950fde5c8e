"""Routes of alarms: what a file may say, what is refused in which words, and which way an alarm takes."""

from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.delivery.letter import kinds
from analytics.delivery.routes import DAYS, LOCAL, SEVERITIES, USUAL, Route, Routes, chosen
from analytics.delivery.routes_file import RoutesRefused, read_routes, routes_from

AREAS = ("213", "220", "222")
SECRET = "0123456789abcdef-desk"
ENVIRONMENT = {"DESK_SECRET": SECRET, "DESK_URL": "https://hooks.example.vn/t/very-secret", "MAIL_PASSWORD": "hunter2"}
DESK = {"kind": "webhook", "url": "https://desk.example.vn:8443/alarms?from=dothi", "secret_env": "DESK_SECRET"}
DUTY = {
    "kind": "email",
    "server": "smtp.example.vn:587",
    "from": "dothi@example.vn",
    "to": ["duty@example.vn"],
    "user": "dothi",
    "password_env": "MAIL_PASSWORD",
    "language": "en",
}
GOOD: dict[str, Any] = {
    "receivers": {"desk": DESK, "duty": DUTY},
    "routes": [
        {"name": "fire", "to": ["desk", "duty"], "kinds": ["forest_fire"], "severities": ["critical", "major"]},
        {"to": ["duty"], "areas": ["220", "000"], "hours": "17:00-07:00", "days": ["fri"], "language": "vi"},
    ],
}


def made(document: Any, environment: dict[str, str] = ENVIRONMENT) -> Routes:
    return routes_from("r.yaml", document, AREAS, kinds(), environment.get)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LOCAL)


FRIDAY_EVENING, SATURDAY_MORNING = local("2026-11-20T18:00"), local("2026-11-21T06:59")


def names(what: str, area: str | None, severity: str, kind: str, at: datetime) -> list[tuple[str, str, str]]:
    return [(one.receiver, one.language, one.route) for one in chosen(made(GOOD), what, [area], severity, kind, at)]


def test_all_routes_that_fit_count_and_each_receiver_is_told_once() -> None:
    assert names("raised", "213", "critical", "forest_fire", FRIDAY_EVENING) == [
        ("desk", "vi", "fire"),
        ("duty", "en", "fire"),
    ]
    assert names("raised", "220", "critical", "forest_fire", FRIDAY_EVENING)[1] == ("duty", "en", "fire")
    assert names("raised", "220", "info", "leak", FRIDAY_EVENING) == [("duty", "vi", "2")]


def test_what_fits_nothing_goes_nowhere() -> None:
    assert names("raised", "213", "minor", "forest_fire", FRIDAY_EVENING) == []
    assert names("raised", "213", "critical", "leak", FRIDAY_EVENING) == []
    assert names("acknowledged", "213", "critical", "forest_fire", FRIDAY_EVENING) == [], "only when it is asked for"


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    assert names("raised", "220", "minor", "leak", SATURDAY_MORNING) == [("duty", "vi", "2")]
    assert names("raised", "220", "minor", "leak", SATURDAY_MORNING + timedelta(minutes=1)) == []
    assert names("raised", "220", "minor", "leak", SATURDAY_MORNING + timedelta(hours=12)) == [], "Saturday's evening"
    assert names("raised", "220", "minor", "leak", FRIDAY_EVENING - timedelta(hours=14)) == [], "Thursday's night"


def test_an_alarm_of_the_whole_province_has_the_area_000() -> None:
    assert names("raised", None, "minor", "leak", FRIDAY_EVENING) == [("duty", "vi", "2")]


@given(
    begin=st.integers(0, 24 * 60 - 1),
    end=st.integers(1, 24 * 60),
    days=st.sets(st.sampled_from(DAYS), min_size=1),
    at=st.datetimes(datetime(2026, 1, 1), datetime(2026, 3, 1)),  # noqa: DTZ001 -- the province's own time
)
def test_hours_are_open_as_long_as_they_say(begin: int, end: int, days: set[str], at: datetime) -> None:
    if begin == end:
        return
    hours = f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    route = Route(to=["x"], hours=hours, days=sorted(days))  # type: ignore[arg-type]
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=LOCAL)
    spans = []
    for before in (0, 1):
        day = midnight - timedelta(days=before)
        if DAYS[day.weekday()] in days:
            length = (end - begin) if end > begin else (end - begin + 24 * 60)
            opens = day + timedelta(minutes=begin)
            spans.append((opens, opens + timedelta(minutes=length)))
    moment = at.replace(tzinfo=LOCAL)
    assert route.open_at(moment) == any(opens <= moment < closes for opens, closes in spans)


def change(path: str, value: Any) -> Any:
    """GOOD with another value at `receivers.desk.url`; a value of None takes the key away."""
    document = deepcopy(GOOD)
    at: Any = document
    *way, last = path.split(".")
    for key in way:
        at = at[int(key)] if isinstance(at, list) else at[key]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return document


BAD = [
    ("receivers.desk.url", "ftp://desk.example.vn", "receivers.desk.url is ftp://desk.example.vn; expected an address"),
    ("receivers.desk.url", "https://", "receivers.desk.url is https://; expected an address"),
    ("receivers.desk.url", "https://a b/", "expected an address"),
    ("receivers.desk.url", "https://x:99999/", "expected an address"),
    ("receivers.desk.url", "https://me:pw@x/", "receivers.desk.url holds a user"),
    ("receivers.desk.url", None, "expected one of url and url_env"),
    ("receivers.desk.url_env", "DESK_URL", "expected one of url and url_env"),
    ("receivers.desk.secret_env", "NO_SUCH", "secret_env is NO_SUCH; this variable of the environment is not set"),
    ("receivers.desk.secret_env", "MAIL_PASSWORD", "has only 7 characters; expected at least 16"),
    ("receivers.desk.secret_env", None, "secret_env"),
    ("receivers.desk.secret", "x", "secret"),
    ("receivers.desk.kind", "sms", "receivers.desk.kind is 'sms'"),
    ("receivers.desk.language", "fr", "receivers.desk.language is 'fr'"),
    ("receivers.desk.time_limit_s", 0, "receivers.desk.time_limit_s is 0"),
    ("receivers.desk.ca", "/no/such.pem", "receivers.desk.ca is /no/such.pem; expected a file"),
    ("receivers.Desk", DESK, "a receiver's name has"),
    ("receivers.duty.server", "smtp.example.vn", "receivers.duty.server is smtp.example.vn; expected host:port"),
    ("receivers.duty.to", ["nobody"], "receivers.duty.to is nobody; expected an address"),
    ("receivers.duty.to", [], "receivers.duty.to is []"),
    ("receivers.duty.from", "a@b\r\nBcc: x@y", "receivers.duty.from is"),
    ("receivers.duty.user", None, "user and password_env go together"),
    ("receivers.duty.security", "none", "a password wants starttls or tls"),
    ("routes.0.to", ["nobody"], "routes.fire.to has nobody; there are desk, duty"),
    ("routes.0.to", [], "routes.1.to is []"),
    ("routes.0.kinds", ["flod"], "routes.fire.kinds has flod; there are"),
    ("routes.0.severities", ["fatal"], "routes.1.severities.0 is 'fatal'"),
    ("routes.1.areas", ["999"], "routes.2.areas has 999; there are 000, 213, 220, 222"),
    ("routes.1.hours", "17-7", "routes.2.hours is 17-7; expected two times"),
    ("routes.1.hours", "07:00-07:00", "routes.2.hours is 07:00-07:00"),
    ("routes.1.days", ["friday"], "routes.2.days.0 is 'friday'"),
    ("routes.1.what", ["shouted"], "routes.2.what.0 is 'shouted'"),
    ("routes.1.name", "fire", "two routes are fire"),
    ("routes.1.until", "x", "until"),
    ("give_up_after_h", 0, "is 0"),
    ("recievers", {}, "unknown key recievers"),
]


@pytest.mark.parametrize(("path", "value", "said"), BAD, ids=[f"{path}-{n}" for n, (path, *_) in enumerate(BAD)])
def test_a_bad_file_is_refused_in_one_line_without_secrets(path: str, value: Any, said: str) -> None:
    with pytest.raises(RoutesRefused) as refusal:
        made(change(path, value))
    text = str(refusal.value)
    assert said in text
    assert text.startswith("r.yaml: ")
    assert "\n" not in text.replace("\r\n", "")
    assert not any(secret in text for secret in (SECRET, "very-secret", "hunter2"))


def test_an_address_in_a_variable_is_checked_without_being_shown() -> None:
    document = change("receivers.desk.url", None)
    document["receivers"]["desk"]["url_env"] = "DESK_URL"
    assert made(document).secrets["desk"].url == ENVIRONMENT["DESK_URL"]
    with pytest.raises(RoutesRefused, match="whose value cannot be used; expected an address") as refusal:
        made(document, ENVIRONMENT | {"DESK_URL": "very-secret"})
    assert "very-secret" not in str(refusal.value)


def test_secrets_are_not_shown() -> None:
    routes = made(GOOD)
    assert routes.secrets["desk"].secret == SECRET
    assert not any(secret in repr(routes) for secret in (SECRET, "hunter2"))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a: [", b"- 1", b"", b"receivers: []\n"])
def test_what_is_no_file_of_routes_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "r.yaml"
    file.write_bytes(content)
    with pytest.raises(RoutesRefused, match=r"r\.yaml"):
        read_routes(file, AREAS, kinds(), ENVIRONMENT.get)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RoutesRefused, match="cannot be read: No such file"):
        read_routes(tmp_path / "none.yaml", AREAS, kinds(), ENVIRONMENT.get)


def test_without_limits_all_is_told() -> None:
    routes = made({"receivers": {"desk": DESK}, "routes": [{"to": ["desk"]}]})
    for severity in SEVERITIES:
        for what in USUAL:
            assert len(chosen(routes, what, ["213"], severity, "leak", FRIDAY_EVENING)) == 1
