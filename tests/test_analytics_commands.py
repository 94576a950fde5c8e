"""`dothi analytics compute` and `findings` as users meet them: clear words on a mistake, JSON for scripts."""

import json
from pathlib import Path

import numpy as np
import pytest

from dothi.computing import kinds
from dothi.computing.kind import Column, Kind, Options, results_from
from dothi.computing.table import read_table
from dothi.errors import WrongUsage
from tests.command import dothi
from tests.stack import RunningStack

KIND = Kind(
    "double",
    "twice as much",
    (
        Column("time", kind="time", needed=False),
        Column("station", kind="text", gaps=True),
        Column("level_m", "m", low=-10, high=20),
        Column("rain_mm", "mm", gaps=True, needed=False),
    ),
    (Column("twice_m", "m"),),
    lambda columns, options: results_from({"twice_m": columns["level_m"] * 2}),
)


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    file = tmp_path / "in.csv"
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize("text", ["Level_M,station\n1.5,a\n\n2,\n", "\ufefflevel_m;station\r\n1.5;a\r\n2;\r\n"])
def test_a_table_is_read_as_spreadsheets_write_it(tmp_path: Path, text: str) -> None:
    found = read_table(table(tmp_path, text), KIND)
    assert found["level_m"].tolist() == [1.5, 2.0]
    assert found["station"].tolist() == ["a", ""]
    assert np.isnat(found["time"]).all()
    assert np.isnan(found["rain_mm"]).all()
    assert KIND.reckon(found, Options()) == [{"twice_m": 3.0}, {"twice_m": 4.0}]


def test_times_are_local_unless_they_say_otherwise(tmp_path: Path) -> None:
    text = "level_m,station,time\n1,,2026-01-31 07:00\n1,,2026-01-31T00:00:00Z\n1,,2026-01-31T02:00:00+02:00\n"
    found = read_table(table(tmp_path, text), KIND)["time"]
    assert found.tolist() == [found[0].item()] * 3
    assert str(found[0]) == "2026-01-31T07:00:00.000000"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; its first line is to name the columns"),
        ("level\n1\n", "no column station, level_m; double reads time,station,level_m,rain_mm"),
        ("level_m,level_m,station\n1,2,a\n", "column level_m is there twice"),
        ("level_m,station\n1,a\nhigh,b\n", "line 3, level_m: 'high' is no number"),
        ("level_m;station\n1,5;a\n", "line 2, level_m: '1,5' is no number (write 1.5, not 1,5)"),
        ("level_m,station\n\n21,a\n", "line 3, level_m: '21' is not between -10 and 20 m"),
        ("level_m,station\nnan,a\n", "line 2, level_m: 'nan' is not between -10 and 20 m"),
        ("level_m,station\n,a\n", "line 2, level_m: empty; expected a number in m"),
        ("level_m,station,time\n1,a,yesterday\n", "line 2, time: 'yesterday' is no time"),
        ("level_m,station,rain_mm\n1,a,inf\n", "line 2, rain_mm: 'inf' is not between"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(WrongUsage) as refused:
        read_table(table(tmp_path, text), KIND)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="byte 20 is not UTF-8"):
        read_table(table(tmp_path, "level_m,station\n1,Cầu".replace("ầ", "é"), "latin-1"), KIND)


@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.name)
def test_every_kind_takes_an_empty_table_and_is_documented(tmp_path: Path, kind: Kind) -> None:
    file = table(tmp_path, ",".join(column.name for column in kind.columns) + "\n")
    assert kind.reckon(read_table(file, kind), Options()) == []
    assert kind.title
    assert kind.results
    assert set(kind.options) <= set(Options._fields)
    for column in (*kind.columns, *kind.results):
        assert column.name == column.name.lower()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bogus", "x.csv"], "KIND is bogus; there are "),
        (["us-aqi", "/nowhere.csv"], "/nowhere.csv cannot be read"),
        (["us-aqi", "x.csv", "--lat", "21"], "--lat: us-aqi does not depend on it"),
        (["us-aqi", "x.csv", "--on", "yesterday"], "--on is yesterday"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(arguments: list[str], said: str) -> None:
    refused = dothi("analytics", "compute", *arguments, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_json_is_one_list_with_one_result_per_row(tmp_path: Path) -> None:
    file = table(tmp_path, "pollutant,concentration\npm25,35.9\npm25,9.0\n")
    found = json.loads(dothi("analytics", "compute", "us-aqi", str(file), "--json").stdout)
    assert [row["aqi"] for row in found] == [102, 50]


def test_findings_are_told_as_asked_for(stack: RunningStack) -> None:
    device = stack.enroll("finding")
    stack.run(
        "insert into rollup.finding (device, detector, metric, since, found, until, score, value, expected) "
        "select d.id, v.*, 0.9, 4.5, null from registry.device d, (values "
        "('stuck', 'pm25', now() - interval '2 h', now() - interval '1 h', now() - interval '1 min'), "
        "('silent', '', now() - interval '1 h', now() - interval '1 min', null)) "
        "v(detector, metric, since, found, until) "
        f"where d.device = '{device}'"
    )
    asked = ("analytics", "findings", "--device", device, "--json")
    found = json.loads(stack.dothi(*asked).stdout)
    assert [(row["detector"], row["metric"], row["until"] is None) for row in found] == [
        ("silent", None, True),
        ("stuck", "pm25", False),
    ]
    assert found[0]["title_vi"] == "Mất liên lạc"
    assert found[0]["area"] == "213"
    assert [row["detector"] for row in json.loads(stack.dothi(*asked, "--open").stdout)] == ["silent"]
    assert json.loads(stack.dothi(*asked, "--detector", "stuck", "--area", "215").stdout) == []
    assert "score" in stack.dothi(*asked[:-1]).stdout
    for option, value in (("--detector", "bogus"), ("--area", "999"), ("--most", "0")):
        refused = stack.dothi("analytics", "findings", option, value, check=False)
        assert refused.returncode == 2
        assert f"{option} is {value}" in refused.stderr
