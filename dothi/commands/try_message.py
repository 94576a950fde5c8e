"""`dothi devices try`: one message through the real pipeline, layer by layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from dothi.commands.options import AsJson, Folder
from dothi.errors import Refused
from dothi.messages import read_file
from dothi.output import print_json, print_line, print_table
from dothi.settings import stack_at
from dothi.trial import send

LONGEST_LAYER = 1000


def try_message(
    file: Annotated[Path, typer.Argument(help="The message as the device sends it.")],
    profile: Annotated[str, typer.Option(help="Profile of the device model.")],
    folder: Folder = None,
    area: Annotated[str, typer.Option(help="Operating zone under whose topic it is sent.")] = "213",
    topic: Annotated[str | None, typer.Option(help="Topic for a profile of a foreign route.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send one message through broker, ingest and database, and show what each layer makes of it: envelope, codec,
    mapping, values, and the stored row or the reason.

    It is sent for a device `try-<profile>` that is enrolled for this purpose and stays in the registry.

    Example: dothi devices try message.json --profile native-air-quality
    """
    verdict = send(stack_at(folder), read_file(file), profile, area, topic)
    if as_json:
        print_json(verdict)
    else:
        show_layers(verdict.pop("layers"))
        rows = [(key, value) for key, value in verdict.items() if value is not None]
        print_table(("field", "value"), rows, title="stored" if verdict["stored"] else "quarantined")
    if not verdict["stored"]:
        raise Refused(f"not stored: {verdict['reason']}: {verdict['detail']}")


def show_layers(found: Sequence[Mapping[str, Any]]) -> None:
    """What each layer made of the message, a line each."""
    for layer in found:
        said = msgspec.json.encode(layer["result"]).decode()
        line = f"{'ok    ' if layer['ok'] else 'failed'} {layer['layer']}: {said[:LONGEST_LAYER]}"
        print_line(line)
