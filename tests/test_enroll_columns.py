"""Devices enrolled by columns: the same as one by one, all or none; again is nothing new."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices import life
from devices.enroll import Row
from devices.enroll_columns import Columns, enroll_columns
from devices.registry import Enrolled, NotEnrolled, enroll
from tests.examples import examples
from tests.stack import RunningStack

Database = psycopg.Connection[Any]
pytestmark = pytest.mark.stack
LAW = settings(max_examples=examples(10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KEPT = """
select d.device, p.profile, d.family, a.code, d.name, d.lat, d.lon, d.state
from registry.device d join registry.profile p on p.id = d.profile join registry.area a on a.id = d.area order by 1
"""


@pytest.fixture(scope="module")
def database(stack: RunningStack) -> Iterator[Database]:
    """A registry of its own."""
    with stack.database() as url, psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def empty(database: Database) -> Database:
    """The same without devices."""
    database.execute("truncate registry.device cascade")
    return database


def columns(rows: list[Row], size: int = 2) -> list[Columns]:
    """Pieces of a few rows."""
    told = [(row.device, row.profile, row.area, row.name or "", row.lat or 0.0, row.lon or 0.0) for row in rows]
    pieces = [list(zip(*told[start : start + size], strict=True)) for start in range(0, len(told), size)]
    return [Columns(*map(list, piece)) for piece in pieces]  # type: ignore[arg-type]  # zip knows of no columns


def by_columns(database: Database, rows: list[Row]) -> Enrolled:
    """Enrol by columns; every device is told of once."""
    told: list[int] = []
    done = enroll_columns(database, lambda: columns(rows), told.append)
    assert sum(told) == len(rows) == sum(done)
    return done


def row(device: str, **said: Any) -> Row:
    return Row(device, "native-meter", "215", **{"name": "Công tơ", "lat": 21.3, "lon": 106.6, **said})


degrees = st.floats(-80, 80).map(lambda value: round(value, 5))
rows = st.lists(
    st.tuples(
        st.from_regex(r"law-[a-z0-9]{1,2}", fullmatch=True),
        st.sampled_from(["native-meter", "native-weather"]),
        st.sampled_from(["215", "058"]),
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
        degrees,
        degrees,
    ).map(lambda told: Row(*told)),
    max_size=8,
    unique_by=lambda row: row.device,
)


@LAW
@given(rows, rows)
def test_columns_are_enrolled_as_rows_are(database: Database, first: list[Row], second: list[Row]) -> None:
    kept = []
    for one in (enroll, by_columns):
        database.execute("truncate registry.device cascade")
        outcomes: list[object] = []
        for some in (first, second):
            try:
                outcomes.append(one(database, some))
            except NotEnrolled:
                outcomes.append("refused")  # a device would change its family
        kept.append((outcomes, database.execute(KEPT).fetchall()))
    assert kept[0] == kept[1]


def test_a_fleet_again_is_nothing_new_and_what_differs_is_mended(empty: Database) -> None:
    fleet = [row(f"again-{n}", name=f"Công tơ {n}, Lục Nam") for n in range(7)]
    fleet += [Row(f"sky-{n}", "native-weather", "058", "Trạm", 22.1 + n / 7, 105.8) for n in range(3)]
    assert by_columns(empty, fleet) == Enrolled(10, 0, 0)
    numbers = "select id from registry.device where device like 'again-%%' order by device"
    assert empty.execute(numbers).fetchall() == sorted(empty.execute(numbers).fetchall())
    assert by_columns(empty, fleet) == Enrolled(0, 0, 10)
    enroll(empty, [row("stranger-1")])
    assert by_columns(empty, fleet) == Enrolled(0, 0, 10)
    life.change_state(empty, ["again-3"], "retired", None)
    life.change_state(empty, ["sky-1"], "active", None)
    more = [*fleet, row("again-9")]
    assert by_columns(empty, more) == Enrolled(1, 1, 9)
    assert by_columns(empty, more) == Enrolled(0, 0, 11)
    assert empty.execute("select state from registry.device where device = 'sky-1'").fetchone() == ("active",)
    more[1] = more[1]._replace(lat=21.4)
    assert by_columns(empty, more) == Enrolled(0, 1, 10)


@pytest.mark.parametrize("others", [[], [row("other-1")]])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (row("fine-2")._replace(profile="native-nothing"), "profile native-nothing"),
        (row("fine-2")._replace(area="999"), "area 999"),
        (row("fine-1"), "fine-1"),
        (row("Fine_2"), "Fine_2|device"),
        (row("fine-2", lat=91.0), "91|lat"),
    ],
)
def test_all_or_none(empty: Database, others: list[Row], wrong: Row, said: str) -> None:
    enroll(empty, others)
    with pytest.raises(NotEnrolled, match=said):
        enroll_columns(empty, lambda: columns([row("fine-0"), row("fine-1"), wrong]))
    assert empty.execute("select count(*) from registry.device").fetchone() == (len(others),)


def test_names_are_kept_as_they_are(empty: Database) -> None:
    fleet = [row(f"name-{n}", name=name) for n, name in enumerate(("a\tb", "c\\d\\t", "e\nf\r", "\\N", 'g"h', ""))]
    by_columns(empty, fleet)
    by_columns(empty, [one._replace(device=f"{one.device}-b") for one in fleet])
    kept = [name for (name,) in empty.execute("select name from registry.device order by device")]
    assert kept == [one.name or None for one in fleet for _ in range(2)]
