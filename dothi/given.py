"""Words of the command line as commands take them, without the converter of typer where none is needed.

typer converts with pydantic: importing it and making a converter for each option, given or not, takes longer than most
short commands. Words, paths and small numbers need none of it; whatever else there is, and every mistake, is typer's.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

Thing = TypeVar("Thing")
AS_TYPER_HAS_THEM = {
    **{"exists": False, "file_okay": True, "dir_okay": True, "readable": True, "writable": False},
    **{"resolve_path": False, "allow_dash": False, "path_type": None},
}


class Converter(Exception):
    """This value needs the converter of typer."""


class Given:
    """What typer asks for each option and argument. `converter` makes that of typer."""

    def __init__(self, descriptor: Any, converter: Callable[[], Any]) -> None:
        self._descriptor = descriptor
        self._converter = converter

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as the command takes it. Raises what typer does; UnicodeEncodeError: a word is not UTF-8."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        try:
            return taken(value, self._descriptor.annotation, self._descriptor.parameter_info)
        except Converter:
            return self._converter().coerce(value, param=param, ctx=ctx)


class Option(TyperOption):
    """An option that converts by itself what is plain."""

    def get_runtime_param(self) -> Any:
        return Given(self.type_descriptor, super().get_runtime_param)


class Argument(TyperArgument):
    """An argument that converts by itself what is plain."""

    def get_runtime_param(self) -> Any:
        return Given(self.type_descriptor, super().get_runtime_param)


class Helped:
    """A command whose --help converts by itself, too."""

    helped: Any = None

    def get_help_option(self, ctx: Any) -> Any:
        if self.helped is None:
            self.helped = plainly(super().get_help_option(ctx))  # type: ignore[misc]  # beside a command of typer
        return self.helped


class Command(Helped, TyperCommand):
    """A command whose options convert by themselves what is plain."""


class Group(Helped, TyperGroup):
    """A group of such."""


OURS: dict[type[Any], type[Any]] = {
    **{TyperOption: Option, TyperArgument: Argument},
    **{TyperCommand: Command, TyperGroup: Group},
}


def plainly(thing: Thing) -> Thing:
    """The same option, argument, command or group as one of ours, with all that is in it; of a kind that is unknown
    here, and where there is none, as it is."""
    made = thing
    if type(thing) in OURS:
        made = object.__new__(OURS[type(thing)])
        vars(made).update(vars(thing))
    if isinstance(made, TyperCommand | TyperGroup):
        made.params = [plainly(parameter) for parameter in made.params]
    if isinstance(made, Group):
        made.commands = {name: plainly(command) for name, command in made.commands.items()}
    return made


def taken(value: Any, wanted: Any, info: Any) -> Any:
    """A value that is plain. Raises Converter for all others."""
    if info.parser is not None or info.clamp:
        raise Converter
    if get_origin(wanted) is list and isinstance(value, list | tuple):
        return [taken(one, get_args(wanted)[0], info) for one in value]
    if isinstance(value, str):
        value.encode()
        if wanted is str:
            return value
        if wanted is Path and usual(value, info):
            return Path(value)
        if wanted is int and value.isascii() and value.isdecimal() and len(value) < 19 and within(int(value), info):
            return int(value)
    elif type(value) is wanted and wanted is not Path:
        return value  # a default
    raise Converter


def usual(path: str, info: Any) -> bool:
    """Whether nothing is asked of a path but that we may read it if it is there."""
    asked = any(getattr(info, name) is not value for name, value in AS_TYPER_HAS_THEM.items())
    return not asked and (os.access(path, os.R_OK) or not os.path.exists(path))  # noqa: PTH110  typer's own question


def within(number: int, info: Any) -> bool:
    """Whether a number is between the bounds of its option."""
    return (info.min is None or number >= info.min) and (info.max is None or number <= info.max)
