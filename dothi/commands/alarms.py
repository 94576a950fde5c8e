"""`dothi alarms`: the desk of those who answer alarms."""

import typer

from dothi.command import found

PLACES = {
    "list": "alarms_list:list_",
    **dict.fromkeys(("show", "history"), "alarms_list"),
    "stats": "alarms_stats",
    **dict.fromkeys(("ack", "shelve", "unshelve", "clear", "comment", "judge"), "alarms_act"),
    "maintenance": "alarms_maintenance:app",
    "check": "alarms_check",
    "routes": "alarms_routes:routes",
    "deliveries": "alarms_routes:deliveries",
}
app = typer.Typer(cls=found(PLACES), help="Alarms: what there is, and what staff do about it.", no_args_is_help=True)


@app.callback()
def alarms() -> None:
    """Alarms: what there is, and what staff do about it.

    Example: dothi alarms list --severity major
    """
