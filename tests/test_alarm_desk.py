"""The desk: what staff type, what they read, and what the law refuses them in one line."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from dothi.commands import alarms_shown
from dothi.commands.alarms import app
from dothi.errors import Refused, WrongUsage
from tests.stack import RunningStack

pytestmark = pytest.mark.stack
RUNNER = CliRunner()
DEVICE = "desk-level"
NAME = "Thủy văn Bến Đò"


class Desk:
    """`dothi alarms` on a stack, with five alarms of a kind of their own, by key."""

    def __init__(self, stack: RunningStack, kind: str, number: dict[str, int]) -> None:
        self.stack = stack
        self.kind = kind
        self.number = number

    def says(self, *words: object, width: int = 200) -> str:
        """What a command prints on a terminal of so many columns. Raises what it refuses with."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", str(width))
            said = RUNNER.invoke(app, [*map(str, words), "--dir", str(self.stack.folder)])
        if said.exception:
            raise said.exception
        return said.stdout

    def document(self, *words: object) -> Any:
        return json.loads(self.says(*words, "--json"))

    def keys(self, *words: object) -> list[str]:
        """Keys that a list holds, in its order."""
        return [row["key"].rpartition("/")[2] for row in self.document("list", "--kind", self.kind, *words)]


def alarm(key: str, kind: str, severity: str, minutes_ago: float, **more: Any) -> dict[str, Any]:
    at = (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat()
    said = {"message": f"báo động {key}", "message_en": f"alarm {key}", "rule": f"rule-{key}"}
    return {"key": f"{kind}/{key}", "kind": kind, "severity": severity, "at": at, **said, **more}


@pytest.fixture
def desk(stack: RunningStack, request: pytest.FixtureRequest) -> Iterator[Desk]:
    kind = f"desk-{request.node.name}"
    stack.query(
        "insert into registry.device (device, profile, area, name) select %s, min(p.id), min(a.id), %s "
        "from registry.profile p, registry.area a where a.code = '220' on conflict (device) do nothing returning id",
        *(DEVICE, NAME),
    )
    (device,) = stack.query("select id from registry.device where device = %s", DEVICE)[0]
    (area,) = stack.query("select id from registry.area where code = '215'")[0]
    alarms = [
        alarm("wet", kind, "major", 90, device=device, value=6.3),
        alarm("fire", kind, "critical", 2, area=area),
        alarm("cut", kind, "major", 10, area=area, members=[device]),
        alarm("note", kind, "info", 1),
        alarm("old", kind, "warning", 60 * 30),
    ]
    rows = stack.query("select key, id from ops.raise_alarms(%s)", json.dumps(alarms))
    yield Desk(stack, kind, {key.rpartition("/")[2]: number for key, number in rows})
    keys, times = [key for key, _ in rows], [datetime.now(UTC) for _ in rows]
    stack.query("select * from ops.clear_alarms(%s, %s)", keys, times)


def test_the_worst_is_first_and_filters_hold(desk: Desk) -> None:
    assert desk.keys() == ["fire", "cut", "wet", "old", "note"]
    assert desk.keys("--severity", "major") == ["fire", "cut", "wet"]
    assert desk.keys("--severity", "info,warning") == ["old", "note"]
    assert desk.keys("--age", "30m") == ["fire", "cut", "note"]
    assert desk.keys("--older", "30m") == ["wet", "old"]
    assert (
        desk.keys("--area", "215")
        == desk.keys("--area", "yen the")
        == desk.keys("--area", "Yên Thế")
        == ["fire", "cut"]
    )
    assert desk.keys("--device", DEVICE) == desk.keys("--device", "ben do thuy van") == ["cut", "wet"], "members count"
    assert desk.keys("--most", "1") == ["fire"]


def test_people_read_times_of_here_and_scripts_utc(desk: Desk) -> None:
    (row,) = desk.document("list", "--kind", desk.kind, "--severity", "critical")
    raised = datetime.fromisoformat(row["raised"])
    assert row["raised"].endswith("Z")
    local = (raised + timedelta(hours=7)).strftime("%d/%m/%Y %H:%M:%S")
    said = desk.says("list", "--kind", desk.kind)
    assert all(word in said for word in (local, "NGUY CẤP", "báo động fire", NAME, "1 h 30 min", "chưa tiếp nhận"))
    said = desk.says("list", "--kind", desk.kind, "--lang", "en", "--most", "2")
    assert all(word in said for word in (local, "CRITICAL", "alarm fire", "unacknowledged", "3 more"))


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_what_matters_is_whole_at_80_columns(desk: Desk, lang: str) -> None:
    (row,) = desk.document("list", "--kind", desk.kind, "--severity", "critical")
    local = (datetime.fromisoformat(row["raised"]) + timedelta(hours=7)).strftime("%d/%m/%Y %H:%M:%S")
    desk.says("shelve", desk.number["cut"], "--for", "2h", "--reason", "sửa cầu", "--by", "lan")
    said = desk.says("list", "--kind", desk.kind, "--lang", lang, width=80)
    named = [alarms_shown.word(lang, name) for name in ("critical", "unacknowledged", "shelved")]
    told = "báo động fire" if lang == "vi" else "alarm fire"
    for phrase in (str(desk.number["fire"]), local, "1 h 30 min", NAME, told, *named):
        assert phrase in said, said
    shown = desk.says("show", desk.number["cut"], "--lang", lang, width=80)
    assert max(len(line.rstrip()) for line in (said + shown).splitlines()) <= 80
    assert "sửa cầu" in shown


def test_an_alarm_is_taken_on_by_one(desk: Desk) -> None:
    number = desk.number["fire"]
    assert "1 alarm acknowledged" in desk.says("ack", number, "--by", "lan", "--note", "đang tới")
    assert "1 so already" in desk.says("ack", number, "--by", "lan")
    with pytest.raises(
        Refused, match=rf"^alarm {number} is acknowledged at .* by lan: cannot acknowledge; allowed: clear"
    ) as it:
        desk.says("ack", number, "--by", "minh")
    assert it.value.exit_code == 1
    assert desk.keys("--state", "acknowledged") == ["fire"]
    shown = desk.document("show", number)
    assert (shown["state"], shown["by"], shown["note"]) == ("acknowledged", "lan", "đang tới")
    assert [row["what"] for row in shown["history"]] == ["raised", "acknowledged"]


def test_many_are_taken_on_at_once_after_a_look(desk: Desk) -> None:
    words = ("ack", "--all", "--kind", desk.kind, "--severity", "major", "--by", "lan")
    assert "3 alarms would be" in desk.says(*words, "--dry-run")
    assert desk.keys("--state", "acknowledged") == []
    assert len(desk.document(*words)["acknowledged"]) == 3
    assert desk.document(*words) == {"acknowledged": [], "already": [], "refused": []}
    with pytest.raises(Refused, match="alarm 999999999: there is none"):
        desk.says("ack", 999_999_999, desk.number["old"])
    assert "old" in desk.keys("--state", "acknowledged"), "what is refused does not keep the others"


def test_shelving_has_an_end_and_a_reason(desk: Desk) -> None:
    number = desk.number["wet"]
    for words, said in (
        ((), rf"^--for is missing; expected 30m, 12h or 7d .*, as in: dothi alarms shelve {number} --for 8h "),
        (("--for", "2h", "--until", "2h"), "^--for and --until are both there; expected one of them, as in: dothi"),
        (("--for", "soon"), "--for 'soon' is no time to come"),
        (("--for", "31d", "--reason", "x"), "cannot be shelved until"),
        (("--until", "2020-01-01T00:00:00+07:00", "--reason", "x"), "cannot be shelved until 2020-01-01"),
        (("--for", "2h"), rf"^--reason is missing; expected why, .*, as in: dothi alarms shelve {number} --for 8h "),
        (("--for", "2h", "--reason", " "), "^--reason is missing; expected why"),
    ):
        with pytest.raises(Refused, match=said):
            desk.says("shelve", number, *words)
    desk.says("shelve", number, "--for", "2h", "--reason", "sửa cầu", "--by", "lan")
    assert desk.keys("--state", "shelved") == ["wet"]
    assert "tạm gác (" in desk.says("list", "--kind", desk.kind)
    desk.says("unshelve", number)
    assert desk.keys("--state", "shelved") == []


def test_what_was_cleared_stays_so_and_is_judged(desk: Desk) -> None:
    number = desk.number["cut"]
    desk.says("clear", number, "--by", "lan", "--note", "đã có điện")
    with pytest.raises(Refused, match=r"is cleared at .* by lan: cannot acknowledge; allowed: comment, judge"):
        desk.says("ack", number)
    with pytest.raises(WrongUsage, match="allowed: true, false, drill"):
        desk.says("judge", number, "maybe")
    desk.says("judge", number, "false", "--by", "minh", "--note", "diễn tập của điện lực")
    desk.says("comment", number, "xem lại ngưỡng")
    assert desk.keys() == ["fire", "wet", "old", "note"]
    assert "cut" in desk.keys("--cleared")
    assert desk.keys("--state", "cleared") == ["cut"]
    said = desk.says("history", number)
    assert all(word in said for word in ("Kết thúc", "đã có điện", "Đánh giá", "sai", "xem lại ngưỡng"))
    assert "commented" in [row["what"] for row in desk.document("history", "--since", "1h", "--most", "9")]


def test_who_works_somewhere_is_not_called(desk: Desk) -> None:
    number = desk.document("maintenance", "begin", "--device", DEVICE, "--for", "2h", "--reason", "thay pin")[
        "maintenance"
    ]
    assert desk.keys("--state", "maintenance") == ["wet"]
    assert NAME in desk.says("maintenance", "list")
    said = desk.says("maintenance", "list", width=80)
    assert all(word in said for word in (NAME, "đang làm", "thay pin")), said
    desk.says("maintenance", "end", number, "--by", "lan")
    assert desk.keys("--state", "maintenance") == []
    with pytest.raises(Refused, match=f"maintenance {number} is over since .* by lan"):
        desk.says("maintenance", "end", number, "--by", "minh")
    for words, said in (
        (("--for", "2h", "--reason", "x"), "^--area and --device are missing; expected one of them, as in: dothi"),
        (("--area", "215", "--reason", "x"), "^--for is missing; expected 30m, 12h or 7d .*, as in: dothi alarms main"),
        (("--area", "215", "--for", "2h"), "^--reason is missing; expected what is done, .*, as in: dothi alarms main"),
        (("--area", "215", "--for", "400d", "--reason", "x"), "cannot be under maintenance until"),
        (("--device", "nobody", "--for", "2h", "--reason", "x"), "device 'nobody' is not enrolled"),
    ):
        with pytest.raises(Refused, match=said):
            desk.says("maintenance", "begin", *words)


def test_figures_say_what_was(desk: Desk) -> None:
    """Of an area in which no other test raises alarms."""
    stack = desk.stack
    (area,) = stack.query("select id from registry.area where code = '058'")[0]
    kind = f"{desk.kind}-figures"
    (known,) = stack.query("select count(*) from city.alarm where area = '058'")[0]
    assert known == 0
    alarms = [
        alarm("soon", kind, "critical", 60, area=area, rule="talker"),
        alarm("late", kind, "critical", 120, area=area, rule="talker"),
        alarm("brief", kind, "critical", 50, area=area),
        alarm("lasting", kind, "major", 40, area=area),
        alarm("aside", kind, "info", 40, area=area),
    ]
    rows = {
        k.rpartition("/")[2]: n for k, n in stack.query("select key, id from ops.raise_alarms(%s)", json.dumps(alarms))
    }
    taken_on = "update ops.alarm set acknowledged = raised + %s, acknowledged_by = 'lan' where id = %s returning 1"
    stack.query(taken_on, timedelta(minutes=4), rows["soon"])
    stack.query(taken_on, timedelta(minutes=6), rows["late"])
    stack.query("update ops.alarm set cleared = raised + interval '1 min' where id = %s returning 1", rows["brief"])
    desk.says("judge", rows["soon"], "true")
    desk.says("judge", rows["late"], "false")
    desk.says("judge", rows["aside"], "drill")
    document = desk.document("stats", "--since", "4h", "--area", "058")
    assert (document["raised"], document["for_centre"], document["per_hour"]) == (5, 4, 1.0)
    assert document["in_time_share"] == 0.3333, "soon, of soon, late and lasting; brief needed nobody"
    assert (document["judged"], document["false_share"], document["drills"]) == (2, 0.5, 1)
    assert (document["top_talkers"][0]["rule"], document["top_talkers"][0]["alarms"]) == ("talker", 2)
    said = desk.says("stats", "--since", "4h", "--area", "bac kan", "--lang", "en")
    assert "4 alarms for the centre (5 with information), 1.00 an hour; acknowledged in time: 33.3 %" in said
    stack.query(
        "update ops.alarm set cleared = greatest(last, now()) where kind = %s and cleared is null returning 1", kind
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list", "--severity", "bad"), "--severity is bad; allowed: critical, major, minor, warning, info"),
        (("list", "--state", "open"), "--state is open; allowed: unacknowledged"),
        (("list", "--area", "atlantis"), "--area is 'atlantis'; there are 058"),
        (("list", "--area", "bac"), "--area is 'bac'; which of 058 TP Bắc Kạn, .*213 TP Bắc Giang"),
        (("list", "--age", "soon"), "--age 'soon' is no time"),
        (("list", "--lang", "fr"), "--lang is fr; allowed: vi, en"),
        (("list", "--device", "no such thing"), "device 'no such thing': no enrolled device is called so"),
        (("show", "999999999"), "alarm 999999999: there is none with this number"),
        (("history", "999999999"), "alarm 999999999: there is none with this number"),
        (("ack",), "ack: allowed: numbers of alarms, or --all"),
        (("ack", "--all"), "--all stands alone"),
        (("ack", "1", "--kind", "x"), "ack: allowed: numbers of alarms, or --all"),
        (("clear",), "^ALARM is missing; expected numbers of alarms, as in: dothi alarms clear 12"),
        (("stats", "--since", "2999-01-01T00:00:00Z"), "is not in the past"),
    ],
    ids=lambda value: "-".join(value) or "none" if isinstance(value, tuple) else "",
)
def test_what_nothing_can_be_is_one_line(stack: RunningStack, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(Refused, match=said) as it:
        Desk(stack, "", {}).says(*words)
    assert "\n" not in str(it.value)


def test_exit_codes_are_those_of_every_command(stack: RunningStack) -> None:
    done = stack.dothi("alarms", "show", "999999999", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("dothi: alarm 999999999: there is none")
    assert stack.dothi("alarms", "list", "--state", "open", check=False).returncode == 2
    assert json.loads(stack.dothi("alarms", "stats", "--json").stdout)["since"].endswith("Z")
    counted = json.loads(stack.dothi("status", "--json", check=False).stdout)["alarms"]
    assert counted == stack.query("select count(*) from ops.alarm where cleared is null")[0][0]
    findings = json.loads(stack.dothi("doctor", "--json", check=False).stdout)["findings"]
    assert [f["found"].partition(" ")[0] for f in findings if f["name"] == "alarms"] == [f"{counted:,}"]
