"""`dothi simulate`: what a province would send, and a seeded city that sends it."""

import typer

from dothi.command import found

PLACES = {
    "plan": "simulate_plan:plan_command",
    **{name: f"simulate_run:{name}_command" for name in ("run", "report")},
    "capacity": "simulate_capacity:capacity_command",
    "score": "simulate_score:score_command",
    "scenarios": "simulate_scenarios:app",
}
app = typer.Typer(
    cls=found(PLACES),
    help="The city as load: what a province would send, and a city that sends it.",
    no_args_is_help=True,
)


@app.callback()
def group() -> None:
    """The city as load: what a province would send, and a city that sends it.

    Example: dothi simulate run --people 2000 --density 50 --for 60
    """
