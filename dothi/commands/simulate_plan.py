"""`dothi simulate plan`: what a whole province would send, and what its data centre would have to hold."""

import csv
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from devices.family import FAMILIES
from dothi import settings
from dothi.commands.options import AsJson
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json
from dothi.storage_plan import PROVINCE_HIGH, PROVINCE_LOW, Disk, Measured, family_bytes, storage_plan
from simulators.behaviour import BehaviourError
from simulators.mix import mix_at
from simulators.plan import PLAN_YEAR, Plan, PlanError, plan
from simulators.province import province_at
from simulators.publish import BrokerError

GB, TB = 1e9, 1e12
DENSITY = 200.0
WIDE = 110
"""Columns of a terminal that a table of families and districts needs."""

ProvinceName = Annotated[str, typer.Option(help="bac-giang, bac-kan, or a province file (FILE.yaml).")]
Density = Annotated[float, typer.Option(help="Devices per 100 people; above 0, up to 1000.")]
MixFile = Annotated[Path | None, typer.Option(help="Shares of sectors and families (FILE.yaml); else the usual ones.")]
Areas = Annotated[list[str] | None, typer.Option(help="Only this district; may be given several times.")]


def plan_command(
    province: ProvinceName = "bac-giang",
    density: Annotated[
        float | None, typer.Option(help="Devices per 100 people; above 0, up to 1000. 200 unless a preset says.")
    ] = None,
    preset: Annotated[
        int | None,
        typer.Option("--preset", "--year", help="The province's target of 2025, 2030 or 2050 (the higher density)."),
    ] = None,
    people_year: Annotated[
        int | None, typer.Option(help="People of this year; 2019: the census. 2030 unless a preset says.")
    ] = None,
    area: Areas = None,
    mix: MixFile = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Every district's families as CSV.")] = False,
    as_json: AsJson = False,
) -> None:
    """Devices, messages and bytes of a whole province by district, sector and family, counted without sending anything.

    Example: dothi simulate plan --province bac-giang --preset 2030
    """
    if as_csv and as_json:
        raise WrongUsage("--csv and --json: give one of the two")
    with spoken_plainly():
        home = province_at(province)
        density, people_year = chosen(
            home.density(preset)[1] if preset is not None else None, density, preset, people_year
        )
        counted = plan(home, density, people_year=people_year, mix=mix_at(mix), areas=area or ())
    if as_csv:
        write_csv(counted)
        return
    stored = on_disk(counted)
    if as_json:
        print_json(counted.document() | {"preset": preset, "storage": stored})
    else:
        print_plan(counted, stored)


def chosen(
    wanted: float | None, density: float | None, preset: int | None, people_year: int | None
) -> tuple[float, int]:
    """Density and year of the people: as given, else of the preset (`wanted`: its density), else the usual ones."""
    if wanted is not None and density is not None:
        raise WrongUsage(f"--preset {preset} and --density {density:g}: give one of the two")
    if wanted is None:
        wanted = DENSITY if density is None else density
    return wanted, people_year if people_year is not None else preset or PLAN_YEAR


@contextmanager
def spoken_plainly() -> Iterator[None]:
    """The refusals of the simulators in the words of the command line."""
    try:
        yield
    except PlanError as error:
        raise WrongUsage(str(error)) from None
    except (BehaviourError, BrokerError) as error:
        raise Refused(str(error)) from None


def on_disk(counted: Plan) -> dict[str, Any]:
    """What the plan's readings take in the database, and of the province's storage. Bytes, days."""
    kept = settings.retention()
    families = [
        family_bytes(FAMILIES[load.family], load.devices, load.interval_s, Measured()) for load in counted.families
    ]
    late_days = settings.late_limits()[""] / 86_400e6
    whole = storage_plan(counted, families, kept, late_days, Disk(round(PROVINCE_HIGH), "the province's data centre"))
    per_day, rest = whole["bytes_per_day"], whole["at_rest_bytes"]
    return {
        "rows_per_day": sum(one.readings_per_day for one in families),
        "bytes_per_row": round(per_day["readings"] / max(1, sum(one.readings_per_day for one in families)), 1),
        "readings_bytes_per_day": per_day["readings"],
        "stored_bytes_per_day": per_day["stored"],
        "retention_days": kept[""] / timedelta(days=1),
        "at_rest_bytes": rest,
        "province_low_bytes": round(PROVINCE_LOW),
        "province_high_bytes": round(PROVINCE_HIGH),
        "days_until_low": round(PROVINCE_LOW / per_day["stored"], 1) if per_day["stored"] else None,
        "days_until_high": round(PROVINCE_HIGH / per_day["stored"], 1) if per_day["stored"] else None,
        "share_at_rest": whole["province_storage"]["share_at_rest"],
    }


