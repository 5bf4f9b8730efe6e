"""A replica whose database goes away: nothing acknowledged is lost, and nothing comes twice."""

import contextlib
import time

import pytest
from tests.replication.cluster import Cluster, Member
from tests.support.tcp_proxy import behind_proxy

from floorline.errors import StoreUnavailable
from floorline.events import Decision, Feedback, Outcome, Tombstone
from floorline.replication import replica_store, spool, tables
from floorline.replication.members import Membership
from floorline.replication.replica_store import SPOOLING, ReplicaStore
from floorline.stores.engine import open_engine
from floorline.stores.retention import vacuum
from floorline.stores.upgrade import upgrade

OPENED = []
"""Replicas with a spool that are open: one whose test fails is closed, too."""


class Away(Member):
    """A replica behind a proxy, with a spool."""

    def __init__(self, url, folder, name="c", **options):
        super().__init__(url, name)
        self.store.close()
        self.store = self.router.log = ReplicaStore(url, name, spool=folder, **options)
        OPENED.append(self)

    def close(self):
        OPENED.remove(self)
        super().close()

    def die(self):
        """End like a kill: what is on disk stays, and the lock ends."""
        OPENED.remove(self)
        self.store.spooling._stop.set()
        self.store.spooling._wake.set()
        self.store.spooling._thread.join()
        self.store.spooling.spool._held.release()
        self.store.spooling._writer.close()
        self.store.spooling._drain_writer.close()
        self.store._dispose()

    def ask(self):
        """A request with feedback, of which nothing is acknowledged yet."""
        decision = self.router.route("Why?", "gold")
        self.router.outcome(decision.id, cost=1.0)
        self.router.feedback(decision.id, satisfied=True)

    def serve(self, number=1):
        """Requests with feedback, each acknowledged."""
        for _ in range(number):
            self.ask()
            self.store.flush(timeout=60)

    def is_acknowledged_or_refused(self):
        return self.store.failure is not None or self.store.durable == len(self.store)


@pytest.fixture
def proxied(empty_postgres):
    engine = open_engine(empty_postgres)
    upgrade(engine)
    tables.create(engine)
    proxy, url = behind_proxy(empty_postgres)
    cluster = Cluster(empty_postgres, engine, names=())
    yield proxy, url, cluster
    proxy.mend()
    for member in [*OPENED]:
        with contextlib.suppress(StoreUnavailable):
            member.close()
    cluster.close()
    proxy.close()
    engine.dispose()


def counts(cluster):
    for member in OPENED:
        # A commit that takes long on a busy machine goes to the spool at any time.
        member.store.drain(60)
    cluster.settle()
    log = cluster.log()
    return [sum(isinstance(e, kind) for e in log) for kind in (Decision, Outcome, Feedback)]


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_events_wait_on_disk_and_come_once_in_order(proxied, tmp_path, monkeypatch, how):
    monkeypatch.setattr(replica_store, "_WRITE_SECONDS", 0.3)
    proxy, url, cluster = proxied
    member = Away(url, tmp_path)
    member.serve(3)
    # A loaded machine may need longer than that for a commit.
    until(lambda: member.store.warnings() == [])
    if how == "cut":
        proxy.cut()
    else:
        # What is on its way may be committed without an answer.
        proxy.stalls = True
    member.serve(20)
    assert member.store.failure is None
    (warning,) = member.store.warnings()
    assert warning.startswith("spooling: for")
    assert "60 events wait there" in warning
    with pytest.raises(StoreUnavailable):
        member.store.drain(0.1)
    proxy.mend()
    member.serve(5)
    member.store.drain(60)
    member.serve(2)
    until(lambda: member.store.warnings() == [] and not list(tmp_path.glob("*.spool")))
    assert counts(cluster) == [30, 30, 30]
    member.close()


def test_another_process_drains_what_a_killed_one_left(proxied, tmp_path):
    proxy, url, cluster = proxied
    member = Away(url, tmp_path)
    member.serve(3)
    proxy.cut()
    member.serve(10)
    member.die()
    proxy.mend()
    other = Away(url, tmp_path, "d")
    until(lambda: not list(tmp_path.glob("c.*")))
    other.serve(1)
    assert counts(cluster) == [14, 14, 14]
    # Under its old name, so that its numbers have no gap.
    assert cluster.learner._consumed == {"c": 39, "d": 3}
    other.close()


def test_a_spool_that_cannot_be_read_stops_no_other(proxied, tmp_path):
    proxy, url, cluster = proxied
    other = spool.Spool(tmp_path, "a")
    # Whole by its checksum, as that of another version.
    other.append(b"\xc1", events=1)
    other.close()
    member = Away(url, tmp_path)
    proxy.cut()
    member.serve(3)
    proxy.mend()
    member.store.drain(60)
    member.serve(1)
    until(lambda: any("of a in" in warning for warning in member.store.warnings()))
    assert [path.name for path in tmp_path.glob("*.spool")] == ["a.00000001.spool"]
    assert counts(cluster) == [4, 4, 4]
    member.close()


def test_damaged_records_do_not_hold_up_what_comes_after(proxied, tmp_path):
    proxy, url, cluster = proxied
    member = Away(url, tmp_path)
    proxy.cut()
    member.serve(10)
    (path,) = tmp_path.glob("c.*.spool")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    # And the last record, too.
    data[-1] ^= 1
    path.write_bytes(data)
    proxy.mend()
    member.store.drain(60)
    member.serve(1)
    counts(cluster)
    log = cluster.log()
    assert len(log) == 33
    lost = [event for event in log if isinstance(event, Tombstone)]
    damaged = [e for e in lost if e.reason == "its record in the spool was damaged"]
    assert 2 <= len(damaged) <= 6
    assert {e.reason for e in lost if e not in damaged} <= {"its decision is not in the log"}
    assert any("no whole record" in text for text in member.store.warnings())
    member.close()


