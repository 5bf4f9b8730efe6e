"""The process of the learner, in a thread."""

import contextlib
import threading
import time

import msgspec
import sqlalchemy as sa
from tests.support.live_gateway import wait_until, write_settings

from floorline.config import load_text
from floorline.events import Tombstone
from floorline.gateway.replicas import learning
from floorline.gateway.replicas.learning import LearnerProcess
from floorline.replication import tables
from floorline.replication.inbox import InboxWriter
from floorline.replication.lease import Lease
from floorline.replication.members import Membership
from floorline.replication.sole_store import SoleStore
from floorline.stores.engine import open_engine
from floorline.stores.upgrade import upgrade
from floorline.stores.writing import prepare

LEASE_SECONDS = 4.0


def test_a_learner_that_folds_a_long_log_keeps_its_lease(empty_postgres, tmp_path, monkeypatch):
    # Two learners would take it from each other for ever, and none would publish.
    open_router = learning.open_router
    opening = threading.Event()

    renewed = threading.Event()

    def open_slowly(*args, **kwargs):
        opening.set()
        assert renewed.wait(60)
        return open_router(*args, **kwargs)

    monkeypatch.setattr(learning, "open_router", open_slowly)
    engine = open_engine(empty_postgres)
    upgrade(engine)
    tables.create(engine)

    def end_of_lease():
        with engine.connect() as connection:
            return connection.scalar(sa.select(tables.lease.c.expires))

    replicas = {"enabled": True, "lease": f"{LEASE_SECONDS:g}s"}
    text = write_settings("http://127.0.0.1:1", store={"url": empty_postgres}, replicas=replicas)
    stop = threading.Event()
    process = LearnerProcess(load_text(text, folder=tmp_path, environ={}), stop)
    thread = threading.Thread(target=process.run)
    thread.start()
    try:
        assert opening.wait(60)
        first = end_of_lease()
        wait_until(lambda: end_of_lease() > first)
        other = Lease(engine, "other", seconds=LEASE_SECONDS)
        assert not other.take()
        renewed.set()
        wait_until(lambda: has_published(engine))
    finally:
        stop.set()
        thread.join(60)
    assert other.take()
    engine.dispose()


def has_published(engine):
    with engine.connect() as connection:
        return connection.execute(tables.states.select()).one_or_none() is not None


def test_after_an_outage_replicas_have_time_to_give_a_sign_of_life(tmp_path, monkeypatch):
    # While the database was away, none could; their calls are open, and their shares are in use.
    monkeypatch.setattr(learning, "_GONE_SECONDS", 600.0)
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
        connection.execute(tables.members.update().values(seen=tables.members.c.seen - 1000.0))
    replicas = {"enabled": True, "lease": f"{LEASE_SECONDS:g}s"}
    text = write_settings("http://127.0.0.1:1", store={"url": url}, replicas=replicas)
    stop = threading.Event()
    process = LearnerProcess(load_text(text, folder=tmp_path, environ={}), stop)
    thread = threading.Thread(target=process.run)
    thread.start()

    def names():
        return {member.id for member in members.all()}

    try:
        wait_until(lambda: has_published(engine))
        time.sleep(0.3)
        assert names() == {"dead", "spooling"}
        members.beat("spooling", {})
        monkeypatch.setattr(learning, "_GONE_SECONDS", 3.0)

        def only_the_dead_one_is_forgotten():
            members.beat("spooling", {})
            return names() == {"spooling"}

        wait_until(only_the_dead_one_is_forgotten)
    finally:
        stop.set()
        thread.join(60)
    engine.dispose()


def test_the_learner_knows_the_budgets_of_judges(tmp_path):
    """Else it would return the whole share of a judge whose server was killed."""
    judge = {"name": "strict", "model": "sim-titan", "budget": {"total": 3}}
    shadow = {"judge": "strict", "budget": {"total": 2}}
    text = write_settings("http://127.0.0.1:1", judges=[judge], shadow=shadow)
    settings = load_text(text, folder=tmp_path, environ={})
    process = LearnerProcess(settings, threading.Event())
    with contextlib.closing(SoleStore(f"sqlite:///{tmp_path / 'log.db'}")) as store:
        known = {key.id: key.budget for key in process._keys(store)}
    assert known == {"judge:strict": 3.0, "shadow": 2.0}


def unknown_event(engine, number):
    """Let a replica of a newer version append an event of a kind that this version lacks."""
    body = msgspec.msgpack.encode({"type": "rainfall", "at": 1.0, "v": 1})
    known = prepare(Tombstone(lost="", reason="in a newer version it is another event"))
    writer = InboxWriter(engine, "newer")
    writer.write(writer.encode(number, [known._replace(kind="rainfall", body=body)]))
    writer.close()


def test_a_learner_leaves_events_of_a_newer_version_to_a_newer_learner(
    empty_postgres, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(learning, "_NEWER_SECONDS", 0.2)
    monkeypatch.setattr(learning, "_LONGEST_SECONDS", 0.2)
    engine = open_engine(empty_postgres)
    upgrade(engine)
    tables.create(engine)
    Membership(engine).beat("newer", {"version": "99.1"})
    unknown_event(engine, 0)
    replicas = {"enabled": True, "lease": "1s"}
    text = write_settings("http://127.0.0.1:1", store={"url": empty_postgres}, replicas=replicas)
    stop = threading.Event()
    process = LearnerProcess(load_text(text, folder=tmp_path, environ={}), stop)
    thread = threading.Thread(target=process.run)
    thread.start()

    def said():
        return [r.getMessage() for r in caplog.records if "gives up its lease" in r.getMessage()]

    def tries():
        return sum("this process learns" in r.getMessage() for r in caplog.records)

    newer = Lease(engine, "newer", seconds=60.0)
    try:
        wait_until(lambda: tries() >= 3)
        (told,) = said()
        assert "because version 99.1 wrote it: run version 99.1 of Floorline here" in told
        assert "rainfall" in told
        # A newer learner gets the lease, and this one takes it again when that has read the event.
        wait_until(newer.take)
        with engine.connect() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(tables.inbox)) == 1
        assert thread.is_alive()
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SET floorline.epoch = {newer.epoch}")
            connection.execute(tables.inbox.delete())
        newer.release()
        wait_until(lambda: has_published(engine))
        assert len(said()) == 1
    finally:
        stop.set()
        thread.join(60)
    engine.dispose()
