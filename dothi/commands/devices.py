"""`dothi devices …`: families, profiles and what is enrolled."""

import typer

from dothi.command import found

PLACES = {
    **dict.fromkeys(("families", "profiles", "check"), "catalogue"),
    **{name: name for name in ("decode", "new")},
    "import-codec": "import_codec:import_codec",
    **{name: name for name in ("enroll", "pending", "accept")},
    **dict.fromkeys(("show", "state", "retire"), "life"),
    "tail": "tail",
    "list": "devices_list:list_devices",
    "doctor": "doctor_device:doctor_device",
    "try": "try_message:try_message",
    "credentials": "credentials:app",
    "alias": "alias:app",
}
app = typer.Typer(cls=found(PLACES), help="Families, profiles and the devices that are enrolled.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Families, profiles and the devices that are enrolled.

    Example: dothi devices enroll devices.csv --dry-run
    """
