"""``floorline`` with a clock that can be set, and as another version of itself.

``CHAOS_CLOCK`` names a file with the seconds by which the system's clock is wrong; it is read every
tenth of a second. ``CHAOS_VERSION`` is added to the version of snapshots.
"""

import os
import time
from pathlib import Path

_CLOCK = Path(os.environ["CHAOS_CLOCK"])
_LOOK_SECONDS = 0.1
_time = time.time
_seen = [-_LOOK_SECONDS, 0.0]


def _wrong_time():
    now = time.monotonic()
    if now - _seen[0] >= _LOOK_SECONDS:
        # A write that is not finished leaves the clock as it is.
        text = _CLOCK.read_text() if _CLOCK.exists() else "0"
        _seen[:] = [now, float(text or _seen[1])]
    return _time() + _seen[1]


# Before the import of floorline, which keeps references to this function.
time.time = _wrong_time

if __name__ == "__main__":
    from floorline.__main__ import run
    from floorline.state import router_snapshot

    router_snapshot._VERSION += int(os.environ["CHAOS_VERSION"])
    run()
