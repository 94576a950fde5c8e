"""The command line: the first table of commands, and the one rule for errors."""

import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from dothi import __version__
from dothi.command import found
from dothi.errors import Refused

# Command → where it is, in dothi.commands.
PLACES = {name: name for name in ("up", "status", "migrate", "doctor")} | {
    name: f"{name}:app" for name in ("ingest", "analytics", "storage", "devices", "alarms", "simulate", "dashboards")
}


def assemble() -> typer.Typer:
    """The application with all commands."""
    app = typer.Typer(name="dothi", cls=found(PLACES), add_completion=False, pretty_exceptions_enable=False)
    app.callback(invoke_without_command=True)(root)
    return app


def version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        sys.stdout.write(f"dothi {__version__}\n")
        raise typer.Exit


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
        code = assemble()(standalone_mode=False)
    except Refused as refusal:
        stop(str(refusal), refusal.exit_code)
    except TyperException as misuse:
        said = misused(misuse)
        if not said:  # a group without a command has shown its help
            raise SystemExit(2) from None
        stop(f"{said} (called: dothi {' '.join(sys.argv[1:])})", 2)
    except (typer.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; nobody is left to tell
        raise SystemExit(1) from None
    except UnicodeEncodeError as error:  # a word of the command line: everything else was read as UTF-8
        stop(f"{error.object[:80]!r} is not UTF-8", 2)
    except Exception as error:
        stop(explained(error), 1)
    else:
        raise SystemExit(code if isinstance(code, int) else 0)


def misused(misuse: TyperException) -> str:
    """What typer says, on one line; of what is missing also what it is, and how the command is called."""
    said = " ".join(misuse.format_message().split())
    parameter, context = getattr(misuse, "param", None), getattr(misuse, "ctx", None)
    if not said.startswith("Missing ") or parameter is None or context is None:
        return said
    what = getattr(parameter, "help", None) or "a value"
    example = (context.command.help or "").partition("Example:")[2].strip().partition("\n")[0]
    return f"{said.rstrip('.')}; expected: {what.rstrip('.')}" + (f"; as in: {example}" if example else "")


def explained(error: Exception) -> str:
    """One line about what no command foresaw: the database's doing, or ours."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    if type(error).__module__.startswith("psycopg"):
        return f"database: {said}"
    return f"a fault of dothi itself, please report it: {type(error).__name__}: {said}"


def stop(message: str, exit_code: int) -> None:
    """One line for a person, and the exit code."""
    from dothi.output import visible

    sys.stderr.write(f"dothi: {visible(message)}\n")
    raise SystemExit(exit_code)
