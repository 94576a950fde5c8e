"""`dothi storage …`."""

import typer

from dothi.commands.backup import archive, backup, restore, verify

app = typer.Typer(help="Keep, save and restore what is stored.", no_args_is_help=True)

for command in (backup, restore, verify, archive):
    app.command()(command)


@app.callback()
def group() -> None:
    """Keep, save and restore what is stored.

    Example: dothi storage backup --dir .dothi --to /mnt/backups
    """
