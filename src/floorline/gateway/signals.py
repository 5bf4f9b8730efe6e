"""Signals of a process from its start on: SIGINT and SIGTERM end it, SIGHUP reads its file."""

from __future__ import annotations

import signal
import threading

_early: list[int] = []
"""Signals SIGHUP that came since the file was read, and before it is watched."""


def end_on_signals(stop: threading.Event) -> None:
    """Set an event at SIGINT and SIGTERM.

    A thread sets it: the main thread may be interrupted within the event, and hold its lock.
    """

    def end(*_: object) -> None:
        threading.Thread(target=stop.set, name="floorline-stop", daemon=True).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def note_hangups() -> None:
    """Note SIGHUP from now on, before the configuration file is read; it would end the process."""
    _early.clear()
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda number, _: _early.append(number))


def take_early_hangup() -> bool:
    """Return whether SIGHUP came since ``note_hangups``, or since the last call."""
    came = bool(_early)
    _early.clear()
    return came
