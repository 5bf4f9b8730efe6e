"""The process of the learner, in a thread."""

import threading
import time

from tests.stores.conftest import empty_postgres, postgres
from tests.support.live_gateway import wait_until, write_settings

from floorline.config import load_text
from floorline.gateway.replicas import learning
from floorline.gateway.replicas.learning import LearnerProcess
from floorline.replication import tables
from floorline.replication.lease import Lease
from floorline.replication.members import Membership
from floorline.stores.engine import open_engine
from floorline.stores.upgrade import upgrade

__all__ = ["empty_postgres", "postgres"]

LEASE_SECONDS = 0.5


def test_a_learner_that_folds_a_long_log_keeps_its_lease(empty_postgres, tmp_path, monkeypatch):
    # Two learners would take it from each other for ever, and none would publish.
    open_router = learning.open_router
    opening = threading.Event()

    def open_slowly(*args, **kwargs):
        opening.set()
        time.sleep(4 * LEASE_SECONDS)
        return open_router(*args, **kwargs)

    monkeypatch.setattr(learning, "open_router", open_slowly)
    engine = open_engine(empty_postgres)
    upgrade(engine)
    tables.create(engine)
    replicas = {"enabled": True, "lease": f"{LEASE_SECONDS:g}s"}
    text = write_settings("http://127.0.0.1:1", store={"url": empty_postgres}, replicas=replicas)
    stop = threading.Event()
    process = LearnerProcess(load_text(text, folder=tmp_path, environ={}), stop)
    thread = threading.Thread(target=process.run)
    thread.start()
    try:
        assert opening.wait(30)
        other = Lease(engine, "other", seconds=LEASE_SECONDS)

        def published():
            assert not other.take()
            with engine.connect() as connection:
                return connection.execute(tables.states.select()).one_or_none() is not None

        wait_until(published, 30)
    finally:
        stop.set()
        thread.join(30)
    assert other.take()
    engine.dispose()


def test_after_an_outage_replicas_have_time_to_give_a_sign_of_life(tmp_path, monkeypatch):
    # While the database was away, none could; their calls are open, and their shares are in use.
    monkeypatch.setattr(learning, "_GONE_SECONDS", 2.0)
    monkeypatch.setattr(learning, "RECLAIM_SECONDS", 2.0)
    monkeypatch.setattr(learning, "_CHECK_SECONDS", 0.05)
    url = f"sqlite:///{tmp_path / 'log.db'}"
    engine = open_engine(url)
    upgrade(engine)
    tables.create(engine)
    members = Membership(engine)
    members.beat("dead", {})
    members.beat("spooling", {})
    with engine.begin() as connection:
        connection.execute(tables.members.update().values(seen=tables.members.c.seen - 100.0))
    replicas = {"enabled": True, "lease": f"{LEASE_SECONDS:g}s"}
    text = write_settings("http://127.0.0.1:1", store={"url": url}, replicas=replicas)
    stop = threading.Event()
    process = LearnerProcess(load_text(text, folder=tmp_path, environ={}), stop)
    thread = threading.Thread(target=process.run)
    thread.start()

    def names():
        return {member.id for member in members.all()}

    def published():
        with engine.connect() as connection:
            return connection.execute(tables.states.select()).one_or_none() is not None

    try:
        wait_until(published, 30)
        time.sleep(0.3)
        assert names() == {"dead", "spooling"}

        def only_the_dead_one_is_forgotten():
            members.beat("spooling", {})
            return names() == {"spooling"}

        wait_until(only_the_dead_one_is_forgotten, 30)
    finally:
        stop.set()
        thread.join(30)
    engine.dispose()
