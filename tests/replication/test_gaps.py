"""A missing event of one replica holds up only what depends on it, however much waits behind it."""

import pytest
import sqlalchemy as sa
from tests.replication.test_learner import ids, learn, log_of, replica, traffic

from floorline.events import Feedback, Tombstone
from floorline.replication import learner as learner_module
from floorline.replication.tables import inbox

__all__ = ["learn", "replica"]


@pytest.fixture(autouse=True)
def few_rows(monkeypatch):
    """A step reads fewer rows than wait behind the gap."""
    monkeypatch.setattr(learner_module, "_MAX_ROWS", 10)


def lose(engine, name, number):
    """Let something delete the row of an event."""
    same = sa.and_(inbox.c.replica == name, inbox.c.number == number)
    with engine.begin() as connection:
        assert connection.execute(inbox.delete().where(same)).rowcount == 1


def step_until_nothing_comes(learner):
    while learner.step():
        pass


def test_a_gap_holds_up_no_other_replica(learn, replica, engine):
    learner = learn()
    replica("a").append(*traffic(20, replica="a"))
    replica("b").append(*traffic(20, seed=2, replica="b"))
    lose(engine, "a", 5)
    step_until_nothing_comes(learner)
    # Of "a" what comes before the gap.
    assert ids(log_of(learner)) == ["a-0", "a-1", *(f"b-{n}" for n in range(20))]
    assert len(log_of(learner)) == 4 + 60


def test_what_depends_on_events_behind_a_gap_waits_for_them(learn, replica, engine, monkeypatch):
    learner = learn()
    served = traffic(20, replica="a")
    replica("a").append(*served)
    lose(engine, "a", 2)
    label = next(e for e in served if isinstance(e, Feedback) and e.decision == "a-19")
    replica("b").append(*traffic(2, seed=2, replica="b"), label, *traffic(2, seed=3, replica="b2"))
    replica("c").append(*traffic(5, seed=4, replica="c"))
    step_until_nothing_comes(learner)
    # The label of "b" needs a decision that "a" could not yet add to the log.
    log = log_of(learner)
    assert ids(log) == ["a-0", "b-0", "b-1", *(f"c-{n}" for n in range(5))]
    assert not any(isinstance(event, Tombstone) for event in log)
    monkeypatch.setattr(learner_module, "_GAP_SECONDS", 0.0)
    learner.step()
    step_until_nothing_comes(learner)
    log = log_of(learner)
    assert [event.reason for event in log if isinstance(event, Tombstone)] == [
        "1 events were missing"
    ]
    labels = [event.decision for event in log if isinstance(event, Feedback)]
    assert labels.count("a-19") == 2
    assert {"b2-0", "b2-1", "a-19"} <= set(ids(log))


def test_several_gaps_hold_up_no_other_replica(learn, replica, engine):
    learner = learn()
    for name in "abc":
        replica(name).append(*traffic(10, replica=name))
        lose(engine, name, 1)
    replica("d").append(*traffic(10, replica="d"))
    step_until_nothing_comes(learner)
    assert ids(log_of(learner)) == [f"d-{n}" for n in range(10)]
