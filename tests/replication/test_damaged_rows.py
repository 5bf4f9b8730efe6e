"""Damaged and missing rows of the shared tables stop no other event, and can be repaired."""

import time

import pytest
import sqlalchemy as sa
from tests.replication.test_learner import ids, learn, log_of, replica, traffic

from floorline.cli.app import main
from floorline.events import Decision, Feedback, Tombstone
from floorline.replication import learner as learner_module
from floorline.replication import learner_store
from floorline.replication.damaged_rows import SharedDamage, find_damage, mend
from floorline.replication.inbox import InboxWriter
from floorline.replication.inbox_reader import InboxReader
from floorline.replication.lease import Lease
from floorline.replication.members import Membership
from floorline.replication.survey import survey
from floorline.replication.tables import (
    inbox,
    inbox_damaged,
    lease,
    members,
    replicas,
    states,
)
from floorline.stores.schema import events
from floorline.stores.writing import prepare

__all__ = ["learn", "replica"]


def rows_of(engine, table):
    with engine.connect() as connection:
        return connection.execute(sa.select(table)).mappings().all()


def change(engine, event, **values):
    """Let another program change the row of an event of replica "a"."""
    same = sa.and_(inbox.c.replica == "a", inbox.c.number == event)
    with engine.begin() as connection:
        assert connection.execute(inbox.update().where(same).values(values)).rowcount == 1


def test_a_tombstone_takes_the_place_of_a_damaged_event(learn, replica, engine, caplog):
    learner = learn()
    replica("a").append(*traffic(3))
    replica("b").append(*traffic(1, seed=2, replica="b"))
    change(engine, 3, body=b"\x80")
    learner.step()
    log = log_of(learner)
    assert ids(log) == ["r-0", "r-1", "r-2", "b-0"]
    (lost,) = (event for event in log if isinstance(event, Tombstone))
    assert lost == Tombstone(lost="feedback", reason="its row in the inbox was damaged")
    assert sum(isinstance(event, Feedback) for event in log) == 3
    (kept,) = rows_of(engine, inbox_damaged)
    assert (kept["replica"], kept["number"], bytes(kept["body"])) == ("a", 3, b"\x80")
    assert "1 damaged events in the inbox are lost" in caplog.text
    assert survey(engine).damaged == 1
    assert not rows_of(engine, inbox)
    assert learner.step() == 0


def test_what_depends_on_a_damaged_decision_is_lost_with_it(learn, replica, engine):
    learner = learn()
    replica("a").append(*traffic(2))
    change(engine, 1, kind="nonsense")
    learner.step()
    log = log_of(learner)
    assert ids(log) == ["r-1"]
    assert [event.lost for event in log if isinstance(event, Tombstone)] == [
        "", "outcome", "feedback",
    ]  # fmt: skip


def test_an_event_that_lost_its_place_holds_up_no_other_for_long(
    learn, replica, engine, monkeypatch
):
    learner = learn()
    replica("a").append(*traffic(3))
    change(engine, 2, number=77)
    assert learner.step() == 1
    assert [row["number"] for row in rows_of(engine, inbox_damaged)] == [77]
    assert learner.step() == 0
    monkeypatch.setattr(learner_module, "_GAP_SECONDS", 0.0)
    learner.step()
    learner.step()
    log = log_of(learner)
    assert [event.reason for event in log if isinstance(event, Tombstone)] == [
        "1 events were missing"
    ]
    assert ids(log) == ["r-0", "r-1", "r-2"]
    assert not rows_of(engine, inbox)


def test_an_event_that_waits_for_another_replica_is_not_taken_for_missing(
    learn, replica, engine, monkeypatch
):
    learner = learn()
    served = traffic(2)
    replica("a").append(*served)
    with engine.begin() as connection:
        connection.execute(inbox.delete().where(inbox.c.replica == "a", inbox.c.number == 1))
    label = next(event for event in served[3:] if isinstance(event, Feedback))
    replica("b").append(label, *traffic(1, seed=2, replica="b"))
    monkeypatch.setattr(learner_module, "_GAP_SECONDS", 0.0)
    while learner.step() or rows_of(engine, inbox):
        pass
    log = log_of(learner)
    assert [event.reason for event in log if isinstance(event, Tombstone)][:1] == [
        "1 events were missing"
    ]
    # Of "a" the decision is missing, so that its outcome and its label are lost with it.
    assert sum(isinstance(event, Tombstone) for event in log) == 3
    assert ids(log) == ["r-1", "b-0"]
    labels = [event.decision for event in log if isinstance(event, Feedback)]
    assert sorted(labels) == ["b-0", "r-1", "r-1"]


@pytest.mark.parametrize("status", ["{x", "[]", ""])
def test_a_damaged_status_of_a_server_stops_no_other(engine, status):
    servers = Membership(engine)
    servers.beat("a", {"host": "one"})
    servers.beat("b", {"host": "two"})
    with engine.begin() as connection:
        connection.execute(members.update().where(members.c.id == "a").values(status=status))
    assert {one.id: one.status for one in servers.all()} == {"a": {}, "b": {"host": "two"}}


