"""What replicas append is in the log exactly once, in one order, and in the published state."""

import asyncio
import json
import time
from contextlib import ExitStack

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from floorline import SLA, Model, Router, Zoo
from floorline.events import Decision, Feedback, Judgement, Outcome, Tombstone
from floorline.replication import lease as lease_module
from floorline.replication.inbox import InboxWriter
from floorline.replication.inbox_reader import InboxReader
from floorline.replication.learner import Learner
from floorline.replication.learner_store import LearnerStore
from floorline.replication.lease import Lease, LeaseLost
from floorline.replication.tables import inbox, replicas, states
from floorline.stores.commit import GroupCommit
from floorline.stores.recovery import recover
from floorline.stores.writing import prepare

ZOO = Zoo([Model("small", call_price=1.0), Model("large", call_price=5.0)])
GOLD = SLA("gold", floor=0.8)

PATIENCE = 120.0
"""Seconds within which a commit must end on a busy machine."""

TWO_WRITERS = pytest.mark.parametrize("url", ["postgres"], indirect=True)
"""SQLite has one writer at a time."""


def new_router(log=None, seed=1):
    return Router(ZOO, slas=[GOLD], seed=seed, log=log)


def traffic(requests, seed=1, replica="r"):
    """Events of a router that serves some requests."""
    router = new_router(seed=seed)
    for number in range(requests):
        made = router.route(f"Question {number}", id=f"{replica}-{number}", at=float(number))
        router.outcome(made.id, cost=1.0, at=float(number))
        router.feedback(made.id, satisfied=number % 5 > 0, at=float(number))
    return list(router.log.read())


class Replica:
    """A process that appends to the inbox."""

    def __init__(self, engine, name):
        self.writer = InboxWriter(engine, name)
        self.commits = GroupCommit(self.writer, durable=0, max_pending=10_000, patience=5.0)

    def append(self, *events):
        for event in events:
            self.commits.append(prepare(event))
        self.commits.flush(None, None)

    def close(self):
        self.commits.close(None)
        self.writer.close()


@pytest.fixture
def replica(engine):
    made = []

    def begin(name):
        made.append(Replica(engine, name))
        return made[-1]

    yield begin
    for one in made:
        one.close()


@pytest.fixture
def learn(engine, url, monkeypatch):
    """Start learners, each with the lease of its own; the earlier ones are cut off."""
    # A busy machine may stop this process within a transaction for longer than the lease holds.
    monkeypatch.setattr(lease_module, "_LEAST_IDLE_SECONDS", 600.0)
    stores = []

    def begin(seconds=0.05, *, close=False):
        while close and stores:
            stores.pop().close()
        lease = Lease(engine, f"learner {len(stores)}", seconds=seconds)
        deadline = time.monotonic() + 60
        while not lease.take():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        store = LearnerStore(url, lease, patience=PATIENCE)
        stores.append(store)
        return Learner(recover(lambda: new_router(store), store), store)

    yield begin
    for store in stores:
        store.close()


def log_of(learner):
    return list(learner._store.read())


def ids(events):
    return [event.id for event in events if isinstance(event, Decision)]


def test_events_of_replicas_are_in_the_log_once(learn, replica, engine):
    learner = learn()
    one, two = traffic(20, replica="a"), traffic(30, seed=2, replica="b")
    replica("a").append(*one)
    replica("b").append(*two)
    assert learner.step() == len(one) + len(two)
    assert learner.step() == 0
    log = log_of(learner)
    assert len(log) == len(one) + len(two)
    # One numbering of all decisions, and each replica's events in its order.
    assert [event.seq for event in log if isinstance(event, Decision)] == list(range(1, 51))
    assert [id for id in ids(log) if id[0] == "a"] == ids(one)
    assert InboxReader(engine).consumed() == {"a": len(one), "b": len(two)}
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(inbox)) == 0


def test_the_published_state_is_the_fold_of_the_log(learn, replica):
    learner = learn()
    replica("a").append(*traffic(40))
    learner.step()
    assert learner.publish()
    assert not learner.publish()  # confirmed
    folded = new_router()
    folded.apply(learner._store.read())
    with learner._store.engine.connect() as connection:
        row = connection.execute(sa.select(states)).one()
    assert bytes(row.body) == folded.snapshot(records=False)
    assert (row.position, json.loads(row.consumed)) == (120, {"a": 120})


