"""Frames → what a vendor's codec makes of them, or why nothing."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from devices.codecs.js.engine import ENGINE, Engine
from devices.codecs.js.source import JsCodec
from devices.codecs.js.worker_process import Answer, Frame
from devices.codecs.json_text import decode_json
from devices.raw import shown
from devices.rejected import Reason, Rejected


class Decoded(NamedTuple):
    """What a codec said of a frame: `data`, its document or list of documents; `warnings`, its own words; `slow`:
    the codec keeps state or changes built-ins, so that each message costs it a fresh context (about 1.5 ms)."""

    data: dict[str, Any] | list[dict[str, Any]]
    warnings: list[str]
    slow: bool = False


def decode_many(codec: JsCodec, frames: Sequence[Frame], engine: Engine = ENGINE) -> list[object]:
    """A document (or list of documents) or a Rejected per frame, in order; never raises.

    Warnings of the codec stand in the document under `warnings`, unless it has a field of that name.
    """
    return [document_of(said) for said in decode_each(codec, frames, engine)]


def document_of(said: Decoded | Rejected) -> object:
    """The document with its warnings."""
    if isinstance(said, Rejected):
        return said
    if said.warnings and isinstance(said.data, dict):
        return {"warnings": said.warnings, **said.data}
    return said.data


def decode_each(codec: JsCodec, frames: Sequence[Frame], engine: Engine = ENGINE) -> list[Decoded | Rejected]:
    """The same with data and warnings apart."""
    return [judged(codec, answer) for answer in engine.run(codec, frames)]


def judged(codec: JsCodec, answer: Answer) -> Decoded | Rejected:
    """What an answer of the worker means."""
    if answer.letter in "JF":
        return result_of(codec, answer.text, answer.letter == "F")
    reason, said, advice = FAULTS[answer.letter]
    happened = said.format(text=answer.text.decode("utf-8", "replace"))
    detail = f"codec {codec.name} ({codec.sha256[:12]}) {happened}; {advice}"
    return Rejected("codec", reason, None, None, detail[:600])


def result_of(codec: JsCodec, text: bytes, slow: bool) -> Decoded | Rejected:
    """The `{data, warnings, errors}` of TS013."""
    result = decode_json(text)
    if isinstance(result, Rejected):
        return result
    if not isinstance(result, dict):
        return misshapen(codec, f"returned {shown(result)}; expected {{data, warnings, errors}}")
    if errors := texts(result.get("errors")):
        detail = f"codec {codec.name} says: {'; '.join(errors)}"[:500]
        advice = "compare port and bytes with the vendor's description"
        return Rejected("codec", Reason.CODEC_ERROR, "errors", errors[0][:200], f"{detail}; {advice}")
    data = result.get("data")
    if isinstance(data, dict) or (isinstance(data, list) and data and all(isinstance(one, dict) for one in data)):
        return Decoded(data, texts(result.get("warnings")), slow)
    return misshapen(codec, f"gave {shown(data)} as data; expected an object of named values")


def misshapen(codec: JsCodec, said: str) -> Rejected:
    """A result that is no document."""
    detail = f"codec {codec.name} {said}; the frame may be of a kind that it does not know"
    return Rejected("codec", Reason.WRONG_SHAPE, "data", None, detail)


def texts(said: object) -> list[str]:
    """Errors or warnings as texts: a list of them, or one."""
    if said is None or said is False or said in ([], "", {}):
        return []
    return [shown(one) for one in said[:8]] if isinstance(said, list) else [shown(said)]


_REPORT = "report the frame to the codec's author"
_CHECK = "run `dothi devices check` on the profile and the frame by itself with `dothi devices decode`"
_ASK = "the frame may be cut off or of another model; compare it with the vendor's description"
FAULTS: dict[str, tuple[Reason, str, str]] = {
    "E": (Reason.CODEC_ERROR, "threw {text}", _ASK),
    "N": (Reason.WRONG_SHAPE, "returned nothing; expected {{data, warnings, errors}}", _ASK),
    "L": (Reason.CODEC_ERROR, "cannot be loaded: {text}", "expected a script that defines decodeUplink(input)"),
    "B": (Reason.TOO_LARGE, "returned {text} characters; expected at most 65536", _REPORT),
    "T": (Reason.CODEC_TIMEOUT, "ran twice for over 0.05 s of processor time; expected well under 1 ms", _REPORT),
    "K": (Reason.CODEC_TIMEOUT, "did not end and was killed: {text}; expected well under 1 ms", _REPORT),
    "M": (Reason.CODEC_MEMORY, "used more than 8 MiB; expected some kilobytes", _REPORT),
    "C": (Reason.CODEC_CRASH, "took its process along: {text}", _REPORT),
    "A": (Reason.CODEC_PUT_ASIDE, "ran out of time or memory too often and is put aside for {text} s", _CHECK),
    "U": (
        Reason.CODEC_CRASH,
        "was not run: {text}",
        "see that quickjs-ng is installed and memory is free, then replay",
    ),
}
"""By the letter of an answer: reason, what happened, what to do."""
