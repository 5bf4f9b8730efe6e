"""Servers and learners, each with its own way to the database, kept running as a service is."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.chaos.balancer import free_port, is_ready
from tests.support.chaos.links import Link

PROGRAM = Path(__file__).with_name("program.py")
_ROOT = Path(__file__).parents[3]

_LOOK_SECONDS = 0.05
_RESTART_SECONDS = 1.0
"""Pause before a process that ended by itself is started again."""
_END_SECONDS = 300.0
"""Time within which a process must end that was asked to: a learner first folds the log."""
_STARTED_SECONDS = 60.0
"""Time after which a process has certainly begun to listen to signals, on a busy machine."""

_READY_SECONDS, _LEARNER_SECONDS = 120.0, 5.0
"""Longest time that an upgrade waits for a server, and time that it gives a learner."""


class Process:
    """A server or a learner that is to run.

    Parameters
    ----------
    name
        Its name, such as ``replica-1``.
    folder
        Where its files are.
    settings
        Its configuration, without the URL of the store.
    database
        The database.
    network
        Gives it a network namespace; None for none.

    Attributes
    ----------
    address
        Where a server listens: a port, or a file if it has a namespace.
    link, namespace
        Its way to the database: the proxy, and its namespace or None.
    version
        Added to the version of its snapshots at the next start.
    """

    def __init__(self, name, folder, settings, database, network=None):
        self.name = name
        self.learns = name.startswith("learner")
        self.version = 0
        self.folder = folder / name
        self.folder.mkdir()
        self._host = "127.0.0.1" if network is None else network.database
        self.link = Link(database.socket, self._host)
        self.namespace = None if network is None else network.add()
        self.address = free_port() if network is None else str(self.folder / "http.sock")
        self._settings, self._database = settings, database
        self._clock = self.folder / "clock.txt"
        self._starts, self._started = 0, 0.0
        self._running = self._stopped = None
        self._due = 0.0
        self._wanted = True

    async def prepare(self):
        await self.link.start()
        url = self._database.url_over(self._host, self.link.port)
        store = {"url": url, "snapshot_every": 500}
        path = self.folder / "floorline.json"
        path.write_text(json.dumps({**self._settings, "store": store}))
        within = [] if self.namespace is None else self.namespace.command
        listen = ["--port" if self.namespace is None else "--unix-socket", str(self.address)]
        command = ["learn"] if self.learns else ["serve", *listen]
        self._command = [*within, sys.executable, str(PROGRAM), *command, "--config", str(path)]

    @property
    def pid(self):
        return None if self._running is None else self._running.pid

    @property
    def runs(self):
        """Whether it runs and is not stopped."""
        return self._running is not None and self._running is not self._stopped

    def keep(self):
        """Start it if it does not run; return its status if it ended by itself."""
        if self._running is not None:
            status = self._running.poll()
            if status is None:
                return None
            self._running, self._due = None, time.monotonic() + _RESTART_SECONDS
            return status
        if self._wanted and time.monotonic() >= self._due:
            self._start()
        return None

    def _start(self):
        said = self.folder / f"said-{self._starts}.txt"
        self._starts += 1
        self._started = time.monotonic()
        environment = os.environ | {
            "CHAOS_CLOCK": str(self._clock),
            "CHAOS_VERSION": str(self.version),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        with said.open("wb") as out:
            self._running = subprocess.Popen(
                self._command,
                cwd=_ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def said(self):
        """What the last start of it said, the end of it."""
        path = self.folder / f"said-{self._starts - 1}.txt"
        return path.read_text(errors="replace")[-1500:] if path.exists() else ""

    def kill(self, pause):
        """Kill it; it is started again after a pause in seconds."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None
        self._due = time.monotonic() + pause

    async def until_ready(self):
        """Wait until a server says that it is ready, or a learner had time to start."""
        if self.learns:
            await asyncio.sleep(_LEARNER_SECONDS)
            return
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and not await self.ready():
            await asyncio.sleep(_LOOK_SECONDS)

    async def ready(self):
        """Whether a server says that it is ready."""
        return await is_ready(self.address)

    async def pause(self, seconds):
        """Stop it for some time, as a machine that is moved."""
        if self._running is None:
            return
        one = self._stopped = self._running
        one.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self._stopped = None
        if one.poll() is None:
            one.send_signal(signal.SIGCONT)

    async def end(self, again=True):
        """Ask it to end, and wait; return its status, None if it had to be killed.

        A process that does not work yet has nothing to end; whatever its status, it is 0 then.
        """
        self._wanted = again
        one, self._running = self._running, None
        if one is None:
            # It is being started again, or another fault ends it.
            return 0
        self._due = float("inf")
        one.send_signal(signal.SIGCONT)
        one.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _END_SECONDS
        while one.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
        status = one.poll()
        if status is None:
            one.kill()
            one.wait()
        self._due = 0.0
        young = time.monotonic() - self._started < _STARTED_SECONDS
        starting = young if self.learns else "answers at" not in self.said()
        return 0 if status is not None and starting else status

    def step_clock(self, seconds):
        """Set its machine's clock wrong by some seconds."""
        self._clock.write_text(str(seconds))


class Cluster:
    """All processes, and who starts them again.

    Parameters
    ----------
    folder, settings, database, network
        As for ``Process``.
    replicas, learners
        How many there are.
    on_end
        Called with the process and its status when one ended by itself.
    """

    def __init__(self, folder, settings, database, replicas, learners, on_end, network=None):
        make = lambda name: Process(name, folder, settings, database, network)  # noqa: E731
        self.replicas = [make(f"replica-{n}") for n in range(replicas)]
        self.learners = [make(f"learner-{n}") for n in range(learners)]
        self.all = self.replicas + self.learners
        self._on_end = on_end

    async def run(self):
        """Keep all of them running until the task is cancelled."""
        while True:
            for process in self.all:
                status = process.keep()
                if status is not None:
                    self._on_end(process, status)
            await asyncio.sleep(_LOOK_SECONDS)

    def close(self):
        for process in self.all:
            process.kill(0.0)
            process.link.close()
