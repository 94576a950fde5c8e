"""`dothi simulate`: what a province would send, and a seeded city that sends it."""

import typer

from dothi.commands import simulate_scenarios
from dothi.commands.simulate_capacity import capacity_command
from dothi.commands.simulate_plan import plan_command
from dothi.commands.simulate_run import report_command, run_command
from dothi.commands.simulate_score import score_command

app = typer.Typer(help="The city as load: what a province would send, and a city that sends it.", no_args_is_help=True)
app.command("plan")(plan_command)
app.command("run")(run_command)
app.command("report")(report_command)
app.command("capacity")(capacity_command)
app.command("score")(score_command)
app.add_typer(simulate_scenarios.app, name="scenarios")
