"""`dothi`, and `python -m dothi`."""

import gc
import signal


def main() -> None:
    """Run a command. What is imported stays until the end: looking through it for garbage, while it comes and at the
    exit, took a third of the time of a short command. Ctrl-C meanwhile ends the process at once: as an exception it
    would be a traceback, or be swallowed by Python's import. `dothi.command.ready` brings back both."""
    gc.disable()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from dothi.cli import main as run

    try:
        run()
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
