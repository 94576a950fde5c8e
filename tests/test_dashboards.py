"""The wall: built the same every time, sound as Grafana sees it, in two languages; its queries answer on the stack."""

import json
import os
import re
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import psycopg
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.macros import Range, expand
from dashboards.pen import SOURCE_UID
from dashboards.statements import interval_s, literal, shown
from dashboards.tree import PLACEHOLDERS, Database, SourceKind, dashboards, tree, write
from dashboards.words import LANGUAGES, Language, Words, catalogue
from devices.area import ZONES
from devices.documents import parse_yaml
from devices.family import FAMILIES, Family, Metric
from dothi.grafana import reader_database
from tests.stack import RunningStack, dothi

KINDS = get_args(SourceKind)
VIETNAMESE = re.compile(r"[ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹàáãèéìíòóõùúýĩũ]", re.IGNORECASE)
PROPER_NAMES = ("1459/QĐ-TCMT", "Tiếng Việt")


@pytest.fixture(scope="module")
def built() -> dict[str, dict[str, Any]]:
    """Every dashboard by uid, as Grafana reads it."""
    return {name.removesuffix(".json"): json.loads(text) for name, text in dashboards(KINDS[0]).items()}


# --- structure ---


def test_uids_and_kinds() -> None:
    assert set(dashboards("postgres")) == {"dothi-wall.json", "dothi-wall-en.json"}
    for kind in KINDS:
        for text in dashboards(kind).values():
            assert set(re.findall(r'"type": "([a-z-]*postgres[a-z-]*)"', text)) == {kind}


def test_the_same_bytes_twice() -> None:
    first, second = (tree(KINDS[0], PLACEHOLDERS, PurePosixPath("/srv/x")) for _ in range(2))
    assert first == second


def test_the_sdk_reads_back_what_it_wrote(built: dict[str, dict[str, Any]]) -> None:
    for board in built.values():
        again = json.loads(json.dumps(grafana.Dashboard.from_json(board), cls=JSONEncoder))
        for link in again["links"]:
            del link["placement"]  # the SDK's own idea, taken out on purpose
        assert again == board


def test_only_the_abnormal_has_colour(built: dict[str, dict[str, Any]]) -> None:
    for panel in built["dothi-wall"]["panels"]:
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0] == {"value": None, "color": steps[0]["color"]}
        assert steps[0]["color"] not in {"red", "orange", "green"}
        values = [step["value"] for step in steps[1:]]
        assert values == sorted(values)


def test_data_age_is_judged_by_the_familys_own_interval(built: dict[str, dict[str, Any]]) -> None:
    ages = next(panel for panel in built["dothi-wall"]["panels"] if panel["title"] == Words("vi")("ages"))
    by_family = {entry["matcher"]["options"]: entry["properties"] for entry in ages["fieldConfig"]["overrides"]}
    assert set(by_family) == set(FAMILIES)
    for name, properties in by_family.items():
        steps = next(entry["value"]["steps"] for entry in properties if entry["id"] == "thresholds")
        assert [step["value"] for step in steps[1:]] == [n * interval_s(FAMILIES[name]) for n in (3, 10)]


def test_families_are_what_the_wall_knows(built: dict[str, dict[str, Any]]) -> None:
    """A family that comes later is on the wall without code."""
    sql = json.dumps(built["dothi-wall"])
    for family in FAMILIES.values():
        assert isinstance(family, Family)
        assert f"city.latest_{family.name} " in sql


# --- words ---


def test_every_word_is_there_in_both_languages() -> None:
    for key, texts in catalogue().items():
        assert list(texts) == list(LANGUAGES), key
        assert texts["vi"].strip() != texts["en"].strip(), key
        english = texts["en"] if key != "other_language" else texts["vi"]
        for name in PROPER_NAMES:
            english = english.replace(name, "")
        assert not VIETNAMESE.search(english), key


def test_both_languages_have_the_same_panels_and_no_word_of_the_other(built: dict[str, dict[str, Any]]) -> None:
    vietnamese, english = built["dothi-wall"], built["dothi-wall-en"]
    assert [bare(panel) for panel in vietnamese["panels"]] == [bare(panel) for panel in english["panels"]]
    words = {key: texts for key, texts in catalogue().items() if not key.startswith("state.")}
    for board, language in ((vietnamese, "vi"), (english, "en")):
        known = {texts[language] for texts in words.values()} | {f.label[language] for f in FAMILIES.values()}
        said = {text for panel in board["panels"] for text in texts_of(panel)} | {board["title"], board["description"]}
        assert said <= known


