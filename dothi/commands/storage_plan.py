"""`dothi storage plan`: what a province takes on disk."""

import re
import shutil
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer

from devices.family import FAMILIES
from dothi import settings
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json, print_table
from dothi.settings import stack_at
from dothi.storage_plan import Disk, Measured, family_bytes, storage_plan
from ingest.sizes import row_bytes
from simulators.plan import PlanError
from simulators.plan import plan as load_of

GB, TB = 1e9, 1e12
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP])?B?")


def plan(
    folder: Folder = None,
    province: Annotated[str, typer.Option(help="bac-giang or bac-kan.")] = "bac-giang",
    density: Annotated[float, typer.Option(help="Devices per 100 people; above 0, up to 1000.")] = 200.0,
    disk: Annotated[
        str | None, typer.Option(help="A disk of so many bytes, as 8TB or 500GB; else what is free on this one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bytes per day of a whole province, days on this disk, what each choice saves; measured where a stack runs.

    Example: dothi storage plan --density 200 --disk 40TB
    """
    space = wanted_disk(disk, folder)
    try:
        load = load_of(province, density)
    except PlanError as error:
        raise WrongUsage(str(error)) from None
    measured = measured_rows(folder)
    families = [
        family_bytes(FAMILIES[one.family], one.devices, one.interval_s, measured[one.family]) for one in load.families
    ]
    late_days = settings.late_limits()[""] / 86_400e6
    document = storage_plan(load, families, settings.retention(), late_days, space)
    if as_json:
        print_json(document)
    else:
        print_plan(document)


def measured_rows(folder: Path | None) -> dict[str, Measured]:
    """Bytes per row as a stack that runs has them, by family; nothing measured where none does."""
    try:
        stack = stack_at(folder)
    except Refused:
        if folder is not None:
            raise
        return dict.fromkeys(FAMILIES, Measured())
    with psycopg.connect(stack.database, autocommit=True, connect_timeout=5) as connection:
        return {family: Measured(*row_bytes(connection, family)) for family in FAMILIES}


def wanted_disk(text: str | None, folder: Path | None) -> Disk:
    """The disk given, or the one that the stack's folder is or would be on. Raises WrongUsage.

    >>> wanted_disk("1.5TB", None).free
    1500000000000
    """
    if text is None:
        place = next(
            one for one in ((folder or settings.DEFAULT_FOLDER).absolute(), *Path.cwd().parents) if one.exists()
        )
        return Disk(shutil.disk_usage(place).free, str(place))
    found = SIZE.fullmatch(text.strip())
    size = int(float(found[1]) * 1000 ** ("KMGTP".index(found[2]) + 1 if found[2] else 0)) if found else 0
    if size <= 0:
        raise WrongUsage(f"--disk {text}: allowed: bytes, or a size like 500GB or 40TB")
    return Disk(size, "--disk")


def print_plan(plan: dict[str, Any]) -> None:
    """The plan for people; GB and TB are powers of 1000."""
    print_table(
        ("family", "devices", "readings/day", "bytes each", "readings GB/day", "rollups GB/day", "lake GB/day"),
        [
            (
                one["family"],
                f"{one['devices']:,}",
                f"{one['readings_per_day']:,}",
                f"{one['bytes_per_reading']}{'' if one['measured'] else '*'}",
                f"{one['readings'] / GB:.2f}",
                f"{(one['rollup_1h'] + one['rollup_1d']) / GB:.2f}",
                f"{one['lake'] / GB:.2f}",
            )
            for one in plan["per_family"]
        ],
        f"{plan['province']}, {plan['density']:g} devices per 100 people: {plan['devices']:,} devices",
    )
    if len(plan["measured"]) < len(plan["per_family"]):
        console.print("* reckoned from the layout of pages; a stack that runs and has 100,000 rows of it is measured")
    disk, whole = plan["disk"], plan["province_storage"]
    fits = "fits" if disk["fits_with_retention"] else "does not fit"
    console.print(
        f"{plan['bytes_per_day']['stored'] / GB:,.1f} GB a day, {plan['bytes_per_day']['wal'] / GB:,.1f} GB of log. "
        f"Disk ({disk['where']}): {disk['bytes'] / GB:,.0f} GB, {disk['days_without_retention']:g} days without "
        f"retention; with it {plan['at_rest_bytes'] / TB:,.2f} TB are needed, which {fits}."
    )
    print_table(
        ("choice", "TB after ten years", "saves TB", "remark"),
        [
            (one["choice"], f"{one['bytes'] / TB:,.1f}", f"{one['saves_bytes'] / TB:,.1f}", one["remark"])
            for one in plan["choices"]
        ],
    )
    console.print(
        f"Of the province's {whole['low_bytes'] / TB:.0f} to {whole['high_bytes'] / TB:.0f} TB: "
        f"{whole['share_at_rest']:.1%} with retention; full after {whole['days_without_retention']:,} days without it, "
        f"after {whole['years_with_lake']:,} years with retention and lake."
    )
