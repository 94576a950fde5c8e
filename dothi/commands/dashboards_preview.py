"""`dothi dashboards preview`: the dashboards without a Grafana."""

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import psycopg
import typer

from dothi.commands.dashboards_options import OutlineFile, outlines_at
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json
from dothi.settings import stack_at

if TYPE_CHECKING:
    from dashboards.outlines import Outlines
    from dashboards.preview.asking import Asked


def preview(
    out: Annotated[Path, typer.Argument(metavar="OUT.html", help="The page that is written.")],
    board: Annotated[
        list[str] | None, typer.Option(metavar="UID", help="Only this dashboard; may be given several times.")
    ] = None,
    lang: Annotated[str, typer.Option(help="vi or en.")] = "vi",
    var: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A choice of a variable; several: VALUE,VALUE.")
    ] = None,
    outlines: OutlineFile = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Draw the dashboards into one HTML page from their own definitions and the live database.

    The page needs no network and no Grafana; it says that it is a preview. Exit code 1 when a panel's query failed.

    Example: dothi dashboards preview wall.html --board dothi-wall --dir .dothi
    """
    from dashboards.preview.asking import ask_board
    from dashboards.preview.database import Database
    from dashboards.preview.page import page

    wanted = choices(var or [])
    chosen = boards_of(lang, board or [], outlines_at(outlines))
    now = datetime.now(UTC)
    try:
        database = Database(stack_at(folder).reader)
    except psycopg.OperationalError as error:
        raise Refused(f"the database does not answer: {str(error).strip().splitlines()[0]}") from None
    with closing(database):
        asked = [ask_board(one, database.ask, now, wanted) for one in chosen]
    try:
        out.write_text(page(asked, now, "en" if lang == "en" else "vi"), "utf-8")
    except OSError as error:
        raise Refused(
            f"OUT.html: {out} cannot be written: {error.strerror}; give a file in a folder of yours"
        ) from None
    tell(out, asked, as_json)


def choices(given: list[str]) -> dict[str, list[str]]:
    """The variables that were chosen. Raises WrongUsage."""
    for one in given:
        if "=" not in one:
            raise WrongUsage(f"--var: {one} is not allowed, NAME=VALUE is needed")
    return {name: value.split(",") for name, _, value in (one.partition("=") for one in given)}


def boards_of(lang: str, uids: list[str], outlines: "Outlines | None" = None) -> list[dict[str, Any]]:
    """The dashboards of a language, or those with the uids. Raises WrongUsage."""
    from dashboards.tree import dashboards
    from dashboards.words import LANGUAGES

    if lang not in LANGUAGES:
        raise WrongUsage(f"--lang: {lang} is not known; allowed are {', '.join(LANGUAGES)}")
    built = dashboards("grafana-postgresql-datasource", outlines)
    every = {board["uid"]: board for board in map(json.loads, built.values())}
    suffixes = tuple(f"-{one}" for one in LANGUAGES[1:])
    for uid in uids:
        if uid not in every:
            raise WrongUsage(f"--board: {uid} is not known; allowed are {', '.join(every)}")
    if uids:
        return [every[f"{uid}-{lang}" if f"{uid}-{lang}" in every else uid] for uid in uids]
    return [board for uid, board in every.items() if uid.endswith(suffixes) == (lang != LANGUAGES[0])]


def tell(out: Path, asked: "list[Asked]", as_json: bool) -> None:
    """What was drawn, and which panels have no answer. Raises Refused when there are such."""
    failed = [
        {"board": one.board["uid"], "panel": answered.panel["title"], "error": answered.error}
        for one in asked
        for answered in one.panels
        if answered.error
    ]
    panels = sum(len(one.panels) for one in asked)
    if as_json:
        print_json({"written": str(out), "boards": len(asked), "panels": panels, "failed": failed})
    else:
        console.print(f"wrote {out}: {len(asked)} dashboards, {panels} panels", soft_wrap=True, highlight=False)
        for one in failed:
            console.print(
                f"{one['board']} · {one['panel']}: {one['error']}", soft_wrap=True, highlight=False, markup=False
            )
    if failed:
        raise Refused(f"{len(failed)} of {panels} panels have no answer")