def bare(panel: dict[str, Any]) -> tuple[object, ...]:
    """What must not depend on the language."""
    overrides = [entry["matcher"]["options"] for entry in panel["fieldConfig"]["overrides"]]
    return panel["id"], panel["type"], tuple(panel["gridPos"].items()), tuple(overrides)


def texts_of(panel: dict[str, Any]) -> Iterator[str]:
    yield from (panel["title"], panel["description"], panel["fieldConfig"]["defaults"]["noValue"])
    for entry in panel["fieldConfig"]["overrides"]:
        yield from (prop["value"] for prop in entry["properties"] if prop["id"] == "displayName")


def test_every_word_is_used(built: dict[str, dict[str, Any]]) -> None:
    everything = json.dumps(built, ensure_ascii=False) + json.dumps(tree(KINDS[0], PLACEHOLDERS, PurePosixPath("/")))
    states = {f"state.{state}" for family in FAMILIES.values() for metric in family.metrics for state in metric.states}
    for key, texts in catalogue().items():
        if key.startswith("state."):
            assert key in states, f"{key} is no state of any family"
        elif key != "folder":
            assert json.dumps(texts["vi"], ensure_ascii=False)[1:-1] in everything, key


def test_states_are_translated() -> None:
    for family in FAMILIES.values():
        for metric in family.metrics:
            assert not [state for state in metric.states if f"state.{state}" not in catalogue()], metric.name


def test_sql_literals_keep_quotes() -> None:
    assert literal("o'clock") == "'o''clock'"
    metric = Metric("m", "1", 0.0, 1.0, "state", ("new",), {"vi": "l'état", "en": "state"}, None)
    assert shown(metric, Words("vi")) == "'l''état ' || CASE m WHEN 'new' THEN 'mới' ELSE m END"


# --- queries on the real database ---


def sample(metric: Metric) -> float | str:
    """A value that the metric allows."""
    if metric.states:
        return metric.states[0]
    return round(max(metric.low, min(metric.high, 0.5 if metric.high <= 1 else 20.0)), 3)


@pytest.fixture(scope="module")
def city(stack: RunningStack) -> dict[str, str]:
    """One device per family in district 213, each with one reading of every metric; family → device id."""
    rows = [(f"wall-{name.replace('_', '-')}", f"native-{name.replace('_', '-')}", "213", "") for name in FAMILIES]
    ids = dict(zip(FAMILIES, stack.enroll_many(rows), strict=True))
    for name, device in ids.items():
        metrics = {metric.name: sample(metric) for metric in FAMILIES[name].metrics}
        stack.publish(f"dothi/v1/213/{device}/up", {"time": int(time.time() * 1000), "seq": 1, "metrics": metrics})
    for name, device in ids.items():
        stack.wait_for(f"select count(*) from city.{name} where device = %s", device)
    online = "select count(*) from city.connectivity where area = '213' and online > 0"
    stack.wait_for(online, until=lambda families: families == len(FAMILIES))
    return ids


