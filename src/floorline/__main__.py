"""``floorline`` and ``python -m floorline``."""

from __future__ import annotations

import os
import signal
import sys

from floorline._extras import needs
from floorline.errors import MissingExtra


def run() -> None:
    """Entry point of the installed command; without the extra "cli" it says so in one line."""
    if sys.argv[1:2] in (["serve"], ["learn"]):
        # While modules are imported nothing is open, so that a stop is no failure, and SIGHUP has
        # nothing to do: the file is read after that.
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        with needs("cli", "the command 'floorline'"):
            from floorline.cli.app import main
    except MissingExtra as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(main())


if __name__ == "__main__":
    run()
