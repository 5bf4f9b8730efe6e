"""Data whose files have the answers of one model each, so that a folder is one table."""

import json
import os

import numpy as np
import pytest

from floorline.datasets import available, load
from floorline.datasets.formats import detect
from floorline.datasets.routerarena import arena_score, global_indices, make_submission
from floorline.errors import DataError, FloorlineError, InvalidInput


def record(index, score, **changes):
    return {
        "index": index,
        "origin_query": f"query {index}",
        "prompt": f"Question: query {index}",
        "prediction": "4",
        "ground_truth": "4",
        "score": score,
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "cost": 0.01,
        "raw_output": "...",
    } | changes


def bench(root, where, scores, *, name="20251001_120000.json", head=None, **changes):
    """Write one run of LLMRouterBench: scores by index."""
    folder = root / "bench" / where
    folder.mkdir(parents=True, exist_ok=True)
    records = [record(index, score, **changes) for index, score in scores.items()]
    (folder / name).write_text(json.dumps((head or {}) | {"records": records}, indent=2))
    return folder / name


@pytest.fixture
def tree(tmp_path):
    bench(tmp_path, "aime/test/GPT-5", {1: 1.0, 2: True}, cost=0.02)
    bench(tmp_path, "aime/test/Qwen3-8B", {1: 0, 2: None})
    bench(tmp_path, "hle/train/GPT-5", {1: 0.5})
    bench(tmp_path, "hle/train/Qwen3-8B", {1: 0.25})
    return tmp_path


def test_llmrouterbench(tree, caplog):
    table = load(tree / "bench")
    assert table.models == ("GPT-5", "Qwen3-8B")
    assert table.prompts == [f"Question: query {i}" for i in (1, 2, 1)]
    assert table.task == ["aime", "aime", "hle"]
    assert table.split == ["test", "test", "train"]
    np.testing.assert_array_equal(table.quality, [[1, 0], [1, np.nan], [0.5, 0.25]])
    assert table.cost[0].tolist() == [0.02, 0.01]
    assert table.tokens_in.tolist() == [1000] * 3
    assert "1 of 3 rows have missing scores" in caplog.text
    assert len(load(tree / "bench", gaps="drop")) == 2


@pytest.mark.parametrize("where", ["aime", "aime/test"])
def test_a_part_of_the_tree_is_a_table(tree, where):
    table = load(tree / "bench" / where)
    assert (len(table), table.task[0], len(table.models)) == (2, "aime", 2)


def test_one_file_of_llmrouterbench_is_a_table(tree):
    path = tree / "bench" / "aime" / "test" / "GPT-5" / "20251001_120000.json"
    assert detect(path) == "llmrouterbench"
    table = load(path)
    assert (table.models, table.name) == (("GPT-5",), "aime/test")


def test_llmrouterbench_by_name(tree, monkeypatch):
    monkeypatch.setenv("FLOORLINE_DATA", str(tree))
    assert len(load("bench/hle")) == 1
    found = {entry.name: (entry.rows, entry.models) for entry in available()[1:]}
    assert found == {"bench": (3, 2), "bench/aime": (2, 2), "bench/hle": (1, 2)}


def test_a_broken_file_of_the_tree_is_listed_with_its_problem(tree, monkeypatch):
    monkeypatch.setenv("FLOORLINE_DATA", str(tree))
    bench(tree, "hle/train/GPT-5", {1: 7})
    found = {entry.name: entry for entry in available()}
    assert "above 1" in found["bench/hle"].problem
    assert "bench" not in found
    assert found["bench/aime"].rows == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("20251001_120000.json", "20251001_120001.json"),
        ("aime-test-m-20241231_235959.json", "aime-test-m-20250101_000000.json"),
        ("2025-10-01T12-00-00.json", "2025-10-01T12-00-01.json"),
        ("1700000000.json", "1800000000.json"),
        ("zzz.json", "aaa.json"),
        ("result.json", "20251001_120000.json"),
    ],
)
def test_the_newest_run_counts_and_is_named(tmp_path, caplog, old, new):
    # The names decide; of files without a time in the name the one written last.
    for name, score, written in ((new, 1, 2000), (old, 0, 1000)):
        path = bench(tmp_path, "aime/test/m", {1: score}, name=name)
        os.utime(path, (written, written))
    assert load(tmp_path / "bench").quality.tolist() == [[1]]
    assert f"several runs of aime/test/m; the newest of each is read, such as {new}" in caplog.text


def test_a_demo_counts_only_where_there_is_no_other(tmp_path):
    bench(tmp_path, "aime/test/m", {1: 1}, name="20250101_000000.json")
    bench(tmp_path, "aime/test/m", {1: 0}, name="20260101_000000.json", head={"demo": True})
    bench(tmp_path, "aime/test/n", {1: 0.5}, head={"demo": True})
    assert load(tmp_path / "bench").quality.tolist() == [[1, 0.5]]


