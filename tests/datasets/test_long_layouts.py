"""Public data with one row for each answer: every layout from small files of its schema."""

import json
import math
import pickle

import numpy as np
import polars as pl
import pytest

from floorline.datasets import load
from floorline.datasets.formats import detect
from floorline.datasets.messplus import load_messplus
from floorline.errors import DataError, FloorlineError, InvalidInput


def write_rows(path, rows):
    if path.suffix == ".csv":
        pl.DataFrame(rows).write_csv(path)
    elif path.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path)
    else:
        path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def one_line(caught):
    assert "\n" not in str(caught.value)
    return caught.value


def fusion(llm, query="q1", performance="1.0", **changes):
    """One row of FusionBench: 100 + 50 tokens at $2 per million, as its code computes the cost."""
    return {
        "task_name": "mmlu",
        "query": query,
        "ground_truth": "A",
        "llm": llm,
        "input_price": 2.0,
        "output_price": 2.0,
        "input_tokens_num": 100,
        "output_tokens_num": 50,
        "performance": performance,
        "cost": 300.0,
        "response": "The answer is A.",
    } | changes


FUSION = [
    fusion("small"),
    fusion("small_think", query="q1\nLet's think step by step.", performance="{'pass@1': 0.5}"),
    fusion("large"),
    fusion("large_think", query="q1\nLet's think step by step.", performance=""),
    fusion("small", query="q2", performance="0"),
    fusion("large", query="q2"),
    fusion("large_think", query="q2, thinking"),
]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_fusionbench(tmp_path, suffix, caplog):
    path = write_rows(tmp_path / f"train{suffix}", FUSION)
    assert detect(path) == "fusionbench"
    table = load(path)
    assert table.models == ("small", "small_think", "large", "large_think")
    assert (table.prompts, table.task) == (["q1", "q2"], ["mmlu", "mmlu"])
    np.testing.assert_array_equal(table.quality, [[1, 0.5, 1, np.nan], [0, np.nan, 1, 1]])
    assert table.cost[0, 0] == pytest.approx(300e-6)
    assert "divided by a million" in caplog.text
    assert (table.split, table.tokens_in.tolist()) == (["train"] * 2, [100, 100])
    assert table.tokens_out[0, 0] == 50


def test_fusionbench_costs_in_dollars_stay(tmp_path):
    rows = [fusion("small", cost=3e-4), fusion("large", cost=3e-3)]
    path = write_rows(tmp_path / "x.csv", rows)
    assert load(path).cost.tolist() == [[3e-4, 3e-3]]
    assert load(path, prices={"small": 1, "large": [0, 2]}).cost[0] == pytest.approx([15e-5, 1e-4])


def ulab(model, query="q1", performance=1.0, **changes):
    return {
        "task_name": "gsm8k",
        "query": query,
        "ground_truth": "4",
        "metric": "GSM8K",
        "model_name": model,
        "response": "4",
        "input_tokens": 1000,
        "output_tokens": 500,
        "response_time": 1.5,
        "performance": performance,
    } | changes


def test_llmrouter(tmp_path):
    rows = [
        ulab("qwen2.5-7b-instruct"),
        ulab("gemma-2-9b-it", performance=0),
        # The same words with another answer are another query.
        ulab("gemma-2-9b-it", ground_truth="5"),
    ]
    path = write_rows(tmp_path / "default_routing_test_data.jsonl", rows)
    assert detect(path) == "llmrouter"
    table = load(path)
    np.testing.assert_array_equal(table.quality, [[1, 0], [np.nan, 1]])
    assert table.cost[0] == pytest.approx([300e-6, 150e-6])
    assert (table.latency[0].tolist(), table.split) == ([1.5, 1.5], ["test", "test"])
    candidates = {name: {"input_price": 1.0, "output_price": 4.0} for name in table.models}
    assert load(path, prices=candidates).cost[0] == pytest.approx([3e-3, 3e-3])


