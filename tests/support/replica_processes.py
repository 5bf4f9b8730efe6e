"""Servers and learners of one log, each a process of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from floorline.replication import tables
from floorline.stores.engine import open_engine
from floorline.stores.reading import LogReader
from floorline.stores.upgrade import check, upgrade
from tests.support.serving import Serving

PATIENCE = 180.0
"""Seconds within which a process must start, or a change must arrive, on a busy machine."""
FLOORLINE = ["-m", "floorline"]
"""How the program is called."""


class Processes:
    """Replicas by name, and learners.

    Parameters
    ----------
    folder
        Where files are.
    text
        What the configuration says.
    url
        URL of the store.
    """

    def __init__(self, folder, text, url):
        self.folder, self.text, self.url = Path(folder), text, url
        engine = open_engine(url)
        upgrade(engine)
        check(engine)
        tables.create(engine)
        engine.dispose()
        self.path = self.folder / "learner.json"
        self.path.write_text(text)
        self.replicas, self.learners = {}, []

    def learn(self, command=FLOORLINE):
        """Start a process that learns when it gets the lease."""
        out = (self.folder / f"learner-{len(self.learners)}.txt").open("wb")
        called = [sys.executable, *command, "learn", "--config", str(self.path)]
        self.learners.append(subprocess.Popen(called, stdout=out, stderr=out))
        out.close()
        return self.learners[-1]

    def serve(self, name, command=FLOORLINE, *, wait=True):
        """Start a replica and wait until it is ready; return a client of it."""
        folder = self.folder / f"{name}-{len(self.replicas)}"
        folder.mkdir(exist_ok=True)
        replica = Serving(folder, self.text, command=command)
        if wait:
            replica.start(PATIENCE)
        else:
            with socket.create_server(("127.0.0.1", 0)) as found:
                port = found.getsockname()[1]
            replica.launch(("--port", str(port)))
            replica.url = f"http://127.0.0.1:{port}"
        replica.http = httpx.Client(base_url=replica.url, timeout=60)
        self.replicas[name] = replica
        return replica

    def status(self, name, sla="gold"):
        """Status of an SLA as a replica tells it."""
        return self.replicas[name].http.get(f"/v1/slas/{sla}").json()

    def readiness(self, replica):
        """Status and body of what a replica says of its readiness; 0 before it listens."""
        try:
            answer = replica.http.get("/readyz")
        except httpx.TransportError:
            return 0, {"errors": []}
        return answer.status_code, answer.json()

    def until(self, condition, seconds=PATIENCE):
        """Wait until something is so; fail if it takes too long."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it never came to be"
            time.sleep(0.05)

    def events(self):
        """All events of the log."""
        engine = open_engine(self.url, read_only=True)
        try:
            return list(LogReader(engine).read())
        finally:
            engine.dispose()

    def stop(self):
        """End everything, however it stands."""
        processes = [r.process for r in self.replicas.values()] + self.learners
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        for process in processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for replica in self.replicas.values():
            replica.http.close()


def ask(replica, text="Why is the sky blue?", model="floorline/gold", **fields):
    body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
    return replica.http.post("/v1/chat/completions", json=body)
