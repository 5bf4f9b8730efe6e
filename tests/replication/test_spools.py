"""Shares of a replica that is gone wait for its spool."""

import pytest
import sqlalchemy as sa
from tests.support.live_gateway import wait_until

from floorline.replication import tables
from floorline.replication.members import Membership
from floorline.replication.replica_store import ReplicaStore
from floorline.replication.spools import SpoolRegister


def test_a_replica_that_is_gone_is_waited_for_until_its_spool_is_drained(engine):
    register = SpoolRegister(engine)
    for name in ("a", "b", "a"):
        register.add(name)
    assert register.undrained(1e9) == set()
    register.note_gone("a")
    register.note_gone("c")
    assert register.undrained(1e9) == {"a"}
    register.remove("a")
    register.remove("a")
    assert register.undrained(1e9) == set()


def rows(engine):
    with engine.connect() as connection:
        return set(connection.scalars(sa.select(tables.spools.c.replica)))


def test_a_replica_that_was_killed_while_it_started_is_forgotten(engine):
    register = SpoolRegister(engine)
    register.add("killed")
    register.add("lives")
    Membership(engine).beat("lives", {})
    register.forget(3600.0)
    # It may still wait for its start.
    assert rows(engine) == {"killed", "lives"}
    register.forget(-1.0)
    assert rows(engine) == {"lives"}


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_start_that_ends_early_leaves_nothing(url, engine, tmp_path):
    store = ReplicaStore(url, "early", spool=tmp_path)
    assert rows(engine) == {"early"}
    store.close()
    assert rows(engine) == set()


def test_it_is_not_waited_for_without_end(engine):
    register = SpoolRegister(engine)
    register.add("a")
    register.add("b")
    Membership(engine).beat("b", {})
    register.note_gone("a")
    assert register.undrained(-1.0) == set()
    register.forget(3600.0)
    assert register.undrained(1e9) == {"a"}
    register.forget(-1.0)
    assert register.undrained(1e9) == set()
    # One that lives is not forgotten.
    register.note_gone("b")
    assert register.undrained(1e9) == {"b"}


def test_the_spool_of_a_replica_that_came_back_is_not_forgotten(engine):
    register = SpoolRegister(engine)
    register.add("a")
    register.note_gone("a")
    Membership(engine).beat("a", {})
    register.forget(-1.0)
    assert register.undrained(1e9) == {"a"}


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_the_next_process_of_the_folder_says_that_a_spool_is_drained(url, engine, tmp_path):
    register = SpoolRegister(engine)
    register.add("gone")
    register.note_gone("gone")
    (tmp_path / "gone.lock").touch()
    store = ReplicaStore(url, "next", spool=tmp_path)
    try:
        wait_until(lambda: register.undrained(1e9) == set(), 60.0)
        register.note_gone("next")
        assert register.undrained(1e9) == {"next"}
    finally:
        store.close()
