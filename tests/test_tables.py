"""Legal tables: laws over every file that comes along, which one holds where and when, and how faults are told."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from analytics import tables
from analytics.tables import Table, TableRefused
from dothi import settings
from dothi.errors import WrongUsage

RISING = {"bounds", "levels_m", "concentrations", "indices"}
"""Keys whose lists of numbers go up, wherever they stand."""

HEAD = "table: t\nprovince: {province}\nvalid_from: {since}\nsource: law {set}\nread: {read}\nset: {set}\n"


@pytest.fixture(autouse=True)
def _those_that_come_along() -> Iterator[None]:
    tables.use(None)
    yield
    tables.use(None)


def write(folder: Path, name: str, values: str = "values: [1, 2]", **head: str) -> None:
    """A table of one's own."""
    said = {"province": "any", "since": "2020-01-01", "read": "original", "set": name} | head
    (folder / f"{name}.yaml").write_text(HEAD.format(**said) + values + "\n")


def lists(document: Any, key: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Every list of a document with the key it stands under."""
    if isinstance(document, dict):
        for inner, value in document.items():
            yield from lists(value, inner)
    elif isinstance(document, list):
        yield key, document
        for value in document:
            yield from lists(value, key)


@pytest.mark.parametrize("name", sorted(one.file for one in tables.every()))
def test_every_table_says_where_it_comes_from_and_its_bounds_go_up(name: str) -> None:
    table = next(one for one in tables.every() if one.file == name)
    assert len(table.source) > 20
    assert date(1950, 1, 1) < table.valid_from < date(2030, 1, 1)
    assert table.province == "any" or table.province.replace("-", "").isalpha()
    assert (table.values is None) == (table.read == "unread")
    for key, found in lists(table.values):
        numbers = [one for one in found if isinstance(one, int | float)]
        if key in RISING:
            assert numbers == sorted(set(numbers)), f"{key} of {name}"


def test_a_province_has_its_own_or_that_of_any(tmp_path: Path) -> None:
    write(tmp_path, "all")
    write(tmp_path, "mine", province="bac-giang", since="2021-06-01")
    write(tmp_path, "mine-newer", province="bac-giang", since="2023-06-01")
    write(tmp_path, "other", province="hue")
    tables.use(tmp_path)
    held = {
        (province, year): tables.load("t", province, date(year, 1, 1)).set
        for province in ("bac-giang", "bac-kan")
        for year in (2020, 2022, 2024)
    }
    assert held == {
        ("bac-giang", 2020): "all",
        ("bac-giang", 2022): "mine",
        ("bac-giang", 2024): "mine-newer",
        ("bac-kan", 2020): "all",
        ("bac-kan", 2022): "all",
        ("bac-kan", 2024): "all",
    }
    with pytest.raises(TableRefused, match="no table t holds in bac-kan on 2019-01-01; known: any from 2020-01-01"):
        tables.load("t", "bac-kan", date(2019, 1, 1))


def test_another_stands_in_for_an_unread_one_and_says_for_which() -> None:
    table = tables.load("fire_levels", "bac-giang", date(2026, 1, 1))
    assert (table.set, table.province) == ("textbook", "any")
    assert "66/2021" in table.waits_for
    assert tables.load("fire_levels", "bac-giang", date(2021, 11, 29)).waits_for == ""


def test_a_file_of_ones_own_replaces_and_adds(tmp_path: Path) -> None:
    write(tmp_path, "fire-levels-bac-giang-2021", "values: 5", province="bac-giang", since="2021-11-30")
    tables.use(tmp_path)
    assert not any(one.set == "bac-giang-2021" for one in tables.every())
    assert tables.load("t", "bac-giang", date(2022, 1, 1)).held == 5


class Shape(msgspec.Struct):
    """What a module might expect."""

    bounds: list[float]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("values: {bounds: [1, high]}", "mine.yaml: values.bounds.1 is 'high'; Expected `float`, got `str`"),
        ("values: {}", "mine.yaml: values is {}; Object missing required field `bounds`"),
        ("values: 7", "mine.yaml: values is 7; Expected `object`, got `int`"),
    ],
)
def test_values_of_another_shape_are_told(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, "mine", text)
    tables.use(tmp_path)
    with pytest.raises(TableRefused) as refused:
        tables.load("t", "any", date(2022, 1, 1), Shape)
    assert str(refused.value) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD.format(province="any", since="soon", read="original", set="x") + "values: 1", "valid_from is 'soon'"),
        (HEAD.format(province="any", since="2020-01-01", read="guessed", set="x") + "values: 1", "read is 'guessed'"),
        (HEAD.format(province="any", since="2020-01-01", read="unread", set="x") + "values: 1", "values are there"),
        (HEAD.format(province="any", since="2020-01-01", read="original", set="x"), "values are missing"),
        ("table: [", "no readable YAML"),
        ("- 1", r"the document is \[1\]"),
        ("colour: red", "colour"),
    ],
)
def test_a_faulty_head_is_told_at_the_start(tmp_path: Path, text: str, said: str, monkeypatch: Any) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.setenv("DOTHI_TABLES", str(tmp_path))
    with pytest.raises(WrongUsage, match=rf"(?s)DOTHI_TABLES: mine.yaml: .*{said}"):
        settings.use_tables()


def test_two_of_one_day_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b")
    with pytest.raises(TableRefused, match=r"b.yaml: a.yaml is the table t of any from that day, too"):
        tables.use(tmp_path)


def test_the_setting_names_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOTHI_TABLES", "/nowhere/at/all")
    with pytest.raises(WrongUsage, match="DOTHI_TABLES='/nowhere/at/all' is no folder"):
        settings.use_tables()


def test_a_table_is_what_it_was(tmp_path: Path) -> None:
    write(tmp_path, "mine", "values: {bounds: [1, 2]}\nnote: mine")
    tables.use(tmp_path)
    found: Table[Shape] = tables.load("t", "any", date(2022, 1, 1), Shape)
    assert (found.held.bounds, found.note, found.file) == ([1.0, 2.0], "mine", "mine.yaml")
