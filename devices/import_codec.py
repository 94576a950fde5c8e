"""A vendor's codec with its examples → the draft of a profile, in which every guess is marked `# CHECK`."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from devices.codecs.js import Decoded, JsCodec
from devices.documents import parse_yaml
from devices.family import FAMILIES, Family
from devices.guess import score
from devices.guess_fields import FieldGuess, field_guesses, matched_fields
from devices.vendor_examples import Tried

MAX_EXAMPLES = 12
# What YAML may not hold as it is, and what ends a line in it.
UNPRINTABLE = re.compile("[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./ -]*[A-Za-z0-9_]|[A-Za-z_]")


class Draft(NamedTuple):
    """A profile as it will be written, but for its examples; `unmapped`: fields that became no metric, by path."""

    name: str
    title: str
    family: Family
    guessed: bool
    fields: list[FieldGuess]
    unmapped: list[str]
    codec: JsCodec
    file: str


def documents_of(tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """What the codec gave, one document each."""
    given = [one.said.data for one in tried if isinstance(one.said, Decoded)]
    return [document for data in given for document in (data if isinstance(data, list) else [data])]


def draft_of(name: str, title: str, file: str, codec: JsCodec, tried: Sequence[Tried], family: str | None) -> Draft:
    """The draft; the family is the one that explains most fields where none is told. Raises ValueError."""
    documents = documents_of(tried)
    chosen = FAMILIES[family] if family else family_of(documents)
    fields = field_guesses(chosen, documents)
    if not fields:
        named = ", ".join(sorted({key for document in documents for key in document})) or "nothing"
        raise ValueError(f"no field is known as a metric of {chosen.name}; the codec gives {named}; tell --family")
    taken = {path.split(".")[0] for field in fields for path in field.paths}
    unmapped = list(dict.fromkeys(str(key) for document in documents for key in document if str(key) not in taken))
    return Draft(name, title, chosen, family is None, fields, unmapped, codec, file)


def family_of(documents: Sequence[dict[str, Any]]) -> Family:
    """The family whose metrics explain most of what the examples hold. Raises ValueError when none explains any."""

    def explained(family: Family) -> float:
        return sum(score(family, matched_fields(family, document)) for document in documents)

    best = max(FAMILIES.values(), key=explained)
    if explained(best) <= 0:
        raise ValueError("no field is known to any family; expected one of them with --family")
    return best


def profile_text(draft: Draft, examples: Sequence[dict[str, Any]]) -> str:
    """The YAML of the profile."""
    return "\n".join([*head(draft), *rows(draft), *example_lines(examples)]) + "\n"


def head(draft: Draft) -> Iterator[str]:
    """What stands above the table of fields."""
    yield "# Drafted from a vendor's codec and its examples. CHECK marks a guess: look at it, then remove the mark."
    yield f"title: {flow({'vi': draft.title, 'en': draft.title})}  # CHECK"
    yield f"source: {flow(draft.codec.name)}  # CHECK: where codec and examples were published, with their licence"
    yield f"family: {draft.family.name}" + ("  # CHECK: it explains most of the fields" if draft.guessed else "")
    yield "route: lorawan"
    yield "interval_s: 600  # CHECK: seconds between two uplinks"
    yield f"codec: {flow({'js': {'file': draft.file, 'sha256': draft.codec.sha256}})}"
    yield "roots: [data]"


def rows(draft: Draft) -> Iterator[str]:
    """The table of fields."""
    yield "fields:"
    for field in draft.fields:
        entry: dict[str, Any] = {
            "metric": field.metric,
            "path": field.paths[0] if len(field.paths) == 1 else field.paths,
        }
        entry |= {"unit": field.unit} if field.unit else {}
        entry |= {"map": field.states} if field.states else {}
        yield f"  - {flow(entry)}  # CHECK: {comment(field.note)}"
    if draft.unmapped:
        yield f"# No metric, kept in extra: {comment(', '.join(draft.unmapped))}"


def example_lines(examples: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The examples, each over a few lines."""
    yield (
        "examples:" if examples else "examples: []  # CHECK: at least a full one, a partial one and one that is refused"
    )
    for example in examples:
        for place, (key, value) in enumerate(example.items()):
            text = json.dumps(value) if key == "frame" else flow(value)
            yield f"  {'-' if place == 0 else ' '} {key}: {text}"


def comment(text: str) -> str:
    """A text of the vendor's in one line, from which nothing can break out."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:300]


def flow(value: Any) -> str:
    """A value in one line of YAML 1.2, plain where that is read back as it was."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and PLAIN.fullmatch(value) and parse_yaml(value) == value:
        return value
    return UNPRINTABLE.sub(lambda letter: f"\\U{ord(letter[0]):08x}", json.dumps(value, ensure_ascii=False))