@pytest.mark.parametrize(
    ("drop", "words"),
    [
        (("input_tokens", "output_tokens"), "neither costs nor tokens"),
        ((), "no price is known of nobody"),
    ],
)
def test_llmrouter_without_prices_costs_nothing_and_says_so(tmp_path, drop, words, caplog):
    rows = [
        {name: value for name, value in ulab(model).items() if name not in drop}
        for model in ("gemma-2-9b-it", "nobody")
    ]
    assert load(write_rows(tmp_path / "x.jsonl", rows)).cost.tolist() == [[0, 0]]
    assert words in caplog.text
    with pytest.raises(InvalidInput, match=r"tokens|add a price"):
        load(tmp_path / "x.jsonl", prices={"gemma-2-9b-it": 1})


def test_llmrouter_with_tokens_in_one_sum(tmp_path):
    rows = [{"query": "q", "model_name": "gemma-2-9b-it", "performance": 1, "token_num": 2000}]
    path = write_rows(tmp_path / "x.jsonl", rows)
    assert load(path, format="llmrouter").cost.tolist() == [[pytest.approx(2e-4)]]


def test_a_file_of_the_user_that_only_resembles_a_layout_keeps_its_costs(tmp_path):
    rows = [{"query": "q", "model_name": "m", "performance": 1, "total_cost": 0.5}]
    path = write_rows(tmp_path / "x.csv", rows)
    assert detect(path) == "columns"
    assert load(path).cost.tolist() == [[0.5]]


EMBEDLLM = [
    {
        "prompt_id": prompt,
        "model_id": model,
        "category_id": 3,
        "prompt": "x" * 400,
        "label": (prompt + model) % 2,
        "category": "mmlu",
        "model_name": f"org/m{model}",
    }
    for prompt in (7, 8)
    for model in (0, 1)
]


@pytest.mark.parametrize("named", [True, False])
def test_embedllm(tmp_path, named, caplog):
    rows = EMBEDLLM if named else pl.DataFrame(EMBEDLLM).drop("model_name", "category").to_dicts()
    path = write_rows(tmp_path / "val.csv", rows)
    assert detect(path) == "embedllm"
    table = load(path)
    # Two prompts of one text are two rows, because their prompt_id differs.
    assert table.quality.tolist() == [[1, 0], [0, 1]]
    models = ("org/m0", "org/m1") if named else ("0", "1")
    assert (table.models, table.split) == (models, ["train"] * 2)
    assert "each call costs 0" in caplog.text
    priced = load(path, prices=dict(zip(models, (0.2, [1, 9]), strict=True)))
    assert priced.cost[0] == pytest.approx([20e-6, 100e-6])


def test_the_splits_of_embedllm_are_one_folder(tmp_path):
    write_rows(tmp_path / "train.csv", EMBEDLLM)
    write_rows(tmp_path / "test.csv", [row | {"prompt": "other"} for row in EMBEDLLM[2:]])
    assert load(tmp_path).split == ["test", "train", "train"]


def instruct(number, **scores):
    return {
        "id": f"unified_chip2/{number}",
        "instruction": "Say",
        "input": f"n{number}",
        "output": "...",
        "candidates": [
            {
                "decoding_method": "top_p_sampling",
                "model": model,
                "text": "x" * 40,
                "scores": {"bertscore": score, "bartscore": -1.0, "bleurt": -0.3},
            }
            for model, score in scores.items()
        ],
    }


def test_mixinstruct(tmp_path, caplog):
    path = write_rows(
        tmp_path / "test_data_prepared.jsonl",
        [instruct(1, a=0.75, b="0.5"), instruct(2, b=1.0000001), instruct(3, a=None, b=0.25)],
    )
    assert detect(path) == "mixinstruct"
    table = load(path)
    np.testing.assert_array_equal(table.quality, [[0.75, 0.5], [np.nan, 1], [np.nan, 0.25]])
    assert (table.prompts[0], table.task[0], table.split[0]) == ("Say\nn1", "unified_chip2", "test")
    assert "each call costs 0" in caplog.text
    bart = load(path, format="mixinstruct:bartscore", prices={"a": [0, 1], "b": [0, 2]})
    assert bart.quality[0].tolist() == pytest.approx([math.exp(-1)] * 2)
    assert bart.cost[0] == pytest.approx([10e-6, 20e-6])
    with pytest.raises(InvalidInput, match="bertscore"):
        load(path, format="mixinstruct:bleurt")


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"instruction": "p"}, "candidates"),
        ({"instruction": "", "candidates": []}, "instruction"),
        ({"instruction": 3, "candidates": []}, "instruction"),
        ({"instruction": "p", "candidates": [{"text": "x"}]}, "candidates"),
        (instruct(2, a=1.5), "a.scores.bertscore"),
        (instruct(2, a="many"), "a.scores.bertscore"),
        (instruct(2, a=True), "a.scores.bertscore"),
    ],
)
def test_mixinstruct_names_the_bad_line(tmp_path, row, column):
    path = write_rows(tmp_path / "bad.jsonl", [instruct(1, a=0.5), row])
    with pytest.raises(DataError) as caught:
        load(path)
    assert (one_line(caught).row, caught.value.column) == (2, column)


