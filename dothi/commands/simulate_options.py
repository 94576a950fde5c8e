"""Options that `simulate run` and `simulate capacity` share: which city, made known or not, waited for how long."""

from typing import Annotated

import typer

People = Annotated[
    int | None,
    typer.Option(help="People of the city, spread over the districts like the real ones. 2000 unless a preset says."),
]
PerHundred = Annotated[
    float | None, typer.Option(help="Devices per 100 people; above 0, up to 1000. 50 unless a preset says.")
]
Preset = Annotated[
    int | None, typer.Option(help="The whole province as planned for 2025, 2030 or 2050: millions of devices.")
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same city.")]
Enroll = Annotated[bool, typer.Option("--enroll/--no-enroll", help="Make the devices known first.")]
Settle = Annotated[
    float, typer.Option("--settle-s", help="Wait at most this long, s, until the platform has dealt with all.")
]