@TWO_WRITERS
def test_an_event_that_is_committed_late_is_not_lost(learn, replica, engine):
    learner = learn()
    events = traffic(3, replica="late")
    slow, quick = InboxWriter(engine, "late"), replica("quick")
    with engine.connect() as connection:
        transaction = connection.begin()
        rows = slow.encode(0, [prepare(event) for event in events]).events
        connection.execute(slow._insertion, rows)
        # Rows with higher ids are committed, read and deleted before these.
        quick.append(*traffic(2, seed=2, replica="quick"))
        assert learner.step() == 6
        assert learner.step() == 0
        transaction.commit()
    assert learner.step() == 9
    assert ids(log_of(learner)) == ["quick-0", "quick-1", "late-0", "late-1", "late-2"]


def test_a_commit_in_doubt_is_counted_once(learn, engine):
    learner = learn()
    prepared = [prepare(event) for event in traffic(2)]
    writer = InboxWriter(engine, "a")
    batch = writer.encode(0, prepared)
    writer.write(batch)
    # The answer to the commit was lost: the rows are sent again, before and after they are read.
    writer.write(batch)
    assert learner.step() == 6
    writer.write(batch)
    assert learner.step() == 0
    assert len(log_of(learner)) == 6
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(inbox)) == 0
    writer.close()


def test_what_follows_a_gap_waits(learn, engine):
    learner = learn()
    first, later, other = (
        InboxWriter(engine, "a"),
        InboxWriter(engine, "a"),
        InboxWriter(engine, "b"),
    )
    events = traffic(2)
    label = next(event for event in events[3:] if isinstance(event, Feedback))
    later.write(later.encode(3, [prepare(event) for event in events[3:5]]))
    # A label of another replica for a decision that cannot be read yet.
    other.write(other.encode(0, [prepare(label)]))
    assert learner.step() == 0
    first.write(first.encode(0, [prepare(event) for event in events[:3]]))
    assert [learner.step() for _ in range(3)] == [3, 3, 0]
    assert ids(log_of(learner)) == ["r-0", "r-1"]
    for writer in (first, later, other):
        writer.close()


@TWO_WRITERS
def test_an_old_learner_writes_and_publishes_nothing(learn, replica):
    old = learn()
    a = replica("a")
    a.append(*traffic(2))
    time.sleep(0.2)
    new = learn()
    with pytest.raises(LeaseLost):
        old.step()
    assert new.step() == 6
    assert new.publish()
    with pytest.raises(LeaseLost):
        old.publish()
    assert len(log_of(new)) == 6


@TWO_WRITERS
def test_an_old_learner_is_told_so_while_it_still_appends(learn, replica):
    old = learn()
    a = replica("a")
    a.append(*traffic(2))
    waiting = old._store.inbox.take({}, 10).events
    time.sleep(0.2)
    learn()
    # The first event's commit meets the new lease before the second event is appended.
    old._append(waiting[0], waiting[0].event)
    with pytest.raises(LeaseLost):
        old._store.flush()
    with pytest.raises(LeaseLost):
        old._append(waiting[1], waiting[1].event)


@TWO_WRITERS
def test_a_new_learner_goes_on_where_the_old_one_was(learn, replica):
    one, two = traffic(10), traffic(10, seed=2, replica="b")
    a, b = replica("a"), replica("b")
    first = learn()
    a.append(*one[:17])
    first.step()
    time.sleep(0.2)
    second = learn()
    a.append(*one[17:])
    b.append(*two)
    second.step()
    log = log_of(second)
    assert len(log) == len(one) + len(two)
    folded = new_router()
    folded.apply(log)
    assert second._router.snapshot() == folded.snapshot()


def test_a_label_for_a_forgotten_decision_recalls_it(learn, replica, url):
    learner = learn()
    events = traffic(3)
    a = replica("a")
    a.append(*events[:1])
    learner.step()
    learner._router._fold.records_.clear()
    a.append(*events[1:])
    learner.step()
    assert learner._router.status("gold").labels == 3
    kinds = [type(event).__name__ for event in log_of(learner)]
    assert kinds[:3] == ["Decision", "Recall", "Outcome"]


def test_a_label_finds_its_decision_that_is_forgotten_before_its_commit(
    learn, replica, monkeypatch
):
    learner = learn()
    monkeypatch.setattr(learner._router._fold, "memory", 2)
    served = traffic(8)
    labels = [event for event in served if isinstance(event, Feedback)]
    others = [event for event in served if not isinstance(event, Feedback)]
    # The second message of the same key says the same again, and counts once.
    replica("a").append(*others, labels[0], *labels[1:], labels[0])
    assert learner.step() == len(served) + 1
    assert not any(isinstance(event, Tombstone) for event in log_of(learner))
    assert learner._router.status("gold").labels == len(labels)


