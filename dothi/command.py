"""How commands are found: a group is a table of names and places, and only what is called is imported.

Each command brings libraries along, and scripts call the short ones often.
"""

import gc
import signal
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from dothi.given import Helped, plainly


class Commands(MutableMapping[str, Any]):
    """The commands of a group by name; looking one up imports it. `places`: of each the module in dothi.commands, with
    `:name` where it is called otherwise there; `here`: those that are made already."""

    def __init__(self, places: Mapping[str, str], here: Mapping[str, Any]) -> None:
        self._places = places
        self._made = {name: plainly(command) for name, command in here.items()}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = made(name, self._places[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._places, **self._made})

    def __len__(self) -> int:
        return len({**self._places, **self._made})


def found(places: Mapping[str, str]) -> type[TyperGroup]:
    """The class of a group whose commands stand at `places`, such as `{"list": "alarms_list:list_"}`."""

    class Found(Helped, TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = Commands(places, self.commands)
            self.params = [plainly(parameter) for parameter in self.params]

        def list_commands(self, ctx: Any) -> list[str]:
            return list(self.commands)

    return Found


def made(name: str, place: str) -> Any:
    """The command at a place: of a function a command, of a Typer a group."""
    module, _, attribute = place.partition(":")
    thing = getattr(import_module(f"dothi.commands.{module}"), attribute or name)
    shelf = typer.Typer(add_completion=False)
    shelf.callback()(lambda: None)
    if isinstance(thing, typer.Typer):
        shelf.add_typer(thing, name=name)
    else:
        shelf.command(name)(thing)
    group: Any = get_command(shelf)
    command = plainly(group.commands[name])
    if not isinstance(getattr(command, "commands", None), Commands):
        ready()
    return command


def ready() -> None:
    """All that a command begins with is imported: from here on there may be garbage, and Ctrl-C is an exception
    (dothi.__main__)."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
