"""What a board is drawn with: the words of one language, the data source, and the board's statements."""

from dataclasses import dataclass, field, replace

from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import common

from dashboards.outlines import Outlines, ours
from dashboards.pieces import Pieces
from dashboards.statements import statements
from dashboards.words import Words

SOURCE_UID = "dothi-timescaledb"


@dataclass(frozen=True, slots=True)
class Source:
    """What boards show comes from here: the data source that every panel asks (`kind` is the plugin id, which differs
    between Grafana versions), and the outlines of districts on maps."""

    kind: str
    outlines: Outlines = field(default_factory=ours)

    @property
    def ref(self) -> common.DataSourceRef:
        """What panels and queries carry."""
        return common.DataSourceRef(type_val=self.kind, uid=SOURCE_UID)


@dataclass(frozen=True, slots=True)
class Sql(variants.Dataquery):
    """A query in Grafana's SQL editor format; the SDK has no class for PostgreSQL. `form`: `table` or `time_series`."""

    source: Source
    sql: str
    form: str
    ref_id: str = "A"

    def to_json(self) -> dict[str, object]:
        """The shape that the data source reads."""
        return {
            "refId": self.ref_id,
            "datasource": self.source.ref,
            "editorMode": "code",
            "format": self.form,
            "rawQuery": True,
            "rawSql": self.sql,
        }


@dataclass(frozen=True, slots=True)
class Pen:
    """Draws one board: a panel's key names its statement, its words, or both.

    `fill`: what stands for the names in braces, in statements and in words.
    """

    words: Words
    source: Source
    file: str
    fill: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A statement of the board's own file, else of the common one, filled in. KeyError: there is none."""
        own, shared = statements(self.file), statements("common") | statements("families")
        text = own[name] if name in own else shared[name]
        return text.format_map(Pieces(self.fill))

    def rows(self, name: str, ref_id: str = "A") -> Sql:
        """A statement whose answer is a table."""
        return Sql(self.source, self.text(name), "table", ref_id)

    def lines(self, name: str) -> Sql:
        """A statement whose answer is one or several series; its first column is `time`."""
        return Sql(self.source, self.text(name), "time_series")

    def say(self, key: str) -> str:
        """A word of the catalogue, filled in."""
        text = self.words(key)
        return text.format(**self.fill) if "{" in text else text

    def title(self, key: str, column: str) -> str:
        """The title of a column: the panel's own, else the one that all panels share."""
        return self.say(f"{key}.{column}") if self.words.has(f"{key}.{column}") else self.words(f"column.{column}")

    def with_(self, **more: str) -> "Pen":
        """The same pen with more filled in."""
        return replace(self, fill=self.fill | more)