def test_the_names_in_a_file_come_before_its_folders(tmp_path):
    head = {"dataset_name": "gpqa", "split": "validation", "model_name": "org/m"}
    table = load(bench(tmp_path, "x/y/z", {1: 1}, head=head))
    assert (table.models, table.task, table.split) == (("org/m",), ["gpqa"], ["train"])


def test_numbers_that_python_writes_and_prompts_of_messages(tmp_path):
    bench(tmp_path, "tau2/test/m", {1: float("nan"), 2: 1.0})
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    bench(tmp_path, "tau2/test/n", {1: 1, 2: 0}, prompt=turns)
    table = load(tmp_path / "bench")
    np.testing.assert_array_equal(table.quality, [[np.nan, 1], [1, 0]])
    assert table.prompts[0] == "Question: query 1"
    only = load(tmp_path / "bench" / "tau2" / "test" / "n")
    assert only.prompts[0] == "Be brief.\nHi"


def test_another_query_under_the_same_index_is_another_row(tmp_path):
    bench(tmp_path, "aime/test/m", {1: 1})
    bench(tmp_path, "aime/test/n", {1: 0}, origin_query="other")
    np.testing.assert_array_equal(load(tmp_path / "bench").quality, [[1, np.nan], [np.nan, 0]])


def test_models_without_costs_get_prices(tmp_path, caplog):
    bench(tmp_path, "aime/test/m", {1: 1}, cost=0)
    assert load(tmp_path / "bench").cost.tolist() == [[0]]
    assert "every call costs 0" in caplog.text
    assert load(tmp_path / "bench", prices={"m": [1, 2]}).cost[0] == pytest.approx([2e-3])


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"score": 2}, "score"),
        ({"score": "good"}, "score"),
        ({"cost": -1}, "cost"),
        ({"cost": None}, "cost"),
        ({"prompt_tokens": -1}, "prompt_tokens"),
        ({"prompt": None, "origin_query": None}, "origin_query"),
    ],
)
def test_llmrouterbench_names_the_bad_record(tmp_path, changes, column):
    path = bench(tmp_path, "aime/test/m", {1: 1})
    held = json.loads(path.read_text())
    held["records"].append(record(2, 1) | changes)
    path.write_text(json.dumps(held))
    with pytest.raises(DataError) as caught:
        load(tmp_path / "bench")
    assert (caught.value.row, caught.value.column) == (2, column)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "body", ['{"records": []}', '{"records": 3}', '{"records": [1]}', "{}", "[]", '{"records": [']
)
def test_a_broken_file_of_llmrouterbench_is_one_line(tmp_path, body):
    (tmp_path / "x.json").write_text(body)
    with pytest.raises(DataError, match=r"records|damaged") as caught:
        load(tmp_path, format="llmrouterbench")
    assert "\n" not in str(caught.value)


def answer(index, score, cost=0.001, question=None, **changes):
    row = {
        "global_index": index,
        "question": question or f"Please solve {index}",
        "llm_selected": "gpt-4o-mini",
        "generated_answer": "...",
        "token_usage": {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110},
        "success": True,
        "evaluation_result": {"score": score, "metric": "mcq", "inference_cost": cost},
    }
    return row | changes


def lines(path, *rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(json.dumps(row) for row in rows))


@pytest.fixture
def arena(tmp_path):
    folder = tmp_path / "cached_results"
    lines(
        folder / "gpt-4o-mini.jsonl",
        answer("AIME_1", 1.0),
        answer("AIME_2", 0.0, evaluation_result=None),
        answer("Geo_Data_7", 0.5, question="Please solve AIME_1"),
    )
    lines(
        folder / "claude.jsonl",
        answer("AIME_2", 1, 0.004, llm_selected="claude-3"),
        answer("AIME_1", 0, 0.002, llm_selected="claude-3"),
    )
    return folder


def test_routerarena(arena):
    table = load(arena)
    assert table.models == ("claude-3", "gpt-4o-mini")
    assert table.task == ["AIME", "AIME", "Geo_Data"]
    np.testing.assert_array_equal(table.quality, [[1, np.nan], [0, 1], [np.nan, 0.5]])
    np.testing.assert_array_equal(table.cost, [[0.004, np.nan], [0.002, 0.001], [np.nan, 0.001]])
    assert table.tokens_in.tolist() == [100] * 3
    assert global_indices(arena, table) == ["AIME_2", "AIME_1", "Geo_Data_7"]
    assert load(arena / "claude.jsonl").models == ("claude-3",)


