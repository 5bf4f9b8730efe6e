import json

import pytest

from floorline.cli.app import main
from floorline.datasets import simulate
from floorline.policies import REFERENCE_POINTS

OPTIONS = ["--horizon", "200", "--seeds", "2", "--jobs", "1"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A replay of a table of 300 simulated requests."""
    path = tmp_path_factory.mktemp("data") / "small.parquet"
    simulate(300, seed=0).save(path)
    return ["replay", "--data", str(path), *OPTIONS]


@pytest.mark.slow
def test_replay_prints_a_table_and_writes_results(tmp_path, capfd):
    out = tmp_path / "out"
    code = main(
        [
            "replay",
            "--data",
            "simulated",
            *OPTIONS,
            "--floor",
            "0.7",
            "--floor",
            "0.8",
            "--out",
            str(out),
        ]
    )
    told = capfd.readouterr()
    assert code == 0, told.err
    assert {"results.parquet", "results.json", "times.json", "over_time.png"} == {
        path.name for path in out.iterdir()
    }
    runs = json.loads((out / "results.json").read_text())["runs"]
    assert len(runs) == 2 * 2 * (1 + len(REFERENCE_POINTS))
    for policy in ("primal_dual", "oracle", "static_mix", "random"):
        assert policy in told.out
    assert "simulated" in told.out
    assert "Traceback" not in told.err


@pytest.mark.slow
def test_parameters_reach_the_tested_policy_only(tmp_path, capfd, small):
    out = tmp_path / "out"
    given = ["--policy", "mess_plus", "--param", "c=0.4", "--param", "V=1e-3"]
    code = main([*small, *given, "--out", str(out)])
    assert code == 0, capfd.readouterr().err
    runs = json.loads((out / "results.json").read_text())["runs"]
    told = {run["policy"]: json.loads(run["parameters"]) for run in runs}
    assert told.pop("mess_plus") == {"c": 0.4, "V": 1e-3}
    assert set(map(str, told.values())) == {"{}"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--floor", "1.5"], "floor of 'stream' is 1.5: give the share of satisfied requests"),
        (["--floor", "nan"], "is nan: give the share"),
        (["--floor", "high"], "see 'floorline --help'"),
        (["--policy", "nothing"], "policy is 'nothing': choose one of mess_plus"),
        (["--policy", "no.such:Thing"], "policy is 'no.such:Thing': choose one of"),
        (["--data", "imagenet"], "imagenet"),
        (["--feedback", "sometimes"], "feedback is 'sometimes': write terms joined by '+'"),
        (["--param", "V"], "--param is 'V': write NAME=VALUE, such as V=0.001"),
        (["--param", "W=1"], "parameter of primal_dual is 'W': choose one of: estimator, config"),
        (
            ["--policy", "mess_plus", "--param", "V=-1"],
            "mess_plus.V is -1: give a weight of 0 or more",
        ),
        (["--policy", "mess_plus", "--param", "V=abc"], "mess_plus.V is 'abc': give a weight"),
        (["--history", "2"], "history is 2.0: give 0 to 0.99"),
        (["--horizon", "0"], "horizon is 0: give 1 or more requests"),
        (["--encoder", "word2vec"], "hashed"),
        (["--seeds", "0"], "see 'floorline --help'"),
        (["--nothing"], "--nothing; see 'floorline --help'"),
    ],
)
def test_errors_are_one_line_with_a_fix_and_exit_code_2(arguments, told, capfd, small):
    assert main([*small, *arguments]) == 2
    captured = capfd.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    assert told in lines[0]
    assert captured.out == ""


def test_a_folder_that_cannot_be_written_is_named_with_a_fix(tmp_path, capfd, small):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    assert main([*small, "--no-references", "--out", str(taken / "below")]) == 2
    told = capfd.readouterr()
    (line,) = told.err.splitlines()
    assert str(taken) in line
    assert "check the path and its permissions" in line
    assert told.out == ""