def routereval(path, **changes):
    pool = {
        "model": ["m/strong", "m/weak"],
        "data": {
            "train_score": np.array([[1, 0], [0, 0]]),
            "val_score": np.array([[1, 1]]),
            "test_score": np.array([[0, 1]]),
        },
    }
    held = {
        "easy": {3: {"all_strong": pool}, 5: {"strong_to_weak": pool, "all_weak": pool}},
        "hard": {10: {"all_strong": pool | {"model": ["h/a", "h/b"]}}},
        "prompt": {
            "train_prompt": np.array(["p" * 40, "q"]),
            "val_prompt": ["r"],
            "test_prompt": ("s",),
        },
        "embedding": {"train_embed": np.zeros((2, 4), np.float32)},
        "split_index": {"train_indices": [0, 1]},
    }
    path.write_bytes(pickle.dumps(held | changes))
    return path


def test_routereval(tmp_path, caplog):
    path = routereval(tmp_path / "arc_router_dataset.pkl")
    assert detect(path) == "routereval"
    table = load(path)
    assert "--format routereval:easy/5/strong_to_weak" in caplog.text
    assert "hard/10/all_strong" in caplog.text
    assert (table.name, table.models) == ("arc", ("m/strong", "m/weak"))
    assert table.split == ["train", "train", "train", "test"]
    assert table.quality.tolist() == [[1, 0], [0, 0], [1, 1], [0, 1]]
    hard = load(path, format="routereval:hard/10/all_strong", prices={"h/a": 1, "h/b": 3})
    assert hard.models == ("h/a", "h/b")
    assert hard.cost[0] == pytest.approx([10e-6, 30e-6])
    with pytest.raises(InvalidInput, match="easy/3/all_strong"):
        load(path, format="routereval:easy/4/all_strong")
    with pytest.raises(InvalidInput, match="colon"):
        load(path, format="sprout:x")


def test_routereval_of_one_pool(tmp_path):
    held = {
        "model": ("a", "b"),
        "prompt": {"test_prompt": ("p",)},
        "data": {"test_label": np.array([[0.25, 1]])},
    }
    path = tmp_path / "mine.pkl"
    path.write_bytes(pickle.dumps(held))
    assert load(path).quality.tolist() == [[0.25, 1]]


class Runs:
    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"easy": Runs()}, "refused"),
        ({"easy": {}, "hard": 3}, "no pool"),
        ({"prompt": ["p"]}, "no dict of prompts"),
        ({"prompt": {}}, "no prompts"),
        ({"prompt": {"train_prompt": [1, 2]}}, "no list of texts"),
        ({"prompt": {"train_prompt": ["p"]}}, r"shape \(2, 2\) where \(1, 2\)"),
    ],
)
def test_routereval_broken(tmp_path, changes, words, capfd):
    path = routereval(tmp_path / "x.pkl", **changes)
    with pytest.raises(DataError, match=words) as caught:
        load(path)
    one_line(caught)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("scores", [[[2, 0], [0, 0]], [[-1, 0], [0, 0]]])
def test_routereval_names_the_bad_score(tmp_path, scores):
    pool = {"model": ["a", "b"], "data": {"train_score": np.array(scores)}}
    prompt = {"train_prompt": ["p", "q"]}
    path = routereval(tmp_path / "x.pkl", easy={2: {"pool": pool}}, hard={}, prompt=prompt)
    with pytest.raises(DataError) as caught:
        load(path)
    assert (one_line(caught).row, caught.value.column) == (1, "train_score: a")


