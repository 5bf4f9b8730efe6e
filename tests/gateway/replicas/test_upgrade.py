"""A rolling upgrade between versions of snapshots: servers first, then learners first."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.support import other_version
from tests.support.replica_processes import PATIENCE, ask

from floorline.core.snapshots import unpack
from floorline.events import Decision, Feedback
from floorline.replication.tables import states
from floorline.state import router_snapshot
from floorline.stores.engine import open_engine

pytestmark = pytest.mark.slow


def version(number):
    """Command of a version of the program."""
    return [str(Path(other_version.__file__)), str(number)]


def label(replica, answers):
    """Ask a server, label its answer, and keep both."""
    answer = ask(replica)
    assert answer.status_code == 200
    id = answer.headers["x-floorline-decision"]
    told = replica.http.post("/v1/feedback", json={"id": id, "satisfied": True})
    assert told.status_code == 200
    answers.append(id)


def published(url):
    """Version of the published state, as a difference to this program's."""
    engine = open_engine(url)
    with engine.connect() as connection:
        row = connection.execute(sa.select(states)).one()
    engine.dispose()
    return unpack(bytes(row.body))["version"] - router_snapshot._VERSION


def test_at_least_one_server_serves_in_both_orders(processes, empty_postgres):
    answers = []
    old = processes.learn()
    a = processes.serve("a")
    label(a, answers)

    # Servers first: the upgraded one is not ready, and the other one serves.
    b = processes.serve("b", version(1), wait=False)
    processes.until(lambda: "version" in str(processes.readiness(b)[1]["errors"]))
    assert processes.readiness(b)[0] == 503
    label(a, answers)
    new = processes.learn(version(1))
    old.terminate()
    assert old.wait(PATIENCE) == 0
    processes.until(lambda: processes.readiness(b)[0] == 200)
    label(a, answers)
    label(b, answers)
    assert published(empty_postgres) == 1
    processes.until(lambda: processes.status("b")["labels"] == 4)

    # Learners first: the servers go on from the last state that they can read.
    newest = processes.learn(version(2))
    new.terminate()
    assert new.wait(PATIENCE) == 0
    processes.until(lambda: published(empty_postgres) == 2)
    for server in (a, b):
        label(server, answers)
    c = processes.serve("c", version(2))
    for server in (a, b):
        assert server.stop(PATIENCE) == 0
        label(c, answers)
    processes.until(lambda: processes.status("c")["labels"] == len(answers))
    assert c.stop(PATIENCE) == 0
    newest.terminate()
    assert newest.wait(PATIENCE) == 0

    log = processes.events()
    assert [e.id for e in log if isinstance(e, Decision)] == answers
    assert sorted(e.decision for e in log if isinstance(e, Feedback)) == sorted(answers)
