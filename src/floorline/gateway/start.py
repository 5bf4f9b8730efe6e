"""What a process that starts waits for, and how it ends if it is asked to meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from floorline.errors import FloorlineError, StoreUnavailable
from floorline.stores.engine import may_pass

log = logging.getLogger("floorline.gateway")

_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.25, 5.0
"""Pauses before the database is tried again: the first, and the longest after doubling."""
_REPEAT_SECONDS = 60.0
"""Pause between two lines of the log that say the same."""

_T = TypeVar("_T")


class StartStopped(FloorlineError):
    """The process was asked to end while it started."""


class Start:
    """The start of a process, which may have to wait.

    Parameters
    ----------
    stop
        Set to end the start.

    Attributes
    ----------
    waits_for : str
        What the start waits for; None if it does not.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        self.stop = stop or threading.Event()
        self.waits_for: str | None = None
        self._said_at = 0.0

    def check(self) -> None:
        """Raise StartStopped if the process is asked to end."""
        if self.stop.is_set():
            raise StartStopped("the process was asked to end while it started")

    def note(self, reason: str | None) -> None:
        """Say what the start waits for; None for nothing any more."""
        present = time.monotonic()
        again = present - self._said_at >= _REPEAT_SECONDS
        if reason is not None and (again or reason != self.waits_for):
            log.warning("the start waits: %s", reason)
            self._said_at = present
        self.waits_for = reason

    def until_reached(self, work: Callable[[], _T]) -> _T:
        """Repeat something until the database can be reached; blocks.

        Parameters
        ----------
        work
            What needs the database.

        Raises
        ------
        StartStopped
            If the process is asked to end.
        FloorlineError
            If waiting does not help: the database refuses the user, its tables are of another
            version, or anything else is wrong.
        """
        pause = _FIRST_PAUSE_SECONDS
        while True:
            self.check()
            try:
                made = work()
            except StoreUnavailable as error:
                if not may_pass(error):
                    raise
                self.note(str(error))
            else:
                self.note(None)
                return made
            self.stop.wait(pause)
            pause = min(2.0 * pause, _LAST_PAUSE_SECONDS)
