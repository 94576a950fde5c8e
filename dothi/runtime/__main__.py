"""`python -m dothi.runtime`: prepare the runtime now, so that nothing has to be fetched later."""

import sys
import time

from dothi import settings
from dothi.errors import Refused
from dothi.runtime.found import describe, find_runtime


def main() -> int:
    """Prepare, say what is used; exit code 0, or that of the refusal."""
    begun = time.monotonic()
    try:
        runtime = find_runtime(settings.runtime())
    except Refused as refusal:
        sys.stderr.write(f"runtime: {refusal}\n")
        return refusal.exit_code
    sys.stderr.write(f"runtime: {describe(runtime)}, ready after {time.monotonic() - begun:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
