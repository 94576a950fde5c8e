"""The boards: built the same every time, sound, in two languages, from what families and profiles say of themselves."""

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import psycopg
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as grafana
from typer.main import get_command

from dashboards import words as words_module
from dashboards.board import row
from dashboards.claims import CLAIMS, families_of
from dashboards.column import Column
from dashboards.lint import every_fault
from dashboards.measured import limits, steps
from dashboards.palette import BLUE, ORANGE, QUIET, RED, YELLOW
from dashboards.pen import SOURCE_UID, Source
from dashboards.pens import pen_of
from dashboards.statements import interval_s, literal, shown
from dashboards.tree import PLACEHOLDERS, Database, SourceKind, dashboards, tree, write
from dashboards.vocabulary import kpi
from dashboards.words import LANGUAGES, Words, catalogue
from devices.alarm import alarms_from
from devices.area import ZONES
from devices.documents import parse_yaml
from devices.family import FAMILIES, Metric, family_from
from devices.panel import default_panel
from devices.profile import PROFILES
from dothi.cli import assemble
from dothi.grafana import reader_database
from tests.command import dothi
from tests.stack import RunningStack

Boards = dict[str, dict[str, Any]]

KINDS = get_args(SourceKind)
VIETNAMESE = re.compile(r"[ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹàáãèéìíòóõùúýĩũ]", re.IGNORECASE)
PROPER_NAMES = ("1459/QĐ-TCMT", "Tiếng Việt")


@pytest.fixture(scope="module")
def built() -> Boards:
    """Every dashboard by uid, as Grafana reads it."""
    return {name.removesuffix(".json"): json.loads(text) for name, text in dashboards(KINDS[0]).items()}


# --- structure ---

BOARDS = (
    "wall", "traffic", "air", "fire", "rivers", "cameras", "public-address", "agriculture", "energy-water", "people",
    "telecom", "district", "device", "load", "platform",
)  # fmt: skip
UIDS = [f"dothi-{name}{suffix}" for name in BOARDS for suffix in ("", "-en")]
SEVERE = {RED, ORANGE, YELLOW, BLUE}


def test_uids_and_kinds() -> None:
    for kind in KINDS:
        found = dashboards(kind)
        assert sorted(found) == sorted(f"{uid}.json" for uid in UIDS)
        for text in found.values():
            assert set(re.findall(r'"type": "([a-z-]*postgres[a-z-]*)"', text)) == {kind}


def test_the_same_bytes_twice() -> None:
    first, second = (tree(KINDS[0], PLACEHOLDERS, PurePosixPath("/srv/x")) for _ in range(2))
    assert first == second


def test_the_sdk_reads_back_what_it_wrote(built: Boards) -> None:
    for uid, board in built.items():
        again = json.loads(json.dumps(grafana.Dashboard.from_json(board), cls=JSONEncoder))
        for link in [*again["links"], *again["annotations"]["list"]]:
            del link["placement"]  # the SDK's own idea, taken out on purpose
        assert again == board, uid


def test_only_the_abnormal_has_colour(built: Boards) -> None:
    """Where thresholds give colour, there is a range of values that has none."""
    for uid, board in built.items():
        for panel in board["panels"]:
            for marks in thresholds_of(panel):
                colors = [mark["color"] for mark in marks]
                assert marks[0]["value"] is None
                assert set(colors) - SEVERE, (uid, panel["title"])
                assert "green" not in colors
                values = [mark["value"] for mark in marks[1:]]
                assert values == sorted(values), (uid, panel["title"])


