"""The picture in the README: the live view of a real city, drawn by rich. `python -m tests.bench.picture`."""

import json
import re
import tempfile
import time
from pathlib import Path

from rich.console import Console

from dothi.live import render
from dothi.snapshot import Reader
from tests.stack import running_stack

PICTURE = Path("docs/images/demo.svg")
WIDTH, HEIGHT = 110, 20
CITY_S = 75


def main() -> None:
    """Run a city for a while and keep what the terminal shows."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder), "--people", "2000", "--density", "50") as stack,
    ):
        reader = Reader(stack.document["reader"])
        until = time.monotonic() + CITY_S
        while time.monotonic() < until:
            snapshot = reader.snapshot()
            time.sleep(1)
        reader.close()
        document = json.loads(stack.folder.joinpath("stack.json").read_text()) | {"dashboards": ".dothi/grafana"}
        console = Console(record=True, width=WIDTH, height=HEIGHT, force_terminal=True, color_system="truecolor")
        console.print(render(snapshot, document, CITY_S, WIDTH, HEIGHT))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    # rich names a font of a web host; any monospace font does, and a picture must not ask the internet.
    svg = re.sub(r"@font-face\s*{.*?}\s*", "", console.export_svg(title="make demo"), flags=re.DOTALL)
    PICTURE.write_text(svg)


if __name__ == "__main__":
    main()
