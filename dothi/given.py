"""Words of the command line as commands take them, without the converter of typer where none is needed.

typer converts with pydantic: importing it and making a converter for each option, given or not, takes longer than most
short commands. Words, paths and small numbers need none of it; whatever else there is, and every mistake, is typer's.
"""

from pathlib import Path
from typing import Any, get_args, get_origin

import typer.core
from typer._param_types import coerce_cli_path

_ITS_OWN = typer.core.build_runtime_param


class Converter(Exception):
    """This value needs the converter of typer."""


class Given:
    """What typer asks for each option and argument."""

    def __init__(self, descriptor: Any) -> None:
        self._descriptor = descriptor

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as the command takes it. Raises what typer does; UnicodeEncodeError: a word is not UTF-8."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        try:
            return taken(value, self._descriptor.annotation, self._descriptor.parameter_info, param, ctx)
        except Converter:
            return _ITS_OWN(self._descriptor).coerce(value, param=param, ctx=ctx)


def taken(value: Any, wanted: Any, info: Any, param: Any, ctx: Any) -> Any:
    """A value that is plain. Raises Converter for all others."""
    if info.parser is not None or info.clamp:
        raise Converter
    if get_origin(wanted) is list and isinstance(value, list | tuple):
        return [taken(one, get_args(wanted)[0], info, param, ctx) for one in value]
    if isinstance(value, str):
        value.encode()
        if wanted is str:
            return value
        if wanted is Path:
            return Path(str(coerce_cli_path(value, info, path_type=None, param=param, ctx=ctx)))
        if wanted is int and value.isascii() and value.isdecimal() and len(value) < 19 and within(int(value), info):
            return int(value)
    elif type(value) is wanted and wanted is not Path:
        return value  # a default
    raise Converter


def within(number: int, info: Any) -> bool:
    """Whether a number is between the bounds of its option."""
    return (info.min is None or number >= info.min) and (info.max is None or number <= info.max)


def install() -> None:
    """From now on, for all commands of this process."""
    typer.core.build_runtime_param = Given  # type: ignore[assignment]