def thresholds_of(panel: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    yield panel["fieldConfig"]["defaults"].get("thresholds", {"steps": [{"value": None, "color": ""}]})["steps"]
    for entry in panel["fieldConfig"]["overrides"]:
        yield from (prop["value"]["steps"] for prop in entry["properties"] if prop["id"] == "thresholds")


def test_the_wall_fills_a_screen(built: Boards) -> None:
    """1,080 pixels hold 28 steps of 30 pixels and a gap of 8."""
    for uid in ("dothi-wall", "dothi-wall-en"):
        places = [panel["gridPos"] for panel in built[uid]["panels"]]
        assert max(at["y"] + at["h"] for at in places) == 28
        assert [at["w"] for at in places if at["h"] == 13] == [16, 8]


def test_titles_of_a_board_differ(built: Boards) -> None:
    for uid, board in built.items():
        titles = [panel["title"] for panel in board["panels"]]
        assert len(set(titles)) == len(titles), uid


def test_a_row_must_be_full() -> None:
    pen = pen_of(Words("vi"), Source(KINDS[0]), "wall", "true")
    with pytest.raises(ValueError, match="4 columns too narrow"):
        row(4, *[kpi(pen, "alarms_critical", [Column("critical")], 4) for _ in range(5)])


def test_data_age_is_judged_by_the_familys_own_interval(built: Boards) -> None:
    for uid, board in built.items():
        sql = json.dumps(board)
        if "worst_age" in uid or uid.startswith("dothi-wall"):
            for family in FAMILIES.values():
                assert f"'{family.name}', " in sql
                assert f"{interval_s(family):.4f})" in sql or f"{interval_s(family):g})" in sql


# --- families ---


def test_every_family_is_on_one_board_and_on_the_device_page(built: Boards) -> None:
    shown = [family.name for name in CLAIMS for family in families_of(name)]
    assert sorted(shown) == sorted(FAMILIES)
    for name in CLAIMS:
        text = json.dumps(built[f"dothi-{name.replace('_', '-')}"])
        for family in families_of(name):
            assert re.search(rf"city\.(latest_)?{family.name}(_area_1h)? |c\.family = '{family.name}'", text), (
                family.name
            )
    device = json.dumps(built["dothi-device"])
    for family in FAMILIES.values():
        for metric in family.metrics:
            assert f"'{metric.name}'" in device


def test_a_family_that_comes_later_is_shown_without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    ice = family_from("ice", {"label": {"vi": "Băng", "en": "Ice"}, "metrics": {"thickness": THICKNESS}})
    alarm = {"metric": "thickness", "when": ">", "raise": 1.5, "clear": 1, "severity": "major", "title": ICE}
    native = replace(
        PROFILES["native-noise"],
        family=ice,
        panel=default_panel(ice),
        alarms=alarms_from(ice, [alarm]),
        interval_s=77.0,
    )
    monkeypatch.setitem(FAMILIES, "ice", ice)
    monkeypatch.setattr("dashboards.statements.PROFILES", {**PROFILES, "native-ice": native})
    built = {name: json.loads(text) for name, text in dashboards(KINDS[0]).items()}
    board = built["dothi-telecom-en.json"]
    trend, table = (p for p in board["panels"] if p["title"].startswith("Ice: "))
    assert trend["title"] == "Ice: Thickness by district"
    assert "city.ice_area_1h" in trend["targets"][0]["rawSql"]
    assert trend["fieldConfig"]["defaults"]["unit"] == "suffix:m"
    assert trend["fieldConfig"]["defaults"]["decimals"] == 2
    assert [s["value"] for s in trend["fieldConfig"]["defaults"]["thresholds"]["steps"]] == [None, 1.5]
    assert "average" in {o["matcher"]["options"] for o in table["fieldConfig"]["overrides"]}
    device = json.dumps(built["dothi-device.json"], ensure_ascii=False)
    assert "Độ dày (m)" in device
    assert "▸ Băng dày" in device
    assert not every_fault({name.removesuffix(".json"): one for name, one in built.items()})


THICKNESS = {"unit": "m", "range": [0, 3], "label": {"vi": "Độ dày", "en": "Thickness"}}
ICE = {"vi": "Băng dày", "en": "Thick ice"}


def test_limits_are_those_of_the_profile() -> None:
    alarms = PROFILES["native-aquaculture"].alarms
    assert steps(alarms, "dissolved_oxygen") == ((None, QUIET), (0.0, RED), (3.0, QUIET))
    assert steps(alarms, "ph") == ((None, QUIET), (0.0, YELLOW), (6.5, QUIET), (9.0, YELLOW))
    assert limits(alarms, "ph") == ((6.5, YELLOW), (9.0, YELLOW))
    assert steps(alarms, "temperature") == ((None, QUIET),)


# --- words ---


def test_every_word_is_there_in_both_languages() -> None:
    for key, texts in catalogue().items():
        assert list(texts) == list(LANGUAGES), key
        assert texts["vi"].strip() != texts["en"].strip(), key
        english = texts["en"] if key != "other_language" else texts["vi"]
        for name in PROPER_NAMES:
            english = english.replace(name, "")
        assert not VIETNAMESE.search(english), key


def test_every_description_says_what_to_do(built: Boards) -> None:
    """What it is, and what to do about it: two lines."""
    for uid, board in built.items():
        for panel in board["panels"]:
            lines = panel["description"].split("\n")
            assert len(lines) >= 2, (uid, panel["title"])
            assert all(len(line) > 20 for line in lines), (uid, panel["title"])


def test_both_languages_have_the_same_panels_and_no_word_of_the_other(built: Boards) -> None:
    for uid in UIDS[::2]:
        vietnamese, english = built[uid], built[f"{uid}-en"]
        assert [bare(panel) for panel in vietnamese["panels"]] == [bare(panel) for panel in english["panels"]]
        for panel in english["panels"]:
            for text in texts_of(panel):
                assert not VIETNAMESE.search(text), (uid, text)


def bare(panel: dict[str, Any]) -> tuple[object, ...]:
    """What must not depend on the language."""
    return panel["id"], panel["type"], tuple(panel["gridPos"].items()), len(panel["fieldConfig"]["overrides"])


def texts_of(panel: dict[str, Any]) -> Iterator[str]:
    yield from (panel["title"], panel["description"], panel["fieldConfig"]["defaults"].get("noValue", ""))
    for entry in panel["fieldConfig"]["overrides"]:
        yield from (prop["value"] for prop in entry["properties"] if prop["id"] == "displayName")


def test_every_word_is_used(built: Boards) -> None:
    """Each text of the catalogue, up to the first place that is filled in, stands on some board."""
    everything = json.dumps(built, ensure_ascii=False) + json.dumps(tree(KINDS[0], PLACEHOLDERS, PurePosixPath("/")))
    states = {f"state.{state}" for family in FAMILIES.values() for metric in family.metrics for state in metric.states}
    for key, texts in catalogue().items():
        if key.startswith("state."):
            assert key in states, f"{key} is no state of any family"
        elif key not in ("folder", "sector.other"):
            parts = re.split(r"\{\w+\}", json.dumps(texts["vi"], ensure_ascii=False)[1:-1])
            assert all(part in everything for part in parts), key


def test_commands_that_are_named_are_there() -> None:
    """What a description tells staff to type is a command, and its options are options."""
    said = {
        text for texts in catalogue().values() for one in texts.values() for text in re.findall(r'"(dothi [^"]+)"', one)
    }
    assert len(said) > 5
    for line in said:
        words = line.split()[1:]
        path = [word for word in words if not word.startswith("-")]
        command: Any = get_command(assemble())
        for word in path:
            command = command.commands[word]
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, line


def test_a_word_is_said_once() -> None:
    assert len(catalogue()) == sum(
        len(parse_yaml(path.read_text("utf-8"))) for path in Path(words_module.__file__).parent.glob("catalogue/*.yaml")
    )


def test_states_are_translated() -> None:
    for family in FAMILIES.values():
        for metric in family.metrics:
            assert not [state for state in metric.states if f"state.{state}" not in catalogue()], metric.name


def test_sql_literals_keep_quotes() -> None:
    assert literal("o'clock") == "'o''clock'"
    metric = Metric("m", "1", 0.0, 1.0, "state", ("new",), {"vi": "l'état", "en": "state"}, None)
    assert shown(metric, Words("vi")) == "'l''état ' || CASE m WHEN 'new' THEN 'mới' ELSE m END"


# --- the tree ---


def build(*arguments: str) -> str:
    """What `dothi dashboards build` says; it must succeed."""
    return dothi("dashboards", "build", *arguments).stdout


def test_build_needs_no_stack(tmp_path: Path) -> None:
    folder = tmp_path / "grafana"
    said = build(str(folder))
    assert f"GF_PATHS_PROVISIONING={folder}/provisioning" in said
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        *(f"dashboards/{uid}.json" for uid in UIDS),
        "provisioning/datasources/dothi.yaml",
        "provisioning/dashboards/dothi.yaml",
        "provisioning/alerting/dothi-rules.yaml",
    }
    source = parse_yaml((folder / "provisioning/datasources/dothi.yaml").read_text())["datasources"][0]
    assert (source["uid"], source["type"]) == (SOURCE_UID, KINDS[0])
    assert source["secureJsonData"] == {"password": "$DOTHI_GRAFANA_PASSWORD"}
    assert source["jsonData"]["timescaledb"] is True
    assert 0 not in (source["jsonData"]["maxOpenConns"], source["jsonData"]["connMaxLifetime"])
    provider = parse_yaml((folder / "provisioning/dashboards/dothi.yaml").read_text())["providers"][0]
    assert provider["options"]["path"] == str(folder / "dashboards")