def write_csv(counted: Plan) -> None:
    """One row for each district and family that it has."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(
        ("area", "district", "sector", "family", "devices", "interval_s", "messages_per_s", "payload_bytes_per_day")
    )
    for district, numbers in zip(counted.districts, counted.divided.tolist(), strict=True):
        for load, number in zip(counted.families, numbers, strict=True):
            if number:
                rate = number / load.interval_s
                size = round(rate * 86_400 * load.bytes_per_message)
                place = (district.zone.code, district.zone.name_vi, load.sector, load.family)
                writer.writerow((*place, number, f"{load.interval_s:g}", round(rate, 4), size))


def print_plan(counted: Plan, stored: dict[str, Any]) -> None:
    """The plan as tables; GB and TB are powers of 1000."""
    document = counted.document()
    head = f"{counted.province}, people of {counted.people_year}, {counted.density:,.4g} devices per 100 people"
    console.print(head, style="bold", soft_wrap=True, highlight=False)
    print_districts(counted, document)
    print_families(counted, document)
    if console.width >= WIDE and len(counted.districts) > 1:
        print_matrix(counted)
    print_counted(document)
    console.print(told_storage(stored), soft_wrap=True, highlight=False)


def numbers(words: int, columns: Sequence[str]) -> Table:
    """A table whose first columns are words; what follows are numbers."""
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < words else "right", no_wrap=True)
    return table


def print_districts(counted: Plan, document: dict[str, Any]) -> None:
    """Districts, and the province."""
    table = numbers(2, ("area", "district", "people", "devices", "messages/s", "payload GB/day"))
    for one in document["per_district"]:
        table.add_row(one["area"], one["name"], f"{one['people']:,}", *load(one))
    table.add_section()
    table.add_row("", "all", f"{counted.people:,}", *load(document), style="bold")
    console.print(table)


def print_families(counted: Plan, document: dict[str, Any]) -> None:
    """Sectors with their families."""
    table = numbers(1, ("sector, family", "devices", "share %", "interval s", "bytes", "messages/s", "GB/day"))
    for sector in document["sectors"]:
        table.add_row(sector["sector"], *shared(counted, sector, "", ""), style="bold")
        for one in counted.families:
            if one.family in sector["families"]:
                interval, size = f"{one.interval_s:g}", f"{one.bytes_per_message:.0f}"
                table.add_row(f"  {one.family}", *shared(counted, asdict(one), interval, size))
        table.add_section()
    console.print(table)


def shared(counted: Plan, one: dict[str, Any], *between: str) -> tuple[str, ...]:
    """Devices with their share of all, what stands between, messages and bytes."""
    devices, rate, size = load(one)
    return devices, f"{100 * one['devices'] / max(1, counted.devices):.1f}", *between, rate, size


def load(one: dict[str, Any]) -> tuple[str, str, str]:
    """Devices, messages per second, GB of payload a day."""
    return f"{one['devices']:,}", f"{one['messages_per_s']:,.1f}", f"{one['bytes_per_day'] / GB:,.2f}"


def print_matrix(counted: Plan) -> None:
    """Devices of each family in each district."""
    table = numbers(1, ("devices", *(district.zone.code for district in counted.districts)))
    for one, row in zip(counted.families, counted.divided.T.tolist(), strict=True):
        table.add_row(one.family, *(f"{number:,}" if number else "–" for number in row))
    console.print(table)


def print_counted(document: dict[str, Any]) -> None:
    """What the documents count and want."""
    table = numbers(3, ("counted, whatever the density", "family", "source", "devices"))
    for one in document["counted"]:
        table.add_row(one["what"], one["family"], one["source"], f"{one['devices']:,}")
    console.print(table)
    table = numbers(2, ("target of", "source", "devices per 100 people", "devices"))
    for one in document["targets"]:
        density = span(one["density_low"], one["density_high"])
        table.add_row(str(one["year"]), one["source"], density, span(one["devices_low"], one["devices_high"]))
    console.print(table)


def span(low: float, high: float) -> str:
    """From low to high."""
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


def told_storage(stored: dict[str, Any]) -> str:
    """What it means for the province's data centre."""
    days = stored["days_until_high"]
    until = "never full" if days is None else f"full after {days:,.0f} days without retention"
    return (
        f"{stored['rows_per_day'] / 1e6:,.1f} million rows a day at {stored['bytes_per_row']:g} bytes with index, "
        f"{stored['stored_bytes_per_day'] / GB:,.1f} GB a day with rollups: the province's "
        f"{stored['province_high_bytes'] / TB:.0f} TB are {until}; with {stored['retention_days']:g} days of it "
        f"{stored['at_rest_bytes'] / TB:,.2f} TB are taken, {stored['share_at_rest']:.1%}. "
        "`dothi storage plan` says more."
    )
