"""``floorline`` with a clock that can be set, and as another version of itself.

``CHAOS_CLOCK`` names a file with the seconds by which the system's clock is wrong; it is read every
tenth of a second. ``CHAOS_VERSION`` is added to the version of snapshots.
"""

import os
import time
from pathlib import Path

_LOOK_SECONDS = 0.1


def wrong_time(file, right=time.time):
    """Return a clock that is wrong by the seconds that a file holds."""
    seen = [-_LOOK_SECONDS, 0.0]

    def now():
        looked = time.monotonic()
        if looked - seen[0] >= _LOOK_SECONDS:
            # A write that is not finished leaves the clock as it is.
            text = file.read_text() if file.exists() else "0"
            seen[:] = [looked, float(text or seen[1])]
        return right() + seen[1]

    return now


if __name__ == "__main__":
    # Before the import of floorline, which keeps references to this function.
    time.time = wrong_time(Path(os.environ["CHAOS_CLOCK"]))

    from floorline.__main__ import run
    from floorline.state import router_snapshot

    router_snapshot._VERSION += int(os.environ["CHAOS_VERSION"])
    run()