def test_routerarena_by_name(arena, monkeypatch):
    monkeypatch.setenv("FLOORLINE_DATA", str(arena.parent))
    (found,) = available()[1:]
    assert (found.name, found.rows, found.models) == ("cached_results", 3, 2)
    assert len(load("cached_results")) == 3


def test_named_columns_come_before_the_layout_of_a_folder(arena):
    (arena / "claude.jsonl").unlink()
    score, cost = "evaluation_result.score", "evaluation_result.inference_cost"
    assert load(arena, columns=f"prompt=question,m:{score}:{cost}").models == ("m",)
    with pytest.raises(DataError, match="column is missing"):
        load(arena, columns="prompt=question,m:a:b")


def test_a_folder_of_other_files_is_no_tree(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.json").write_text('[{"prompt": "p", "m_score": 1, "m_cost": 1}]')
    with pytest.raises(DataError, match="no file of routing data in this folder"):
        load(tmp_path)


def test_routerarena_of_the_least_that_it_has(tmp_path, caplog):
    row = {
        "global_index": "AIME_1",
        "token_usage": {"input_tokens": 1},
        "evaluation_result": {"score": True, "inference_cost": 0.1},
    }
    lines(tmp_path / "a" / "my-model.jsonl", row)
    table = load(tmp_path / "a")
    assert (table.models, table.prompts) == (("my-model",), ["AIME_1"])
    assert "called by its global_index" in caplog.text


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"evaluation_result": {"score": 3, "inference_cost": 1}}, "evaluation_result.score"),
        (
            {"evaluation_result": {"score": 1, "inference_cost": -1}},
            "evaluation_result.inference_cost",
        ),
        ({"evaluation_result": {"score": 1}}, "evaluation_result.inference_cost"),
        ({"question": None}, "question"),
    ],
)
def test_routerarena_names_the_bad_line(tmp_path, changes, column):
    lines(tmp_path / "a" / "m.jsonl", answer("AIME_1", 1), answer("AIME_2", 1) | changes)
    with pytest.raises(DataError) as caught:
        load(tmp_path / "a")
    assert (caught.value.row, caught.value.column) == (2, column)
    assert "\n" not in str(caught.value)


def test_the_score_is_that_of_routerarena():
    """Values of the formula in RouterArena's own evaluation, computed by hand in logarithms."""
    share = (np.log2(200) - np.log2(1.0)) / (np.log2(200) - np.log2(0.0044))
    assert arena_score(0.7, 1.0) == pytest.approx(1.1 * 0.7 * share / (0.07 + share))
    assert arena_score(0.7, 0.0044) == pytest.approx(1.1 * 0.7 / 1.07)
    # Costs outside the range count as its bounds.
    assert arena_score(0.7, 1e-6) == arena_score(0.7, 0.0044)
    assert arena_score(0.7, 200) == arena_score(0.7, 1e4) == arena_score(0, 1) == 0
    assert arena_score(0.8, 1) > arena_score(0.7, 1) > arena_score(0.7, 2)
    for accuracy, cost in ((1.1, 1), (-0.1, 1), (0.5, 0), (0.5, float("nan"))):
        with pytest.raises(InvalidInput):
            arena_score(accuracy, cost)


def test_a_submission_has_the_form_and_the_score_of_routerarena(arena):
    table = load(arena)
    indices = global_indices(arena, table)
    served = make_submission(table, indices, np.array([2, 0, 1]), np.array([1, 0, 0]), name="mine")
    assert served.predictions[0] == {
        "global index": "AIME_2",
        "prompt": "Please solve AIME_2",
        "prediction": "claude-3",
        "generated_result": None,
        "cost": None,
        "accuracy": None,
    }
    assert [one["prediction"] for one in served.predictions] == [
        "claude-3",
        "claude-3",
        "gpt-4o-mini",
    ]
    assert served.config["pipeline_params"]["models"] == list(table.models)
    assert served.accuracy == pytest.approx(0.5)
    assert served.cost_per_1000 == pytest.approx((0.004 + 0.002 + 0.001) / 3 * 1000)
    assert served.score == arena_score(served.accuracy, served.cost_per_1000)
    # A chosen answer without a score does not count in the accuracy, but the request does.
    partly = make_submission(table, indices, np.arange(3), np.array([1, 1, 1]))
    assert partly.accuracy == pytest.approx(0.75)
    assert partly.cost_per_1000 == pytest.approx(0.002 / 3 * 1000)


@pytest.mark.parametrize(
    ("rows", "models"),
    [([0, 1], [0, 0]), ([0, 1, 1], [0, 0, 0]), ([0, 1, 2], [0, -1, 0])],
)
def test_a_submission_of_a_part_is_refused(arena, rows, models):
    table = load(arena)
    with pytest.raises(FloorlineError):
        make_submission(table, ["a", "b", "c"], np.array(rows), np.array(models))
