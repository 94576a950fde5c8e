"""`dothi`, and `python -m dothi`."""

import gc


def main() -> None:
    """Run a command. What is imported stays until the end: looking through it for garbage, while it comes and at the
    exit, took a third of the time of a short command. `dothi.command.ready` turns the collection on again."""
    gc.disable()
    from dothi.cli import main as run

    try:
        run()
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