def test_build_twice_gives_the_same_and_takes_only_our_own_away(tmp_path: Path) -> None:
    build(str(tmp_path))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "dashboards" / "dothi-gone.json").write_text("{}")
    (tmp_path / "dashboards" / "theirs.json").write_text("{}")
    build(str(tmp_path))
    (tmp_path / "dashboards" / "theirs.json").unlink()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_build_for_another_place_and_an_older_grafana(tmp_path: Path) -> None:
    arguments = ("--installed-at", "/etc/dothi", "--datasource-type", "postgres", "--json")
    document = json.loads(build(str(tmp_path), *arguments))
    assert document["environment"]["GF_PATHS_PROVISIONING"] == "/etc/dothi/provisioning"
    assert len(document["written"]) == len(UIDS) + 3
    assert '"/etc/dothi/dashboards"' in (tmp_path / "provisioning/dashboards/dothi.yaml").read_text()
    assert '"type": "postgres"' in (tmp_path / "provisioning/datasources/dothi.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{tmp}/file"], 1, "is a file"),
        (["{tmp}/file/below"], 1, "is a file"),
        (["/proc/dothi"], 1, "cannot be written"),
        (["{tmp}", "--dir", "{tmp}/none"], 1, "none"),
        (["{tmp}", "--datasource-type", "mysql"], 2, "mysql"),
        (["{tmp}", "--installed-at", "here"], 2, "--installed-at"),
    ],
)
def test_build_refuses_in_one_line(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    (tmp_path / "file").write_text("")
    done = dothi("dashboards", "build", *(argument.format(tmp=tmp_path) for argument in arguments), check=False)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_build_refuses_a_folder_of_somebody_else(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = dothi("dashboards", "build", str(tmp_path), check=False)
    assert (done.returncode, "no right to write" in done.stderr) == (1, True)


def test_a_password_is_kept_from_other_users_and_from_grafanas_own_expansion(tmp_path: Path) -> None:
    database = reader_database("postgresql://reader:p%24a%3Ass@127.0.0.1:5433/city")
    assert database == Database("127.0.0.1:5433", "city", "reader", "p$$a:ss", "disable")
    write(tmp_path, tree(KINDS[0], database, PurePosixPath(tmp_path)), secret=True)
    path = tmp_path / "provisioning/datasources/dothi.yaml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert parse_yaml(path.read_text())["datasources"][0]["secureJsonData"]["password"] == "p$$a:ss"


@pytest.mark.stack
def test_build_with_the_reader_of_a_running_stack(stack: RunningStack, tmp_path: Path) -> None:
    said = build(str(tmp_path), "--dir", str(stack.folder))
    assert "holds the reader's password" in said
    source = parse_yaml((tmp_path / "provisioning/datasources/dothi.yaml").read_text())["datasources"][0]
    host, _, port = source["url"].rpartition(":")
    with psycopg.connect(
        host=host,
        port=port,
        user=source["user"],
        dbname=source["database"],
        password=source["secureJsonData"]["password"].replace("$$", "$"),
        sslmode=source["jsonData"]["sslmode"],
    ) as connection:
        assert connection.execute("select count(*) from city.plan").fetchone() == (len(ZONES),)
