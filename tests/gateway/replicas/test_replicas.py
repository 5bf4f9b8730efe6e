"""Several servers and learners of one log, each a process, over HTTP."""

import json
import signal

import pytest
from tests.support.replica_processes import ask

from floorline.events import Decision, Feedback, Outcome, ZooChange

pytestmark = pytest.mark.slow


def label(replica, answer, satisfied=True):
    id = answer.headers["x-floorline-decision"]
    return replica.http.post("/v1/feedback", json={"id": id, "satisfied": satisfied})


def test_two_servers_keep_one_promise(processes):
    processes.learn()
    a, b = processes.serve("a"), processes.serve("b")
    for number in range(20):
        one, other = (a, b) if number % 2 else (b, a)
        answer = ask(one, f"Question {number}")
        assert answer.status_code == 200
        # By its own id and by that of the completion, at the other server, at once.
        assert label(other, answer).status_code == 200
        id = answer.headers["x-floorline-decision"]
        shown = other.http.get(f"/v1/decisions/{id}")
        assert shown.status_code == 200, shown.text
        assert shown.json()["model"] == answer.headers["x-floorline-model"]
    processes.until(lambda: processes.status("a")["labels"] == 20)
    processes.until(lambda: processes.status("b") == processes.status("a"))
    assert processes.status("a")["requests"] == 20
    ready = a.http.get("/readyz").json()
    assert ready["status"] == "ready", ready
    metrics = a.http.get("/metrics").text
    assert "floorline_replicas 2.0" in metrics or "floorline_replicas 1.0" in metrics
    age = next(line for line in metrics.splitlines() if line.startswith("floorline_state_age"))
    assert float(age.split()[-1]) >= 0.0
    processes.stop()
    log = processes.events()
    kinds = [type(event) for event in log]
    assert [kinds.count(kind) for kind in (Decision, Outcome, Feedback)] == [20, 20, 20]
    assert [e.seq for e in log if isinstance(e, Decision)] == list(range(1, 21))


def test_another_learner_takes_over(processes):
    first = processes.learn()
    a = processes.serve("a")
    assert label(a, ask(a)).status_code == 200
    processes.until(lambda: processes.status("a")["labels"] == 1)
    processes.learn()
    first.kill()
    for _ in range(3):
        assert label(a, ask(a)).status_code == 200
    processes.until(lambda: processes.status("a")["labels"] == 4)
    processes.stop()
    assert sum(isinstance(event, Feedback) for event in processes.events()) == 4


def test_a_server_that_is_killed_loses_no_acknowledged_feedback(processes):
    learner = processes.learn()
    a = processes.serve("a")
    processes.serve("b")
    # What is acknowledged waits in the inbox.
    learner.send_signal(signal.SIGSTOP)
    answers = [ask(a, f"Question {number}") for number in range(5)]
    for answer in answers:
        assert label(a, answer).status_code == 200
    a.process.kill()
    a.process.wait()
    learner.send_signal(signal.SIGCONT)
    processes.until(lambda: processes.status("b")["labels"] == 5)
    # The calls of a server that is gone do not stay reserved.
    processes.until(lambda: processes.status("b")["reserved"] == 0.0)


def test_models_and_floors_follow_the_file_and_the_replicas(processes):
    processes.learn()
    a, b = processes.serve("a"), processes.serve("b")
    written = json.loads(processes.path.read_text())
    written["slas"][0]["floor"] = 0.55
    processes.path.write_text(json.dumps(written))
    processes.until(lambda: processes.status("a")["floor"] == 0.55)
    processes.until(lambda: processes.status("b")["floor"] == 0.55)
    assert ask(a).status_code == ask(b).status_code == 200


def test_without_a_learner_the_last_state_decides(processes):
    learner = processes.learn()
    a = processes.serve("a")
    assert ask(a).status_code == 200
    learner.kill()
    learner.wait()

    def warned():
        ready = a.http.get("/readyz")
        assert ready.status_code == 200
        return any("the learner was at work" in text for text in ready.json()["warnings"])

    processes.until(warned)
    answer = ask(a)
    assert answer.status_code == 200
    assert label(a, answer).status_code == 200
    processes.learn()
    processes.until(lambda: processes.status("a")["labels"] == 1)
    assert not [event for event in processes.events() if isinstance(event, ZooChange)]
