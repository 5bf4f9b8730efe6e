"""The ``floorline learn`` command."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from floorline._extras import needs


def learn(
    config: Annotated[
        Path, typer.Option(help="Configuration file of the servers; its log is learned.")
    ],
) -> None:
    """Learn for several servers that share one log.

    It waits for the lease, folds the events of the log and publishes states for the servers. Any
    number of these processes may run; one at a time learns, and another takes over if it ends.
    'floorline serve --workers N' starts one by itself. SIGINT and SIGTERM end it; SIGHUP reads the
    configuration file again.
    """
    with needs("gateway", "learning"):
        from floorline.config import load
        from floorline.gateway.replicas.learning import LearnerProcess
        from floorline.gateway.shared_heap import share_heap
        from floorline.gateway.signals import end_on_signals, note_hangups, take_early_hangup
    share_heap()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    stop = threading.Event()
    end_on_signals(stop)
    note_hangups()
    process = LearnerProcess(load(config), stop, config)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: process.hang_up())
    if take_early_hangup():
        process.hang_up()
    process.run()
