"""Pieces of SQL that statements are put together from, kept in `sql/pieces.sql`."""

from collections.abc import Mapping

from dashboards.statements import statements


class Piece:
    """A piece with what it is about still open: `{areas[meter.active_power_avg]}` in a statement fills it in."""

    def __init__(self, text: str, open_names: tuple[str, ...], fill: Mapping[str, object]) -> None:
        self._text, self._open, self._fill = text, open_names, fill

    def __getitem__(self, about: str) -> str:
        """`about`: a value for each open name, dots between. ValueError: another number of them."""
        text = self._text
        for name, value in zip(self._open, about.split("."), strict=True):
            text = text.replace(f"{{{name}}}", value)
        return text.format_map(self._fill)

    def __str__(self) -> str:
        return self._text.format_map(self._fill)


class Pieces(dict[str, object]):
    """`fill` and every piece of `sql/pieces.sql`, as a statement's names in braces are looked up."""

    def __init__(self, fill: Mapping[str, object]) -> None:
        super().__init__(fill)
        for head, text in statements("pieces").items():
            name, _, names = head.rstrip(")").partition("(")
            self[name] = Piece(text, tuple(names.split(", ")) if names else (), self)

    def piece(self, name: str, about: str) -> str:
        """A piece, filled in."""
        found = self[name]
        assert isinstance(found, Piece)  # a statement's own names are no pieces
        return found[about]
