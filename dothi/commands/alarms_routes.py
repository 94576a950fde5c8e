"""`dothi alarms routes …` and `dothi alarms deliveries …`: who is told of alarms, and what became of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import psycopg
import typer
from psycopg.rows import dict_row

from dothi import settings
from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused, WrongUsage
from dothi.output import print_json, print_line, print_table
from dothi.settings import stack_at

if TYPE_CHECKING:
    from analytics.delivery.letter import News
    from analytics.delivery.routes import Receiver, Routes

MOST = 10_000
STATES = ("waiting", "given_up", "answered")
SUMMARY = """
select receiver, count(*) filter (where state = 'waiting') as waiting,
       count(*) filter (where state = 'given_up') as given_up, count(*) filter (where state = 'answered') as answered,
       min(created) filter (where state = 'waiting') as oldest,
       min(next_try) filter (where state = 'waiting') as next_try,
       (array_agg(said order by id desc) filter (where state <> 'answered' and said is not null))[1] as said
from city.alarm_delivery group by receiver order by receiver
"""
LISTED = """
select * from city.alarm_delivery
where state = any(%(states)s) and (%(receiver)s::text is null or receiver = %(receiver)s)
order by id desc limit %(most)s
"""

routes = typer.Typer(help="Who is told of which alarms.", no_args_is_help=True)
deliveries = typer.Typer(help="What receivers were told, and what waits.", invoke_without_command=True)
RoutesFile = Annotated[Path | None, typer.Option("--file", help="A file of routes; else that of DOTHI_ALARM_ROUTES.")]


@routes.callback()
def routes_group() -> None:
    """Who is told of which alarms; docs/alarm-delivery.md describes the file.

    Example: dothi alarms routes check routes.yaml
    """


@routes.command()
def check(file: Annotated[Path, typer.Argument(help="A file of routes.")], as_json: AsJson = False) -> None:
    """Read a file of routes as the platform would, and say where it leads; nothing is sent.

    Example: dothi alarms routes check routes.yaml
    """
    show(settings.alarm_routes(file), as_json)


@routes.command("list")
def list_routes(as_json: AsJson = False) -> None:
    """The routes of DOTHI_ALARM_ROUTES.

    Example: dothi alarms routes list
    """
    show(settings.alarm_routes(), as_json)


def show(found: "Routes", as_json: bool) -> None:
    """Routes and receivers; nothing secret."""
    receivers = {name: address(one) for name, one in found.receivers.items()}
    idle = sorted(set(receivers) - {name for route in found.routes for name in route.to})
    if as_json:
        import msgspec

        print_json({"receivers": receivers, "routes": msgspec.to_builtins(found.routes), "without_route": idle})
        return
    if not found.receivers:
        print_line("no routes: alarms go out by MQTT alone")
        return
    rows = []
    for number, route in enumerate(found.routes, 1):
        limits = (route.severities, route.kinds, route.areas, [*route.days, *filter(None, [route.hours])], route.what)
        rows.append((route.name or number, " ".join(route.to), *(" ".join(one) or "all" for one in limits)))
    print_table(("route", "to", "severities", "kinds", "areas", "hours (local)", "what"), rows)
    rows = [(name, receivers[name], found.receivers[name].language) for name in receivers]
    print_table(("receiver", "address", "language"), rows)
    if idle:
        print_line(f"no route leads to {', '.join(idle)}")


def address(receiver: "Receiver") -> str:
    """Where a receiver is, without what may be secret in its address."""
    from urllib.parse import urlsplit

    from analytics.delivery.routes import Webhook

    if isinstance(receiver, Webhook):
        parts = urlsplit(receiver.url)
        return f"{parts.scheme}://{parts.netloc}" if receiver.url else f"${receiver.url_env}"
    return f"{', '.join(receiver.to)} by {receiver.server}"


@routes.command("test")
def try_receiver(
    receiver: Annotated[str, typer.Argument(help="Name of a receiver.")],
    file: RoutesFile = None,
    as_json: AsJson = False,
) -> None:
    """Send one message that says it is a test, and print the answer; needs no stack. Exit 1 when there is none.

    Example: dothi alarms routes test duty-desk --file routes.yaml
    """
    import asyncio

    from analytics.delivery.channel import Undelivered

    found = settings.alarm_routes(file)
    if receiver not in found.receivers:
        raise WrongUsage(
            f"receiver {receiver}: unknown; allowed: {', '.join(found.receivers) or 'none, no file given'}"
        )
    try:
        said = asyncio.run(sent(found, receiver))
    except Undelivered as error:
        raise Refused(f"{receiver}: {error.said}") from None
    if as_json:
        print_json({"receiver": receiver, "said": said})
    else:
        print_line(f"{receiver}: {said}")


async def sent(found: "Routes", name: str) -> str:
    """Send the test message; what was answered. Raises Undelivered."""
    from analytics.delivery.letter import message
    from analytics.delivery.teller import channel_to

    receiver = found.receivers[name]
    async with channel_to(receiver, found.secrets[name]) as channel:
        return await channel.send(message(test_news(), receiver.language))


def test_news() -> "News":
    """News of no alarm."""
    from analytics.delivery.letter import News

    now = datetime.now(UTC)
    alarm: dict[str, Any] = {
        "id": 0,
        "kind": "test",
        "severity": "info",
        "device": None,
        "area": None,
        "raised": now,
        "message": "Tin thử đường gửi báo động, không cần xử lý.",
        "message_en": "A test of how alarms are sent; nothing needs to be done.",
    }
    return News(str(uuid4()), "test", now, "info", None, None, None, alarm)


@deliveries.callback()
def list_deliveries(
    context: typer.Context,
    folder: Folder = None,
    receiver: Annotated[str | None, typer.Option(help="Only what this receiver was told.")] = None,
    state: Annotated[str | None, typer.Option(help=f"Only these: {', '.join(STATES)}.")] = None,
    most: Annotated[int, typer.Option(help=f"The newest so many, at most {MOST}.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What waits to be told or was given up, and why; `--state answered`: what was told.

    Example: dothi alarms deliveries --dir .dothi --receiver duty-desk
    """
    if context.invoked_subcommand is not None:
        return
    if state is not None and state not in STATES:
        raise WrongUsage(f"--state {state}: allowed: {', '.join(STATES)}")
    if not 1 <= most <= MOST:
        raise WrongUsage(f"--most {most}: allowed: 1 to {MOST}")
    wanted = {"states": [state] if state else list(STATES[:2]), "receiver": receiver, "most": most}
    with psycopg.connect(stack_at(folder).reader, row_factory=dict_row, connect_timeout=5) as connection:
        receivers = connection.execute(SUMMARY).fetchall()
        rows = connection.execute(LISTED, wanted).fetchall()
    if as_json:
        print_json({"receivers": receivers, "deliveries": rows})
        return
    heads = ("receiver", "waiting", "given up", "answered", "oldest waiting", "said last")
    columns = ("receiver", "waiting", "given_up", "answered", "oldest", "said")
    print_table(heads, [[row[column] for column in columns] for row in receivers])
    if rows:
        print_table(("receiver", "alarm", "what", "state", "tries", "next try / end", "said"), map(line, rows))
    elif not receivers:
        print_line("nobody was told anything yet, apart from MQTT")


def line(row: dict[str, Any]) -> list[object]:
    """A delivery as a row of a table; when it was settled stands where a next try would."""
    when = row["next_try"] if row["state"] == "waiting" else row["settled"]
    return [row["receiver"], row["alarm"], row["what"], row["state"], row["attempts"], when, row["said"]]


@deliveries.command()
def retry(
    folder: Folder = None,
    receiver: Annotated[str | None, typer.Option(help="Only what this receiver was told.")] = None,
    as_json: AsJson = False,
) -> None:
    """Try again at once what was given up or waits for its next try.

    Example: dothi alarms deliveries retry --dir .dothi --receiver duty-desk
    """
    with psycopg.connect(stack_at(folder).database, autocommit=True, connect_timeout=5) as connection:
        row = connection.execute("select ops.retry_deliveries(%s)", (receiver,)).fetchone()
    again = row[0] if row else 0
    if as_json:
        print_json({"again": again})
    else:
        print_line(f"{again} tried again")
