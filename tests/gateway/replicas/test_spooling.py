"""Servers whose PostgreSQL goes away: real processes, and a proxy before the database."""

import pytest
from tests.support.live_gateway import write_settings
from tests.support.replica_processes import Processes, ask
from tests.support.tcp_proxy import behind_proxy

from floorline.events import Decision, Feedback, Outcome, Tombstone

pytestmark = pytest.mark.slow


@pytest.fixture
def proxied(empty_postgres, provider, tmp_path):
    """Processes of which the servers reach the database by a proxy, and the proxy."""
    proxy, url = behind_proxy(empty_postgres)
    replicas = {"enabled": True, "lease": "1s", "spool": {"folder": str(tmp_path / "spool")}}
    text = write_settings(provider, store={"url": url}, replicas=replicas)
    made = Processes(tmp_path, text, empty_postgres)
    direct = write_settings(provider, store={"url": empty_postgres}, replicas=replicas)
    made.path.write_text(direct)
    yield made, proxy
    proxy.mend()
    made.stop()
    proxy.close()


def judged(replica, number):
    """Ask and judge at a server, by the id of the decision; the id."""
    answer = ask(replica, f"Question {number}")
    assert answer.status_code == 200, answer.text
    id = answer.headers["x-floorline-decision"]
    label = replica.http.post("/v1/feedback", json={"decision": id, "satisfied": True})
    assert label.status_code == 200, label.text
    return id


def spooling(replica):
    ready = replica.http.get("/readyz")
    assert ready.status_code == 200, ready.text
    return [text for text in ready.json()["warnings"] if text.startswith("spooling")]


def check_log(processes, ids):
    """Every decision, outcome and label is in the log once."""
    log = processes.events()
    assert not [event for event in log if isinstance(event, Tombstone)]
    assert sorted(e.id for e in log if isinstance(e, Decision)) == sorted(ids)
    assert sorted(e.decision for e in log if isinstance(e, Outcome)) == sorted(ids)
    assert sorted(e.decision for e in log if isinstance(e, Feedback)) == sorted(ids)


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_servers_go_on_without_the_database(proxied, how):
    processes, proxy = proxied
    processes.learn()
    a = processes.serve("a")
    ids = [judged(a, number) for number in range(3)]
    # A loaded machine may commit so late that they went to the spool.
    processes.until(lambda: not spooling(a))
    if how == "cut":
        proxy.cut()
    else:
        proxy.stalls = True
    ids += [judged(a, number) for number in range(10)]
    assert "30 events wait there" in spooling(a)[0]
    # What another server may have served cannot be judged now, but later.
    body = {"id": "chatcmpl-of-another-server", "satisfied": True}
    assert a.http.post("/v1/feedback", json=body).status_code == 503
    proxy.mend()
    processes.until(lambda: not spooling(a))
    ids.append(judged(a, 99))
    processes.until(lambda: processes.status("a")["labels"] == 14)
    processes.stop()
    check_log(processes, ids)


def test_another_process_brings_what_a_killed_one_left(proxied):
    processes, proxy = proxied
    processes.learn()
    a = processes.serve("a")
    ids = [judged(a, number) for number in range(3)]
    proxy.cut()
    ids += [judged(a, number) for number in range(10)]
    a.kill()
    assert list((processes.folder / "spool").glob("*.spool"))
    proxy.mend()
    processes.serve("b")
    processes.until(lambda: processes.status("b")["labels"] == 13)
    assert not list((processes.folder / "spool").glob("*.spool"))
    processes.stop()
    check_log(processes, ids)


def test_a_full_disk_refuses_until_the_database_is_back(proxied):
    processes, proxy = proxied
    processes.learn()
    a = processes.serve("a")
    ids = [judged(a, 0)]
    proxy.cut()
    ids.append(judged(a, 1))
    a.limit_files(100)

    def refused():
        return ask(a, "Question").status_code == 503

    processes.until(refused)
    ready = a.http.get("/readyz")
    assert ready.status_code == 503
    assert "File too large" in ready.text
    proxy.mend()
    a.limit_files(None)
    processes.until(lambda: a.http.get("/readyz").status_code == 200)
    processes.until(lambda: not spooling(a))
    ids.append(judged(a, 2))
    processes.until(lambda: processes.status("a")["labels"] == 3)
    processes.stop()
    log = processes.events()
    assert sorted(e.decision for e in log if isinstance(e, Feedback)) == sorted(ids)
    numbers = [e.id for e in log if isinstance(e, Decision)]
    assert len(set(numbers)) == len(numbers) >= 3
