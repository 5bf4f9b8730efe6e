import json

import pytest

from floorline.cli.app import main


@pytest.fixture
def log(build_router, vector, tmp_path):
    """A log of a policy that explores, exported with features; its path."""
    return exported(build_router("random"), vector, tmp_path)


def exported(router, vector, tmp_path, costs=None):
    from floorline.stores import open_store

    url = f"sqlite:///{tmp_path / 'log.db'}"
    for number in range(400):
        decision = router.route(features=vector(number % 30))
        router.outcome(decision.id, cost=(costs or {}).get(decision.model, 1.0))
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


def test_a_log_of_the_default_policy_gives_bounds_and_says_why(
    build_router, vector, tmp_path, capfd
):
    log = exported(build_router("primal_dual"), vector, tmp_path)
    asked = ["whatif", "--log", str(log), "--policy", "cheapest"]
    capfd.readouterr()
    assert main(asked) == 2
    shown = capfd.readouterr()
    assert "bounds, no estimate" in shown.out
    assert "mean weight" in shown.out
    assert "doubly robust" not in shown.out
    (line,) = shown.err.splitlines()
    for part in ("of the other policy's choices have no support", "'small'", "at most 5.0%", "c=3"):
        assert part in line
    assert main([*asked, "--json"]) == 2
    told = json.loads(capfd.readouterr().out)
    assert told["satisfaction"] == told["cost"] == []
    assert 0.0 <= told["satisfaction_bounds"][0] < told["satisfaction_bounds"][1] <= 1.0
    assert told["satisfaction_overlap"]["unsupported"] > 0.05
    assert told["refused"] == line.removeprefix("error: ")
    if main([*asked, "--max-unsupported", "1", "--min-effective-labels", "2"]) == 0:
        assert "doubly robust" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--policy", "cheapst"], ["policy is 'cheapst'", "did you mean 'cheapest'?"]),
        (["--policy", "cheapest", "--sla", "golt"], ["sla is 'golt'", "did you mean 'gold'?"]),
        (["--policy", "cheapest", "--confidence", "95"], ["confidence is 95.0", "such as 0.95"]),
        (["--policy", "cheapest", "--floor", "7"], ["floor is 7.0"]),
        (["--policy", "cheapest", "--max-unsupported", "3"], ["--max-unsupported"]),
        (["--policy", "oracle"], ["policy is 'oracle'", "know the stream in advance"]),
        (["--policy", "proteus"], ["policy is 'proteus'", "--param checkpoint=FOLDER"]),
        (["--policy", "port"], ["policy is 'port'", "labelled requests", "a budget", "--config"]),
        (["--policy", "omnirouter"], ["policy is 'omnirouter'", "labelled requests"]),
        (["--policy", "static_mix"], ["static_mix", "mean_quality, mean_cost"]),
    ],
)
def test_bad_options_are_named_in_one_line(log, capfd, given, words):
    capfd.readouterr()
    assert main(["whatif", "--log", str(log), *given]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    for word in words:
        assert word in line


def edited(log, tmp_path, edit):
    path = tmp_path / "edited.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    path.write_text("\n".join(json.dumps(row) for row in edit(rows)))
    return path


def with_propensities(values):
    def edit(rows):
        return [row | {"propensities": values} if "propensities" in row else row for row in rows]

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda rows: [], ["without a routed request"]),
        (lambda rows: [r for r in rows if "features" not in r], ["without a routed request"]),
        (
            lambda rows: [r | {"features": []} for r in rows if r["kind"] == "decision"],
            ["features"],
        ),
        (lambda rows: [r for r in rows if r["kind"] != "feedback"], ["no label"]),
        (lambda rows: [r for r in rows if r["kind"] != "outcome"], ["no outcome"]),
        (
            lambda rows: [{k: v for k, v in r.items() if k != "propensities"} for r in rows],
            ["line", "the field 'propensities' is missing"],
        ),
        (with_propensities([]), ["propensities", "decision", "each of the 3 models"]),
        (with_propensities([0.0, 0.0, 0.0]), ["propensities", "was served, above 0"]),
        (with_propensities([0.9, 0.9, 0.9]), ["propensities", "sum of 1"]),
        (with_propensities([None, None, None]), ["propensities", "sum of 1"]),
    ],
)
def test_logs_that_lack_something_are_refused_in_one_line(log, tmp_path, capfd, edit, words):
    path = edited(log, tmp_path, edit)
    capfd.readouterr()
    assert main(["whatif", "--log", str(path), "--policy", "cheapest"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    for word in words:
        assert word in line
    assert "Traceback" not in line


def test_models_that_cost_nothing_in_the_log_are_said(build_router, vector, tmp_path, capfd):
    log = exported(build_router("random"), vector, tmp_path, costs={"small": 0.0})
    capfd.readouterr()
    assert main(["whatif", "--log", str(log), "--policy", "cheapest"]) == 0
    noted = capfd.readouterr().err
    assert "small cost nothing in the log: if their prices were missing" in " ".join(noted.split())
