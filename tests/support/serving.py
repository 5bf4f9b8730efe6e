"""``floorline serve`` in a process of its own, to be killed, starved and signalled."""

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from floorline.config import load
from floorline.encoders.factory import make_encoder
from floorline.gateway.runtime_models import RuntimeModels
from floorline.gateway.startup import open_router
from floorline.stores.engine import open_engine
from floorline.stores.reading import LogReader
from floorline.stores.sql import SqlStore

_FLOORLINE = ["-m", "floorline"]


class Serving:
    """A gateway's process, its configuration file and its log file.

    Parameters
    ----------
    folder
        Where the files are.
    text
        What the configuration says.
    slow_disk
        Whether commits take long.
    files
        Number of files that the process may open; None for as many as this one.
    command
        What comes before the arguments of ``floorline``.
    """

    def __init__(self, folder, text, *, slow_disk=False, files=None, command=None):
        slow = [Path(__file__).with_name("slow_disk.py")]
        self.command = command or (slow if slow_disk else _FLOORLINE)
        self.files = files
        self.path = Path(folder) / "floorline.json"
        self.path.write_text(text)
        self.said = Path(folder) / "said.txt"
        self.process = None
        self.url = ""

    @property
    def pid(self):
        return self.process.pid

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    def create_key(self, name):
        """Create an API key by the command, and return its secret."""
        command = [sys.executable, *_FLOORLINE, "keys", "create", name, "--config", self.path]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, patience=180.0, options=("--port", "0")):
        """Start it and wait until it listens."""
        self.launch(options)
        try:
            self.url = self._address(time.monotonic() + patience)
        except AssertionError:
            # No one else ends what did not start.
            self.kill()
            raise
        return self

    def _address(self, deadline):
        while not (found := re.search(r"answers at (https?://\S+)/v1", self.said.read_text())):
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < deadline, "it never listened"
            time.sleep(0.01)
        return found[1]

    def launch(self, options):
        """Start it."""
        with self.said.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, *self.command, "serve", "--config", self.path, *options],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                preexec_fn=None if self.files is None else self._limit_open_files,
            )

    def _limit_open_files(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.files, self.files))

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """Kill it without a chance to tidy up."""
        self.process.kill()
        self.process.wait()

    def stop(self, patience=180.0):
        """Ask it to stop; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience)

    def limit_files(self, size):
        """Let none of its files grow beyond so many bytes; None lifts the limit."""
        hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)[1]
        soft = hard if size is None else size
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (soft, hard))

    def memory(self):
        """Resident set in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def forget_peak(self):
        """Let ``peak`` begin anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak(self):
        """Highest resident set in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

    def descriptors(self):
        """Open files and connections."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def settings(self):
        """Settings of its configuration file."""
        return load(self.path)

    def recover(self, *, snapshots=True):
        """State that a start would find, once the process is gone: its bytes, and the log's end.

        Without ``snapshots`` it is the fold of the log from its very beginning.
        """
        settings = load(self.path)
        kind = SqlStore if snapshots else _WithoutSnapshots
        store = kind(settings.store.url.get_secret_value())
        try:
            assert store.warnings() == [], "a kill is no damage"
            end = len(store)
            router = open_router(
                store,
                RuntimeModels(store).desired_state(settings),
                settings.policy.build,
                make_encoder(settings.encoder),
                seed=settings.seed,
                memory=settings.memory,
                at=0.0,
            )
            assert len(store) == end, "recovery alone must append nothing"
            return router.snapshot(), end
        finally:
            store.close()

    def log(self):
        """Positions and events of the log, as far as they are durable."""
        with self._reader() as reader:
            return list(reader.numbered(0))

    def snapshot_position(self):
        """How many events the newest snapshot is of; None if there is none."""
        with self._reader() as reader:
            last = reader.last_snapshot()
        return None if last is None else last[0]

    @contextlib.contextmanager
    def _reader(self):
        engine = open_engine(load(self.path).store.url.get_secret_value())
        try:
            yield LogReader(engine)
        finally:
            engine.dispose()


class _WithoutSnapshots(SqlStore):
    def snapshots(self):
        return []
