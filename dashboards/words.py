"""The words that dashboards show: one catalogue, both languages."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from devices.documents import parse_yaml

Language = Literal["vi", "en"]
LANGUAGES: tuple[Language, ...] = ("vi", "en")  # the first is the default and has no suffix in uids


@cache
def catalogue() -> dict[str, dict[str, str]]:
    """Every word: key → language → text. Raises ValueError when two files say the same key."""
    words: dict[str, dict[str, str]] = {}
    for file in sorted(files("dashboards").joinpath("catalogue").iterdir(), key=lambda file: file.name):
        more: dict[str, dict[str, str]] = parse_yaml(file.read_text("utf-8"))
        if twice := words.keys() & more.keys():
            raise ValueError(f"{file.name}: {min(twice)} is said in another file as well")
        words |= more
    return words


@dataclass(frozen=True, slots=True)
class Words:
    """The catalogue in one language. A missing key is a fault of the program: KeyError."""

    language: Language

    def __call__(self, key: str) -> str:
        """The text of a key."""
        return catalogue()[key][self.language]

    def has(self, key: str) -> bool:
        """Whether the catalogue knows a key."""
        return key in catalogue()

    def state(self, name: str) -> str:
        """A metric's state in this language, or its own name where nobody has translated it yet."""
        return catalogue().get(f"state.{name}", {}).get(self.language, name)

    @property
    def other(self) -> "Words":
        """The same words in the other language."""
        return Words("en" if self.language == "vi" else "vi")

    def uid(self, stem: str) -> str:
        """The dashboard's uid: the stem in Vietnamese, with the suffix -en in English."""
        return stem if self.language == LANGUAGES[0] else f"{stem}-{self.language}"