def test_a_full_spool_refuses_and_goes_on_later(proxied, tmp_path):
    proxy, url, cluster = proxied
    member = Away(url, tmp_path, max_spool=40_000)
    proxy.cut()
    served = -1
    while member.store.failure is None:
        member.ask()
        until(member.is_acknowledged_or_refused)
        served += 1
    assert served > 2
    with pytest.raises(StoreUnavailable, match=r"replicas\.spool\.max"):
        member.store.flush(timeout=0.1)
    proxy.mend()
    until(lambda: member.store.failure is None)
    member.store.flush()
    member.store.drain(60)
    # The last request was not acknowledged, but waited.
    decisions, outcomes, labels = counts(cluster)
    assert decisions == served + 1
    assert outcomes == labels == served + 1
    member.close()


def test_a_failing_disk_refuses_too(proxied, tmp_path, monkeypatch):
    proxy, url, cluster = proxied
    member = Away(url, tmp_path)

    def full(file, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(spool, "_write_all", full)
        proxy.cut()
        member.ask()
        until(member.is_acknowledged_or_refused)
        with pytest.raises(StoreUnavailable, match="No space left on device"):
            member.store.flush(timeout=0.1)
    member.store.flush(timeout=60)
    member.serve()
    proxy.mend()
    member.store.drain(60)
    assert counts(cluster) == [2, 2, 2]
    member.close()


def test_a_slow_database_is_drained_to_as_well(proxied, tmp_path, monkeypatch):
    monkeypatch.setattr(replica_store, "_WRITE_SECONDS", 0.2)
    proxy, url, cluster = proxied
    member = Away(url, tmp_path)
    proxy.delay = 0.15
    member.serve(5)
    until(lambda: counts(cluster) == [5, 5, 5])
    proxy.mend()
    member.store.drain(60)
    member.close()


def test_a_commit_of_several_slow_steps_is_late_as_a_whole(proxied, tmp_path, monkeypatch, caplog):
    # Each step is in time; requests would get 503 after some seconds all the same.
    monkeypatch.setattr(replica_store, "_WRITE_SECONDS", 1.0)
    proxy, url, _ = proxied
    member = Away(url, tmp_path)
    member.serve()
    proxy.delay = 0.3
    member.serve()
    assert "no answer within 1 s" in caplog.text
    proxy.mend()
    member.store.drain(30)
    member.close()


def test_reads_fail_at_once_while_the_database_is_away(proxied, tmp_path, monkeypatch):
    proxy, url, _ = proxied
    member = Away(url, tmp_path)
    proxy.stalls = True
    member.serve()
    # No connection is asked for: it would wait for its time limit.
    with monkeypatch.context() as patch:
        patch.setattr(member.store.engine, "connect", None)
        with pytest.raises(StoreUnavailable):
            member.store.decision("x")
    proxy.mend()
    member.store.drain(60)
    assert member.store.decision("x") is None
    member.close()


NAME, OTHER = f"d{'1' * 16}", f"d{'2' * 16}"
"""Names of replicas as processes have them."""


def test_a_decision_on_the_disk_of_another_replica_may_come_later(
    proxied, empty_postgres, tmp_path
):
    proxy, url, cluster = proxied
    one = Away(url, tmp_path / "one", NAME)
    other = Away(empty_postgres, tmp_path / "other", OTHER)
    members = Membership(cluster.engine)
    members.beat(NAME, {SPOOLING: False})
    members.beat(OTHER, {SPOOLING: False})
    proxy.cut()
    made = one.router.route("Why?", "gold")
    one.store.flush()
    # The database has not heard that it is cut off.
    assert other.store.decision(made.id) is None
    assert other.store.lags(made.id)
    assert not other.store.lags(f"d{'3' * 16}-1")
    # The learner takes it for gone, and closes its calls.
    cluster.settle()
    cluster.stores[0].note_replica(NAME)
    members.forget(NAME)
    assert other.store.lags(made.id)
    proxy.mend()
    one.store.drain(30)
    assert other.store.decision(made.id).id == made.id
    one.close()
    other.close()


def test_a_decision_that_was_deleted_does_not_come_later(empty_postgres, proxied, tmp_path):
    _, _, cluster = proxied
    one = Away(empty_postgres, tmp_path, NAME)
    for number in range(6):
        decision = one.router.route("Why?", "gold", at=float(number))
        one.router.outcome(decision.id, cost=1.0, at=float(number))
    first, *_, last = one.router.remembered
    one.store.flush()
    cluster.settle()
    store = cluster.stores[0]
    store.write_snapshot(len(cluster.log()), cluster.learner._router.snapshot(), None)
    assert one.store.lags(first)
    assert vacuum(store.engine, 3.0).events
    assert one.store.decision(first) is None
    assert not one.store.lags(first)
    assert one.store.lags(last)
    one.close()


def test_a_completion_may_come_while_a_replica_is_silent_or_spools(
    empty_postgres, proxied, tmp_path, monkeypatch
):
    monkeypatch.setattr(replica_store, "_SILENT_SECONDS", 60.0)
    _, _, cluster = proxied
    one = Away(empty_postgres, tmp_path, NAME)
    members = Membership(cluster.engine)
    members.beat(OTHER, {SPOOLING: False})
    assert not one.store.lags("chatcmpl-1")
    members.beat(OTHER, {SPOOLING: True})
    assert one.store.lags("chatcmpl-1")
    members.beat(OTHER, {SPOOLING: False})
    with cluster.engine.begin() as connection:
        connection.execute(tables.members.update().values(seen=tables.members.c.seen - 61.0))
    assert one.store.lags("chatcmpl-1")
    one.close()
