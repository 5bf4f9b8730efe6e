import json
import re

import pytest

from floorline.cli.app import main
from floorline.datasets import simulate
from floorline.datasets.routerarena import arena_score
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


HEADER = "prompt,small_ok,small_usd,large_ok,large_usd"


def own(path, *, small="0.001", rows=40):
    """A file of one's own in which small satisfies half of the prompts and large three quarters."""
    lines = [f"question {n},{n % 2},{small},{int(n % 4 > 0)},0.02" for n in range(rows)]
    path.write_text("\n".join([HEADER, *lines]))
    return path


QUICK = ["--seeds", "2", "--jobs", "1"]


def test_a_file_of_ones_own_is_replayed_as_the_readme_says(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own(tmp_path / "my-logs.csv")
    (tmp_path / "my_module.py").write_text(
        "from floorline.policies.reference.promptless import Cheapest\n"
        "class MyPolicy(Cheapest):\n    name = 'mine'\n"
    )
    arguments = ["--data", "my-logs.csv", "--policy", "my_module:MyPolicy", "--out", "results"]
    assert main(["replay", *arguments, *QUICK]) == 0
    told = capfd.readouterr()
    assert told.err.splitlines()[0] == (
        "note: my-logs.csv: columns by their names: --columns "
        "'prompt=prompt,small:small_ok:small_usd,large:large_ok:large_usd'"
    )
    assert (tmp_path / "results" / "results.json").exists()
    assert main(["replay", *arguments, "--columns", "m:small_ok:small_usd", *QUICK]) == 0
    assert "guessed" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("policy", "lacks"),
    [
        ("proteus", ["a trained network", "--param checkpoint=FOLDER", "floorline train proteus"]),
        ("port", ["--history 0.3", "--budget 0.2 is four times the bill of the cheapest model"]),
        ("omnirouter", ["--history 0.3"]),
        ("knn_perf", ["--history 0.3"]),
        ("batch_split", ["--history 0.3", "--budget"]),
        ("greedy_cost", ["--history 0.3", "--budget"]),
        ("budget_fill", ["--budget"]),
        ("lp_on_estimates", ["--history 0.3", "--budget"]),
    ],
)
def test_a_policy_without_what_it_needs_is_no_silent_baseline(tmp_path, capfd, policy, lacks):
    path = own(tmp_path / "own.csv")
    assert main(["replay", "--data", str(path), "--policy", policy, *QUICK]) == 2
    captured = capfd.readouterr()
    (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: policy is '{policy}': it ")
    for words in lacks:
        assert words in line
    assert captured.out == ""


@pytest.mark.parametrize("split", [[], ["--split", "uniform"]])
def test_a_policy_with_what_it_needs_is_replayed(tmp_path, capfd, split):
    path = own(tmp_path / "own.csv")
    given = ["--history", "0.3", "--budget", "0.1", *split, "--no-references", *QUICK]
    out = tmp_path / "out"
    arguments = ["replay", "--data", str(path), "--policy", "port", "--out", str(out), *given]
    assert main(arguments) == 0, capfd.readouterr().err
    runs = json.loads((out / "results.json").read_text())["runs"]
    assert all(run["cost"] * 28 <= 0.1 + 1e-9 for run in runs)


def test_requests_that_a_budget_does_not_pay_are_said(tmp_path, capfd):
    path = own(tmp_path / "own.csv")
    given = ["--policy", "best_fixed", "--budget", "0.2", "--no-references", *QUICK]
    assert main(["replay", "--data", str(path), *given]) == 0
    assert "Requests that no budget was left for: best_fixed 75%." in capfd.readouterr().out


@pytest.mark.parametrize(
    ("given", "note"),
    [
        (["--horizon", "500"], "the horizon is 500 requests, but the data have 40 rows: each"),
        (
            ["--horizon", "40", "--history", "0.5"],
            "the horizon is 40 requests, but the data have 20 rows after the history",
        ),
        (["--floor", "0.9"], "no policy can reach the floor 0.9: the best model for each prompt"),
        (["--floor", "0.76"], "no policy can reach the floor 0.76"),
    ],
)
def test_what_the_data_do_not_allow_is_said(tmp_path, capfd, given, note):
    path = own(tmp_path / "own.csv")
    words = ["replay", "--data", str(path), "--policy", "cheapest", "--no-references", *QUICK]
    assert main([*words, *given]) == 0
    assert f"note: {note}" in capfd.readouterr().err


def test_a_floor_above_the_best_model_is_said(tmp_path, capfd):
    lines = [f"q {n},{int(n % 2)},0.001,{int(n % 2 == 0)},0.02" for n in range(40)]
    path = tmp_path / "own.csv"
    path.write_text("\n".join([HEADER, *lines]))
    words = ["--policy", "cheapest", "--floor", "0.7", "--no-references", *QUICK]
    assert main(["replay", "--data", str(path), *words]) == 0
    assert "note: no model reaches the floor 0.7 alone (small has the highest mean, 0.500)" in (
        capfd.readouterr().err
    )


@pytest.mark.parametrize(
    ("header", "small", "note"),
    [
        (HEADER, "0", "models without a cost, whose calls are free: small"),
        (HEADER.replace("small_usd", "x"), "0.1", "without a column of costs, each call costs 0"),
    ],
)
def test_free_models_are_said_and_no_ratio_is_a_number_that_is_none(
    tmp_path, capfd, header, small, note
):
    path = own(tmp_path / "own.csv", small=small)
    path.write_text(path.read_text().replace(HEADER, header))
    assert main(["replay", "--data", str(path), "--floor", "0.4", *QUICK]) == 0
    told = capfd.readouterr()
    assert note in told.err
    table, _, legend = told.out.partition("met: ")
    assert "–" in table
    assert "–: no ratio, as the reference costs nothing" in " ".join(legend.split())
    for word in ("nan", "inf", "NaN"):
        assert word not in table


def test_data_without_any_cost_are_said(tmp_path, capfd):
    path = own(tmp_path / "own.csv", small="0")
    path.write_text(path.read_text().replace("0.02", "0"))
    assert main(["replay", "--data", str(path), "--floor", "0.4", *QUICK]) == 0
    told = capfd.readouterr()
    assert "note: no model has a cost" in told.err
    assert not {"nan", "inf"} & set(told.out.split())


@pytest.fixture
def arena(tmp_path):
    """RouterArena's cached results of two models on 60 prompts."""
    folder = tmp_path / "cached_results"
    folder.mkdir()
    for model, every, cost in (("small", 2, 1e-4), ("large", 60, 2e-3)):
        rows = [
            {
                "global_index": f"AIME_{i}",
                "question": f"Solve {i % 50}.",
                "llm_selected": model,
                "token_usage": {"input_tokens": 10, "output_tokens": 5},
                "evaluation_result": {"score": float(i % every > 0), "inference_cost": cost},
            }
            for i in range(60)
        ]
        (folder / f"{model}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_a_replay_is_a_submission_to_routerarena(arena, tmp_path, capfd):
    target = tmp_path / "mine.json"
    options = ["--policy", "best_fixed", "--seeds", "1", "--jobs", "1", "--no-references"]
    code = main(["replay", "--data", str(arena), *options, "--submission", str(target)])
    told = capfd.readouterr()
    assert code == 0, told.err
    predictions = json.loads(target.read_text())
    # Every index once, also of the prompts with the same text.
    assert sorted(one["global index"] for one in predictions) == sorted(
        f"AIME_{i}" for i in range(60)
    )
    assert {one["prediction"] for one in predictions} == {"large"}
    assert all(one["generated_result"] is None for one in predictions)
    config = json.loads((tmp_path / "mine.config.json").read_text())
    assert config["pipeline_params"]["models"] == ["large", "small"]
    score = arena_score(59 / 60, 2.0)
    assert f"RouterArena score of seed 0: {score:.4f} (accuracy 0.9833, $2.0000" in told.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--floor", "0.7", "--floor", "0.8"], "--floor"),
        (["--policy", "random", "--policy", "oracle"], "--policy"),
        (["--horizon", "10"], "--horizon"),
        (["--history", "0.5"], "--history"),
        (["--budget", "1"], "--budget"),
        (["--data", "simulated"], "cached results"),
    ],
)
def test_what_is_no_whole_submission_is_refused_first(arena, tmp_path, capfd, options, words):
    target = tmp_path / "mine.json"
    code = main(["replay", "--data", str(arena), *options, "--submission", str(target)])
    told = capfd.readouterr()
    assert (code, told.out, target.exists()) == (2, "", False)
    assert words in told.err
    assert len(told.err.strip().splitlines()) == 1


def test_a_submission_into_no_folder_is_refused_first(arena, tmp_path, capfd):
    target = tmp_path / "nowhere" / "mine.json"
    assert main(["replay", "--data", str(arena), "--submission", str(target)]) == 2
    assert "there is no folder" in capfd.readouterr().err


def test_a_floor_that_no_model_reaches_is_said(small, capfd):
    arguments = ["--policy", "random", "--floor", "1", "--floor", "0.5", "--no-references"]
    assert main([*small, *arguments]) == 0
    told = " ".join(capfd.readouterr().out.split())
    assert "Floor 1: by the labels of some policies no model reaches it" in told
    assert re.search(r"\(verdict unreachable\): random in [12] of 2 seeds", told)
    assert "Floor 0.5" not in told
