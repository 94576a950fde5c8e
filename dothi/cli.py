"""The command line: every group in one place, and the one rule for errors."""

import sys
from typing import Annotated

import psycopg
import typer
from typer.exceptions import TyperException

from dothi import __version__
from dothi.commands import catalogue, dashboards, devices, doctor, ingest, migrate, simulate, status, up
from dothi.errors import Refused
from dothi.migrations import one_line

app = typer.Typer(
    name="dothi",
    help="IoT telemetry platform of a province: MQTT → TimescaleDB → Grafana.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(up.up)
app.command()(status.status)
app.command()(migrate.migrate)
app.command()(doctor.doctor)
app.add_typer(ingest.app, name="ingest")
app.add_typer(devices.app, name="devices")
app.add_typer(simulate.app, name="simulate")
app.add_typer(dashboards.app, name="dashboards")
for command in (catalogue.families, catalogue.profiles, catalogue.check, catalogue.decode):
    devices.app.command()(command)


def version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        sys.stdout.write(f"dothi {__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """IoT telemetry platform of a province: MQTT → TimescaleDB → Grafana.

    Example: dothi up --dir .dothi --people 2000 --density 50
    """
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


def main() -> None:
    """Run a command. Every refusal is one line on stderr and an exit code; a traceback never reaches the user."""
    try:
        code = app(standalone_mode=False)
    except Refused as refusal:
        stop(str(refusal), refusal.exit_code)
    except TyperException as misuse:
        stop(f"{' '.join(misuse.format_message().split())} (called: dothi {' '.join(sys.argv[1:])})", 2)
    except (typer.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    except psycopg.OperationalError as error:
        stop(f"database: {one_line(error)}", 1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; nobody is left to tell
        raise SystemExit(1) from None
    except Exception as error:
        stop(f"a fault of dothi itself, please report it: {type(error).__name__}: {one_line(error)}", 1)
    else:
        raise SystemExit(code if isinstance(code, int) else 0)


def stop(message: str, exit_code: int) -> None:
    """One line for a person, and the exit code."""
    sys.stderr.write(f"dothi: {message}\n")
    raise SystemExit(exit_code)
