import json

import pytest

from floorline.cli.app import main


@pytest.fixture
def log(build_router, vector, tmp_path):
    """A log of a policy that explores, exported with features; its path."""
    from floorline.stores import open_store

    url = f"sqlite:///{tmp_path / 'log.db'}"
    router = build_router("random")
    for number in range(400):
        decision = router.route(features=vector(number % 30))
        router.outcome(decision.id, cost=1.0)
        router.feedback(decision.id, satisfied=decision.model != "small")
    store = open_store(url)
    for event in router.log.read():
        store.append(event)
    store.close()
    path = tmp_path / "log.jsonl"
    assert main(["store", "export", str(path), "--features", "--store", url]) == 0
    return path


def test_another_policy_is_estimated_as_a_table_and_as_json(log, capfd):
    asked = ["whatif", "--log", str(log), "--policy", "cheapest"]
    capfd.readouterr()
    assert main(asked) == 0
    told = capfd.readouterr().out
    for word in ("logged policy", "IPS", "doubly robust"):
        assert word in told
    assert main([*asked, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["policy"] == "cheapest()"


def test_too_few_labels_are_refused_in_one_line(log, capfd):
    asked = ["whatif", "--log", str(log), "--policy", "cheapest"]
    assert main([*asked, "--min-effective-labels", "10000"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "labels" in line
