"""``floorline`` on a disk that takes its time, so that much is always on its way there.

What is acknowledged too early is then lost by nearly every kill, and not by one in a thousand.
"""

import time

from floorline.__main__ import run
from floorline.stores.writing import EventWriter

_SECONDS = 0.05
_write = EventWriter.write


def _late(self, batch):
    time.sleep(_SECONDS)
    _write(self, batch)


if __name__ == "__main__":
    EventWriter.write = _late
    run()
