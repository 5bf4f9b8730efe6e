"""Servers and learners start before their database, and end at once when they are asked to."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from tests.support.live_gateway import write_settings
from tests.support.replica_processes import PATIENCE
from tests.support.tcp_proxy import behind_proxy

from floorline.config import load_text
from floorline.errors import StoreUnavailable
from floorline.gateway.replicas import learning
from floorline.gateway.replicas.learning import LearnerProcess
from floorline.replication.lease import Lease
from floorline.stores.engine import open_engine
from floorline.stores.upgrade import upgrade

TERM = 1 << (signal.SIGTERM - 1)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def until(condition, process=None):
    """Wait until something is so, while a process runs."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, "the process ended"
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def started(*arguments):
    """A process of the command, which is killed in the end."""
    command = [sys.executable, "-m", "floorline", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def both(path):
    """A server and a learner."""
    with started("serve", "--config", path) as server, started("learn", "--config", path) as one:
        yield server, one


def stop(process):
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE)


def answer(port, path):
    """Answer of a server; None if it accepts no connection yet."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE)
    return None


@pytest.fixture
def away(empty_postgres, tmp_path):
    """A database that cannot be reached, a file of settings for it, and the port of its server."""
    engine = open_engine(empty_postgres)
    upgrade(engine)
    engine.dispose()
    proxy, url = behind_proxy(empty_postgres)
    proxy.refuses = True
    port = free_port()
    path = tmp_path / "floorline.json"
    replicas = {"enabled": True, "lease": "1s", "spool": {"folder": str(tmp_path / "spool")}}
    given = {"store": {"url": url}, "replicas": replicas, "server": {"port": port}}
    path.write_text(write_settings("http://127.0.0.1:1", **given))
    yield proxy, path, port
    proxy.close()


@pytest.mark.slow
def test_they_start_before_their_database(away):
    proxy, path, port = away
    with (
        started("serve", "--config", path) as server,
        started("learn", "--config", path) as learner,
    ):
        until(lambda: answer(port, "/healthz"), server)
        ready = answer(port, "/readyz")
        assert ready.status_code == 503
        (why,) = ready.json()["errors"]
        assert why.startswith("the server starts, and waits: the store postgresql")
        assert answer(port, "/healthz").json() == {"status": "ok"}
        refused = httpx.post(f"http://127.0.0.1:{port}/v1/chat/completions", json={})
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"
        assert "the start waits" in learner.stderr.readline()
        proxy.mend()
        until(lambda: answer(port, "/readyz").status_code == 200, server)
        assert stop(server) == 0
        assert stop(learner) == 0


@pytest.mark.slow
def test_they_end_with_status_0_while_they_wait(away):
    _, path, port = away
    with (
        started("serve", "--config", path) as server,
        started("learn", "--config", path) as learner,
    ):
        assert "the start waits" in learner.stderr.readline()
        assert stop(learner) == 0
        until(lambda: answer(port, "/healthz"), server)
        assert stop(server) == 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
@pytest.mark.parametrize("command", ["serve", "learn"])
def test_a_signal_while_modules_are_imported_is_no_failure(command, away):
    def is_caught(pid):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        (caught,) = (line.split()[1] for line in lines if line.startswith("SigCgt"))
        return int(caught, 16) & TERM

    _, path, _ = away
    with started(command, "--config", path) as process:
        until(lambda: is_caught(process.pid), process)
        process.send_signal(signal.SIGHUP)
        assert stop(process) == 0


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"database": "absent"}, 'database "absent" does not exist'),
        ({"username": "unknown"}, "unknown"),
    ],
)
def test_what_waiting_does_not_mend_is_an_error(empty_postgres, tmp_path, changed, told):
    import sqlalchemy as sa

    url = sa.make_url(empty_postgres).set(**changed).render_as_string(hide_password=False)
    replicas = {"enabled": True}
    text = write_settings("http://127.0.0.1:1", store={"url": url}, replicas=replicas)
    process = LearnerProcess(load_text(text, folder=tmp_path, environ={}), threading.Event())
    with pytest.raises(StoreUnavailable, match=told):
        process.run()


def test_a_learner_ends_while_it_folds_the_log(tmp_path, monkeypatch, build_router, vector):
    url = f"sqlite:///{tmp_path / 'log.db'}"
    text = write_settings(
        "http://127.0.0.1:1", store={"url": url}, replicas={"enabled": True, "lease": "1s"}
    )
    folding, stop = threading.Event(), threading.Event()

    def fold_for_ever(store, *args, **kwargs):
        store.begin(b"")
        router = build_router(log=store)
        router.route(features=vector(1), at=1.0)
        while True:
            router.apply(store.read())
            folding.set()

    monkeypatch.setattr(learning, "open_router", fold_for_ever)
    process = LearnerProcess(load_text(text, folder=tmp_path, environ={}), stop)
    thread = threading.Thread(target=process.run, daemon=True)
    thread.start()
    assert folding.wait(PATIENCE)
    stop.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    # The next one need not wait for the end of the lease.
    engine = open_engine(url)
    assert Lease(engine, "next").take()
    engine.dispose()