def test_of_repeated_answers_the_first_with_a_score_counts(tmp_path, caplog):
    rows = [
        ulab("m", performance=score, cost=cost) for score, cost in ((None, 1), (0.5, 2), (1, 3))
    ]
    table = load(write_rows(tmp_path / "x.jsonl", rows))
    assert (table.quality.tolist(), table.cost.tolist()) == ([[0.5]], [[2]])
    assert "2 of 3 answers repeat" in caplog.text


@pytest.mark.parametrize(
    ("changes", "row", "column"),
    [
        ({"performance": 1.5}, 2, "performance"),
        ({"performance": -1}, 2, "performance"),
        ({"cost": -1}, 2, "cost"),
        ({"cost": None}, 2, "cost"),
        ({"query": None}, 2, "query"),
        ({"model_name": None}, 2, "model_name"),
        ({"response_time": -1}, 2, "response_time"),
        ({"input_tokens": -1}, 2, "input_tokens"),
    ],
)
def test_a_long_layout_names_the_bad_cell(tmp_path, changes, row, column):
    rows = [ulab("a", cost=1), ulab("b", cost=1) | changes]
    with pytest.raises(DataError) as caught:
        load(write_rows(tmp_path / "x.jsonl", rows))
    assert (one_line(caught).row, caught.value.column) == (row, column)


@pytest.mark.parametrize("format", ["embedllm", "fusionbench", "llmrouter", "routerarena"])
def test_a_file_of_another_layout_names_the_missing_column(tmp_path, format):
    path = write_rows(tmp_path / "x.csv", [{"a": "1", "b": "2"}])
    with pytest.raises(DataError) as caught:
        load(path, format=format)
    one_line(caught)


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "x.pkl", "x.json"])
@pytest.mark.parametrize(
    "format",
    ["embedllm", "fusionbench", "llmrouter", "llmrouterbench", "mixinstruct", "routerarena"],
)
def test_noise_is_one_line(tmp_path, name, format):
    path = tmp_path / name
    for body in (b"", b"{", b"[1]", b"\x80\x04\x95", b"PAR1 no PAR1", b"[[[[", b"null"):
        path.write_bytes(body)
        for given in (format, None):
            with pytest.raises(FloorlineError) as caught:
                load(path, format=given)
            one_line(caught)


def test_prices_where_the_data_has_costs_are_refused(tmp_path):
    path = write_rows(tmp_path / "x.csv", [{"prompt": "p", "a_score": 1, "a_cost": 1}])
    with pytest.raises(InvalidInput, match="has its own costs"):
        load(path, prices={"a": 1})


@pytest.mark.parametrize(
    "price", ["dear", -1, [1], [1, 2, 3], {"input_price": 1}, None, [1, "x"], True]
)
def test_a_price_that_is_none_is_refused(tmp_path, price):
    path = write_rows(tmp_path / "x.jsonl", [ulab("a")])
    with pytest.raises(InvalidInput, match="price") as caught:
        load(path, prices={"a": price})
    one_line(caught)


def messplus(doc_id, text, label="1"):
    return {
        "doc_id": doc_id,
        "input_text": text,
        "benchmark_name": "boolq",
        "label_small": label,
        "energy_consumption_small": "1",
        "inference_time_small": "1",
    }


def test_repeated_questions_of_messplus_count_once(tmp_path, caplog):
    rows = [
        messplus("1", "a"),
        messplus("2", "b", "0"),
        messplus("1", "a", "0"),
        messplus("1", "a") | {"benchmark_name": "piqa"},
        messplus(None, "c"),
        messplus(None, "d"),
    ]
    table = load_messplus(write_rows(tmp_path / "boolq.csv", rows))
    assert table.prompts == ["a", "b", "a", "c", "d"]
    assert table.quality[:2].tolist() == [[1], [0]]
    assert "1 of 6 rows repeat the doc_id" in caplog.text
    caplog.clear()
    load_messplus(write_rows(tmp_path / "boolq.csv", rows[:2]))
    assert caplog.text == ""
