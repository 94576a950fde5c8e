"""Commands of dothi as users give them: what they print, refuse and exit with."""

import contextlib
import io
import subprocess
import sys

import pytest

from dothi.cli import main

Done = subprocess.CompletedProcess[str]


def dothi(*arguments: str, check: bool = True, **environment: str) -> Done:
    """`dothi` without a process of its own, which would read all libraries again before it does anything.

    Not for what only a process has: signals, pipes, settings that the rooms take over for good.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["dothi", *arguments])
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
    said = [stream.detach().getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]  # BytesIO
    return checked(Done(["dothi", *arguments], code, *said), check)


def dothi_process(*arguments: str, check: bool = True) -> Done:
    """`dothi` in a process of its own."""
    command = [sys.executable, "-m", "dothi", *arguments]
    return checked(subprocess.run(command, capture_output=True, text=True, timeout=300, check=False), check)


def checked(done: Done, check: bool) -> Done:
    """What was done; a failure that nobody expects is told in its own words."""
    if check and done.returncode:
        raise AssertionError(f"dothi {' '.join(done.args[1:])} exited {done.returncode}: {done.stderr[-2000:]}")
    assert "Traceback" not in done.stderr
    return done