def test_waiting_for_a_commit_does_not_block_the_loop(replica):
    one = replica("a")

    async def scene():
        for event in traffic(5):
            one.commits.append(prepare(event))
        await one.commits.committed(15, 5.0)

    asyncio.run(scene())
    assert one.commits.durable == 15


@TWO_WRITERS
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_interleaving_gives_each_event_once(data, learn, engine, url):
    """Replicas, commits in doubt, commits that are late and learners that change, in any order."""
    with engine.begin() as connection:
        for table in (inbox, replicas, states):
            connection.exec_driver_sql(f"ALTER TABLE {table.name} DISABLE TRIGGER USER")
            connection.execute(table.delete())
            connection.exec_driver_sql(f"ALTER TABLE {table.name} ENABLE TRIGGER USER")
    learner = learn(close=True)
    before = len(learner._store)
    prefix = str(before)
    names = [f"{prefix}{name}" for name in "ab"]
    queues = {n: traffic(4, seed=k, replica=n) for k, n in enumerate(names)}
    sent = dict.fromkeys(names, 0)
    writers = {n: InboxWriter(engine, n) for n in names}
    open_commits = {}
    # An example that fails must leave no transaction open, for which the next one would wait.
    with ExitStack() as opened:
        for one in writers.values():
            opened.callback(one.close)
        for _ in range(data.draw(st.integers(5, 25))):
            name = data.draw(st.sampled_from(names))
            action = data.draw(
                st.sampled_from(["send", "again", "delay", "end", "step", "learner"])
            )
            writer, at = writers[name], sent[name]
            batch = writer.encode(at, [prepare(event) for event in queues[name][at : at + 2]])
            if action == "send" and batch.events and name not in open_commits:
                writer.write(batch)
                sent[name] += len(batch.events)
            elif action == "again" and at and name not in open_commits:
                first = max(0, at - 3)
                writer.write(writer.encode(first, [prepare(e) for e in queues[name][first:at]]))
            elif action == "delay" and batch.events and name not in open_commits:
                connection = opened.enter_context(engine.connect())
                transaction = connection.begin()
                connection.execute(writer._insertion, batch.events)
                open_commits[name] = connection, transaction, len(batch.events)
            elif action == "end" and name in open_commits:
                connection, transaction, count = open_commits.pop(name)
                if data.draw(st.booleans()):
                    transaction.commit()
                    sent[name] += count
                else:
                    transaction.rollback()
                connection.close()
            elif action == "step":
                learner.step()
            elif action == "learner":
                time.sleep(0.06)
                learner = learn(close=data.draw(st.booleans()))
    while learner.step():
        pass
    log = log_of(learner)[before:]
    for name in names:
        mine = queues[name][: sent[name]]
        assert [e for e in map(key, log) if e[1].startswith(name)] == list(map(key, mine))
    folded = new_router()
    folded.apply(log_of(learner))
    assert folded.snapshot() == learner._router.snapshot()


def key(event):
    """What tells an event apart, without the numbers and weights that the log gives it."""
    if isinstance(event, Decision):
        return "decision", event.id
    if isinstance(event, Outcome):
        return "outcome", event.decision
    return type(event).__name__, event.decision


def test_a_judgement_of_a_forgotten_decision_recalls_it(learn, replica):
    learner = learn()
    events = traffic(3)
    a = replica("a")
    a.append(*events[:2])
    learner.step()
    learner._router._fold.records_.clear()
    said = Judgement(decision=events[0].id, model=events[0].model, judge="strict", score=1.0)
    said = msgspec.structs.replace(said, rate=0.5)
    a.append(said, Judgement(decision="nothing", model="small", judge="strict", score=1.0))
    learner.step()
    assert [type(event).__name__ for event in log_of(learner)[2:]] == [
        "Recall",
        "Judgement",
        "Tombstone",
    ]
    assert learner._router.certificate("gold").judged[0].judge == "strict"


def test_a_late_label_is_paired_with_the_judgement_of_a_forgotten_decision(learn, replica):
    learner = learn()
    events = traffic(3)
    a, made = replica("a"), events[0]
    said = Judgement(decision=made.id, model=made.model, judge="strict", score=0.25, rate=0.5)
    a.append(*events[:2], said)
    learner.step()
    learner._router._fold.records_.clear()
    a.append(Feedback(decision=made.id, model=made.model, score=1.0), said)
    learner.step()
    [found] = learner._router.certificate("gold").judged
    assert (found.drawn, found.pairs) == (1, 1)
