"""An index that is reckoned from a file: its columns, its options, its results."""

from collections.abc import Callable, Mapping
from datetime import date
from math import inf
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Columns = Mapping[str, npt.NDArray[Any]]
Result = dict[str, Any]


class Column(NamedTuple):
    """A column of the file. `kind`: `number` becomes float64, `text` str, `time` datetime64[us] of local time.

    `unit`: as written in a head; `low`, `high`: what a number may be, both included; `gaps`: whether a cell may be
    empty (NaN, NaT, ""); `needed`: whether the column must be there (one that is not is all gaps).
    """

    name: str
    unit: str = ""
    says: str = ""
    kind: Literal["number", "text", "time"] = "number"
    low: float = -inf
    high: float = inf
    gaps: bool = False
    needed: bool = True


class Options(NamedTuple):
    """What the command line said; None: nothing. `lat`: degrees north; `on`: the day whose legal tables count; `hours`:
    whether the `end` or the `start` of an hour names it."""

    lat: float | None = None
    province: str | None = None
    on: date | None = None
    hours: str | None = None


class Kind(NamedTuple):
    """`reckon` gives one result per row, in order; it raises ValueError with a sentence on what no column rules out.

    `results`: the columns of a result; further ones may be in it. `options`: the fields of Options it heeds.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    results: tuple[Column, ...]
    reckon: Callable[[Columns, Options], list[Result]]
    options: tuple[str, ...] = ()


def results_from(columns: Mapping[str, Any]) -> list[Result]:
    """One result per row from columns of results; what is not finite is None.

    >>> results_from({"fwi": [1.5, float("nan")]})
    [{'fwi': 1.5}, {'fwi': None}]
    """
    lists = [[plain(cell) for cell in np.asarray(column).tolist()] for column in columns.values()]
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*lists, strict=True)]


def plain(cell: object) -> object:
    """A cell as JSON knows it."""
    return None if isinstance(cell, float) and not np.isfinite(cell) else cell