def test_a_spool_can_be_drained_at_any_time_later(learn, engine):
    learner = learn(30.0)
    learner._store.lease.fence(engine)
    engine.dispose()
    writer = InboxWriter(engine, "a")
    items = [prepare(event) for event in traffic(2)]
    writer.write(writer.encode(0, items[:3]))
    learner.step()
    with engine.begin() as connection:
        connection.execute(replicas.update().values(seen=0.0))
    learner.forget_replicas(60.0)
    learner.publish()
    assert rows_of(engine, states)[0]["consumed"] == "{}"
    # The last commit before was in doubt, so that its event is sent again.
    writer.write(writer.encode(2, items[2:]))
    learner.step()
    assert [type(event) for event in log_of(learner)].count(Decision) == 2
    assert len(log_of(learner)) == 6
    assert InboxReader(engine).consumed() == {"a": 6}
    assert not rows_of(engine, inbox)
    writer.close()


def test_a_state_that_does_not_change_is_confirmed_once_in_a_while(learn, engine, monkeypatch):
    learner = learn(30.0)
    learner.publish()

    def confirmed():
        before = rows_of(engine, states)[0]["at"]
        assert not learner.publish()
        return rows_of(engine, states)[0]["at"] != before

    monkeypatch.setattr(learner_store, "_CONFIRM_SECONDS", 60.0)
    assert not confirmed()
    monkeypatch.setattr(learner_store, "_CONFIRM_SECONDS", 0.0)
    time.sleep(0.002)  # the database's clock has microseconds, SQLite's milliseconds
    assert confirmed()
    # A state that something deleted is published again.
    learner._store.lease.fence(engine)
    engine.dispose()
    with engine.begin() as connection:
        connection.execute(states.delete())
    assert learner.publish()
    assert len(rows_of(engine, states)) == 1


def test_damage_is_found_and_mended(learn, replica, engine):
    assert find_damage(engine) == SharedDamage(rows=[], states=[])
    learner = learn(30.0)
    learner.publish()
    learner._store.lease.fence(engine)
    engine.dispose()
    replica("a").append(*traffic(2))
    change(engine, 3, completion="other")
    with engine.begin() as connection:
        connection.execute(states.update().values(body=b"\x80"))
    found = find_damage(engine)
    (damaged,) = (row for row in rows_of(engine, inbox) if row["number"] == 3)
    assert found == SharedDamage(6, 0, [damaged["id"]], ["learner"])
    assert [damage.where for damage in found.damages()] == [
        f"inbox row {damaged['id']}",
        "state learner",
    ]
    mend(engine, found)
    assert find_damage(engine) == SharedDamage(6, 1, [], [])
    assert rows_of(engine, inbox_damaged) == [damaged]
    learner.step()
    assert [event.lost for event in log_of(learner) if isinstance(event, Tombstone)] == ["feedback"]
    assert learner.publish()


def test_any_number_of_damaged_events_is_mended(replica, engine):
    """Databases take at most 65,535 parameters for a statement, and SQLite 32,766."""
    replica("a").append(*traffic(1))
    change(engine, 2, completion="other")
    (damaged,) = find_damage(engine).rows
    mend(engine, SharedDamage(rows=[*range(damaged + 2, damaged + 66_000), damaged]))
    assert find_damage(engine) == SharedDamage(3, 1, [], [])


def damaged_store(learn, replica, engine, *, in_the_log):
    """A store that no process has open: one damaged event waits, or is in the log as well."""
    learner = learn(30.0)
    replica("a").append(*traffic(2))
    learner.step()
    learner.publish()
    replica("b").append(*traffic(2, seed=2, replica="b"))
    learn(0.05, close=True)._store.close()
    same = sa.and_(inbox.c.replica == "b", inbox.c.number == 3)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.delete(lease))
        connection.execute(inbox.update().where(same).values(completion="other"))
        if in_the_log:
            at = events.c.position == 2
            connection.execute(events.update().where(at).values(model="other"))
    engine.dispose()


@pytest.mark.parametrize("in_the_log", [False, True])
def test_the_commands_know_the_inbox(learn, replica, engine, url, capsys, in_the_log):
    damaged_store(learn, replica, engine, in_the_log=in_the_log)
    damages = 1 + in_the_log
    assert main(["store", "verify", url]) == 1
    told = capsys.readouterr().out
    assert "Replicas share it: 6 of their events wait in the inbox." in told
    assert told.count("damaged: ") == damages
    assert main(["store", "repair", url]) == 1
    told = capsys.readouterr().out
    assert "A repair loses 1 events that wait for the learner." in told
    assert main(["store", "repair", url, "--yes"]) == 0
    assert "kept in the table inbox_damaged" in capsys.readouterr().out
    assert main(["store", "verify", url]) == 0
    assert "Tombstones took the place of 1 damaged events" in capsys.readouterr().out
    learner = learn()
    learner.step()
    lost = [event.lost for event in log_of(learner) if isinstance(event, Tombstone)]
    assert lost == ["feedback"] * damages


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_shared_store_is_cleaned_up_while_no_learner_runs(learn, replica, engine, url, capsys):
    learner = learn(30.0)
    replica("a").append(*traffic(2))
    learner.step()
    command = ["store", "vacuum", "--older-than", "1d", "--store", url]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert "set store.retention, after which it deletes old events itself, or stop every" in told
    learner._store.close()
    assert main(command) == 0
    assert "Deleted 0 events" in capsys.readouterr().out
    # The lease is free again.
    assert Lease(engine, "next").take()