def ask(url: str, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows of a query, with Grafana's one round trip."""
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        cursor = connection.execute(sql.encode())
        return [column.name for column in cursor.description or ()], cursor.fetchall()


def panel_sql(panel: dict[str, Any], board: dict[str, Any], url: str, wide: timedelta) -> str:
    """A panel's query as it reaches the database over the last `wide`, all choices of the variables made."""
    now = datetime.now(UTC)
    time_range = Range(now - wide, now)
    least = {"1m": 60_000}[panel.get("interval", "1m")]
    chosen = {variable["name"]: choices(variable, url) for variable in board["templating"]["list"]}
    interval = time_range.interval_ms(int(panel.get("maxDataPoints", 1000)), least)
    return expand(panel["targets"][0]["rawSql"], time_range, interval, chosen)


def choices(variable: dict[str, Any], url: str) -> tuple[str, ...]:
    names, rows = ask(url, variable["query"])
    assert names == ["__value", "__text"]
    return tuple(row[0] for row in rows)


@pytest.mark.stack
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_query_answers_as_the_reader(
    stack: RunningStack, city: dict[str, str], built: dict[str, dict[str, Any]], language: Language
) -> None:
    board = built[Words(language).uid("dothi-wall")]
    reader = stack.document["reader"]
    assert ask(reader, "SELECT current_user::text")[1] == [("dothi_reader",)]
    for panel in board["panels"]:
        for wide in (timedelta(hours=3), timedelta(days=30)):
            names, rows = ask(reader, panel_sql(panel, board, reader, wide))
            overridden = {entry["matcher"]["options"] for entry in panel["fieldConfig"]["overrides"]}
            assert overridden <= set(names), panel["title"]
            if panel["targets"][0]["format"] == "time_series":
                assert names[0] == "time", panel["title"]
            else:
                assert len(names) == 1 or overridden == set(names), panel["title"]
                assert rows, panel["title"]
            assert len(rows) <= 5000, panel["title"]


@pytest.mark.stack
def test_the_wall_shows_the_city(stack: RunningStack, city: dict[str, str], built: dict[str, dict[str, Any]]) -> None:
    board, reader, words = built["dothi-wall"], stack.document["reader"], Words("vi")
    here = next(zone.name_vi for zone in ZONES if zone.code == "213")

    def answer(key: str) -> list[dict[str, Any]]:
        panel = next(panel for panel in board["panels"] if panel["title"] == words(key))
        names, rows = ask(reader, panel_sql(panel, board, reader, timedelta(hours=3)))
        return [dict(zip(names, row, strict=True)) for row in rows]

    reporting = answer("reporting")[0]
    assert len(FAMILIES) <= reporting["reporting"] <= reporting["expected"]
    assert float(reporting["share"]) == pytest.approx(100 * reporting["reporting"] / reporting["expected"])
    assert answer("rate")[0]["per_minute"] > 0
    assert all(0 <= age < 600 for age in answer("ages")[0].values())
    assert 0 <= answer("worst_age")[0]["age"] < 600
    density = answer("density")[0]
    assert density["density"] > 0
    assert density["target"] in (150, 75)
    districts = {row["label"].split("\n")[0]: row for row in answer("districts")}
    assert set(districts) == {zone.name_vi for zone in ZONES}
    assert districts[here]["reporting"] >= len(FAMILIES)
    assert [row["share"] for row in districts.values() if row["devices"] == 0] == [None] * sum(
        row["devices"] == 0 for row in districts.values()
    )
    newest = {row["family"]: row for row in answer("newest") if row["device"] in city.values()}
    assert set(newest) == {family.label["vi"] for family in FAMILIES.values()}
    assert newest["Chất lượng không khí"]["reading"].startswith("Bụi PM2.5 20.0 µg/m³ · ")
    assert newest["Sự kiện camera"]["reading"].startswith("Loại đối tượng người · ")
    dust = answer("fine_dust")
    assert here in {row["metric"] for row in dust}
    assert {row["pm25"] for row in dust if row["metric"] == here} != {None}


@pytest.mark.stack
def test_an_empty_province_is_not_zero(stack: RunningStack, built: dict[str, dict[str, Any]]) -> None:
    """Where nothing was ever received the answer is NULL or no row, which Grafana shows as "no data yet"."""
    board, reader = built["dothi-wall"], stack.document["reader"]
    last_hour = Range(datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC))
    for panel in board["panels"]:
        if panel["title"] in {Words("vi")(key) for key in ("ages", "worst_age", "newest", "fine_dust")}:
            sql = expand(panel["targets"][0]["rawSql"], last_hour, 60_000, {"province": ("atlantis",)})
            _, rows = ask(reader, sql)
            assert not [value for row in rows for value in row if value is not None], panel["title"]


# --- the tree ---


def build(*arguments: str) -> str:
    """What `dothi dashboards build` says; it must succeed."""
    return dothi("dashboards", "build", *arguments).stdout


def test_build_needs_no_stack(tmp_path: Path) -> None:
    folder = tmp_path / "grafana"
    said = build(str(folder))
    assert f"GF_PATHS_PROVISIONING={folder}/provisioning" in said
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "dashboards/dothi-wall.json",
        "dashboards/dothi-wall-en.json",
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
    assert len(document["written"]) == 5
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
