"""`dothi migrate`."""

from dothi import migrations
from dothi.commands.options import AsJson, Folder
from dothi.output import console, print_json
from dothi.settings import stack_at


def migrate(folder: Folder = None, as_json: AsJson = False) -> None:
    """Bring the database to the shape of this version; safe to run twice.

    Example: dothi migrate --dir .dothi
    """
    done = migrations.migrate(stack_at(folder).database)
    if as_json:
        print_json({"done": done})
        return
    for line in done or ["nothing to do, the database is up to date"]:
        console.print(line, highlight=False)
