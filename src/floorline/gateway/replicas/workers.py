"""``serve --workers N``: N serving processes and a learner on one machine, kept running."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from floorline.config import Settings
from floorline.errors import FloorlineError, StoreUnavailable, system_reason
from floorline.gateway.signals import end_on_signals
from floorline.replication import tables
from floorline.stores.engine import may_pass, open_engine
from floorline.stores.upgrade import check

log = logging.getLogger("floorline.gateway")

_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.2, 10.0
"""Pauses before a process that ended is started again: the first, and the longest after
doubling."""
_SETTLED_SECONDS = 30.0
"""Time after which a process counts as running well, so that the next pause is the first again."""
_LOOK_SECONDS = 0.1
"""Pause between two looks at the processes."""
_BACKLOG = 2048
"""Connections that the operating system holds for each worker before they are accepted."""
_END_SECONDS = 10.0
"""Time beyond ``server.shutdown_grace`` after which processes that do not end are killed."""


@dataclass
class _Process:
    """A process that is to run, and when it is started again."""

    command: Sequence[str]
    files: tuple[int, ...] = ()
    running: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = _FIRST_PAUSE_SECONDS
    due: float = 0.0


class Workers:
    """Starts the processes of one machine, starts those that end again, and ends them all.

    Each worker has a socket of its own at the same address (``SO_REUSEPORT``), among which the
    operating system distributes connections. The sockets are this process's, so that connections
    wait while a worker starts again.

    Parameters
    ----------
    settings
        Where to listen, and how long open requests may take at the end.
    config
        Configuration file of all processes.
    count
        Number of workers.

    Raises
    ------
    FloorlineError
        If the address cannot be listened on, or the store cannot be opened.
    """

    def __init__(self, settings: Settings, config: Path, count: int) -> None:
        _prepare_store(settings)
        self._settings = settings
        self._stop = threading.Event()
        self._sockets = ExitStack()
        program = [sys.executable, "-m", "floorline"]
        self._learner = _Process([*program, "learn", "--config", str(config)])
        self._workers = []
        port = settings.server.port
        for _ in range(count):
            made = self._sockets.enter_context(_listen(settings.server.host, port))
            port = made.getsockname()[1]
            command = [*program, "serve", "--config", str(config), "--listen", str(made.fileno())]
            self._workers.append(_Process(command, (made.fileno(),)))
        host = settings.server.host
        scheme = "http" if settings.server.tls is None else "https"
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def run(self, on_ready: Callable[[str], None] = lambda url: None) -> None:
        """Keep the processes running until SIGINT or SIGTERM; SIGHUP goes to all of them."""
        end_on_signals(self._stop)
        signal.signal(signal.SIGHUP, lambda number, _: self._send(number))
        with self._sockets:
            on_ready(self.url)
            while not self._stop.is_set():
                for process in (self._learner, *self._workers):
                    self._keep(process)
                self._stop.wait(_LOOK_SECONDS)
            self._end()

    def _keep(self, process: _Process) -> None:
        """Start a process that does not run, after its pause."""
        now = time.monotonic()
        if process.running is not None:
            status = process.running.poll()
            if status is None:
                return
            if now - process.started > _SETTLED_SECONDS:
                process.pause = _FIRST_PAUSE_SECONDS
            log.warning("a process ended with status %d: %s", status, " ".join(process.command))
            process.running, process.due = None, now + process.pause
            process.pause = min(2.0 * process.pause, _LAST_PAUSE_SECONDS)
        if now >= process.due:
            process.running = subprocess.Popen(process.command, pass_fds=process.files)
            process.started = now

    def _send(self, number: int) -> None:
        for process in (self._learner, *self._workers):
            if process.running is not None:
                process.running.send_signal(number)

    def _end(self) -> None:
        """End the workers, then the learner, which takes their last events."""
        deadline = time.monotonic() + self._settings.server.shutdown_grace + _END_SECONDS
        for group in (self._workers, [self._learner]):
            running = [p.running for p in group if p.running is not None]
            for one in running:
                one.send_signal(signal.SIGTERM)
            for one in running:
                try:
                    one.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    one.kill()
                    one.wait()


def _prepare_store(settings: Settings) -> None:
    """Create the tables before several processes need them.

    If the database cannot be reached now, each process waits for it.
    """
    engine = open_engine(settings.store.url.get_secret_value())
    try:
        check(engine)
        tables.create(engine)
    except StoreUnavailable as error:
        if not may_pass(error):
            raise
    finally:
        engine.dispose()


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket of its own at an address that others listen on, too."""
    if not hasattr(socket, "SO_REUSEPORT"):
        raise FloorlineError("this system has no SO_REUSEPORT: leave out --workers")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG, reuse_port=True)
    except OSError as error:
        raise FloorlineError(
            f"cannot listen on server.host {host!r} and server.port {port} "
            f"({system_reason(error)}): give an address of this machine and a free port"
        ) from error
