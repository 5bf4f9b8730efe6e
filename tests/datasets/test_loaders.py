"""Every format from small files of its schema, whole and broken."""

import json

import numpy as np
import polars as pl
import pytest

from floorline.datasets import load
from floorline.datasets.columns import load_columns, parse_columns
from floorline.datasets.messplus import load_messplus
from floorline.datasets.open_llm_leaderboard import load_open_llm_leaderboard
from floorline.datasets.paretobandit import load_paretobandit
from floorline.datasets.routerbench import load_routerbench, plain_prompts
from floorline.datasets.sprout import PRICES, load_sprout
from floorline.errors import DataError, FloorlineError, InvalidInput

ROUTERBENCH = {
    "sample_id": ["a.1", "a.2", "b.1"],
    "prompt": ["['What?', 'Why?']", '["It\'s"]', "plain"],
    "eval_name": ["a", "a", "b"],
    "m/one": ["1.0", "0.0", "0.25"],
    "two": ["1.0", "", "1"],
    "two|model_response": ["x", "y, z", 'he said "no"\nand left'],
    "two|total_cost": ["0.2", "0.2", "0.4"],
    "m/one|total_cost": ["0.01", "0.02", "0.03"],
    "oracle_model_to_route_to": ["two", "", "two"],
}
MESSPLUS = {
    "doc_id": ["1", "2"],
    "input_text": ["is it", "can it"],
    "benchmark_name": ["boolq", "boolq"],
    "label_small": ["1.0", "0.0"],
    "acc_small": ["1.0", "0.0"],
    "energy_consumption_small": ["10.5", "20"],
    "inference_time_small": ["0.1", "0.2"],
    "label_large": ["1.0", "1.0"],
    "energy_consumption_large": ["100", "200"],
    "inference_time_large": ["1", "2"],
}


def write_csv(path, columns, **changes):
    columns = {k: v for k, v in {**columns, **changes}.items() if v is not None}
    pl.DataFrame(columns).write_csv(path)
    return path


def numeric(columns):
    return pl.DataFrame(columns).with_columns(
        pl.col("m/one", "two", "m/one|total_cost", "two|total_cost").replace("", None).cast(float)
    )


def place(caught):
    assert "\n" not in str(caught.value)
    return caught.value.row, caught.value.column


@pytest.mark.parametrize("kind", ["csv", "parquet", "pkl"])
def test_routerbench(tmp_path, kind, caplog):
    path = tmp_path / f"small.{kind}"
    if kind == "csv":
        write_csv(path, ROUTERBENCH)
    elif kind == "parquet":
        numeric(ROUTERBENCH).write_parquet(path)
    else:
        pandas = pytest.importorskip("pandas")
        pandas.DataFrame(numeric(ROUTERBENCH).to_dict(as_series=False)).to_pickle(path)
    table = load_routerbench(path)
    assert table.models == ("m/one", "two")
    assert table.prompts == ["What?\nWhy?", "It's", "plain"]
    assert table.task == ["a", "a", "b"]
    np.testing.assert_array_equal(table.quality, np.float32([[1, 1], [0, np.nan], [0.25, 1]]))
    np.testing.assert_array_equal(table.cost, [[0.01, 0.2], [0.02, 0.2], [0.03, 0.4]])
    assert "1 of 3 rows have missing scores" in caplog.text
    assert len(load_routerbench(path, gaps="drop")) == 2


def test_routerbench_names_leave_out_the_split(tmp_path):
    assert load_routerbench(write_csv(tmp_path / "x_train.csv", ROUTERBENCH)).name == "x"


@pytest.mark.parametrize(
    "text", ["[", "[1, 2]", "[" * 500, "['a'", "['\x00']", "[]", "[__import__('os').getcwd()]"]
)
def test_prompts_that_only_look_like_lists_stay(text):
    assert plain_prompts([text]) == [text]


@pytest.mark.parametrize(
    ("changes", "row", "column"),
    [
        ({"two": ["1", "maybe", "1"]}, 2, "two"),
        ({"two": ["1", "inf", "1"]}, 2, "two"),
        ({"two": ["1", "1", "1.5"]}, 3, "two"),
        ({"two": ["-1", "1", "1"]}, 1, "two"),
        ({"two|total_cost": ["1", "1", "-0.1"]}, 3, "two|total_cost"),
        ({"two|total_cost": ["1", "1", ""]}, 3, "two|total_cost"),
        ({"two|total_cost": ["$1", "1", "1"]}, 1, "two|total_cost"),
        ({"two": None}, None, "two"),
        ({"prompt": None}, None, "prompt"),
        ({"prompt": ["a", "b", None]}, 3, "prompt"),
        ({"two|total_cost": None, "m/one|total_cost": None}, None, None),
    ],
)
def test_routerbench_names_the_bad_cell(tmp_path, changes, row, column):
    path = write_csv(tmp_path / "bad.csv", ROUTERBENCH, **changes)
    with pytest.raises(DataError) as caught:
        load_routerbench(path)
    assert place(caught) == (row, column)


def test_all_rows_with_gaps_cannot_be_dropped(tmp_path):
    path = write_csv(tmp_path / "gaps.csv", ROUTERBENCH, two=["", "", ""])
    assert load_routerbench(path).mask[:, 1].sum() == 0
    with pytest.raises(DataError, match="every row"):
        load_routerbench(path, gaps="drop")
    with pytest.raises(InvalidInput):
        load_routerbench(path, gaps="keep")


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("x.csv", b"", "empty"),
        ("x.csv", b"prompt,a,a|total_cost\n", "no rows"),
        ("x.csv", b"prompt,a,a|total_cost\nhello,1\n", "2 cells where the header has 3"),
        ("x.csv", b'prompt,a,a|total_cost\n"hello,1,1\n', "damaged CSV"),
        ("x.csv", b"prompt,a,a,a|total_cost\nhello,1,1,1\n", "twice"),
        ("x.csv", b"\xff\xfe\x00", "UTF-16"),
        ("x.csv", b"a\x00b", "no text"),
        ("x.csv", b"caf\x81", "UTF-8"),
        ("x.parquet", b"", "empty"),
        ("x.parquet", b"PAR1 no PAR1", "damaged Parquet"),
        ("x.pkl", b"", "empty"),
        ("x.pkl", b"\x80\x04\x95", "damaged pickle"),
        ("x.txt", b"hello", "comes as"),
    ],
)
def test_damaged_files(tmp_path, name, raw, words):
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(DataError, match=words) as caught:
        load_routerbench(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no such file"):
        load_routerbench(tmp_path / ("other" + name))


def test_a_long_cell_is_no_error(tmp_path):
    path = write_csv(tmp_path / "long.csv", ROUTERBENCH, prompt=["x" * 300_000, "b", "c"])
    assert len(load_routerbench(path).prompts[0]) == 300_000


def test_messplus(tmp_path):
    table = load_messplus(write_csv(tmp_path / "boolq.csv", MESSPLUS))
    assert (table.models, table.cost_unit, table.name) == (("small", "large"), "J", "boolq")
    assert table.quality.tolist() == [[1, 1], [0, 1]]
    assert table.cost.tolist() == [[10.5, 100], [20, 200]]
    np.testing.assert_allclose(table.latency, [[0.1, 1], [0.2, 2]])


@pytest.mark.parametrize(
    ("changes", "row", "column"),
    [
        ({"label_small": ["1", "2"]}, 2, "label_small"),
        ({"energy_consumption_large": ["1", "-2"]}, 2, "energy_consumption_large"),
        ({"energy_consumption_large": ["", "2"]}, 1, "energy_consumption_large"),
        ({"energy_consumption_large": None}, None, "energy_consumption_large"),
        ({"inference_time_small": ["1", "fast"]}, 2, "inference_time_small"),
        ({"input_text": None}, None, "input_text"),
        ({"label_small": None, "label_large": None}, None, None),
    ],
)
def test_messplus_names_the_bad_cell(tmp_path, changes, row, column):
    with pytest.raises(DataError) as caught:
        load_messplus(write_csv(tmp_path / "bad.csv", MESSPLUS, **changes))
    assert place(caught) == (row, column)


ARM = {"reward": 0.5, "cost": 0.001}


def write_lines(path, *rows):
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


def test_paretobandit(tmp_path):
    path = write_lines(
        tmp_path / "val.jsonl",
        {"prompt": "p", "source": "s", "arms": {"a": ARM, "b": {"reward": 1, "cost": 2}}},
        "",
        {"prompt": "q", "arms": {"b": ARM}},
    )
    table = load_paretobandit(path)
    assert (table.models, table.task) == (("a", "b"), ["s", "val"])
    assert table.mask.tolist() == [[True, True], [False, True]]
    assert len(load_paretobandit(path, gaps="drop")) == 1


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ('{"prompt": "p", "arms"', None),
        ("[1]", None),
        ({"arms": {"a": ARM}}, "prompt"),
        ({"prompt": 1, "arms": {"a": ARM}}, "prompt"),
        ({"prompt": "p"}, "arms"),
        ({"prompt": "p", "arms": {}}, "arms"),
        ({"prompt": "p", "arms": {"a": 3}}, "arms.a"),
        ({"prompt": "p", "arms": {"a": {"reward": 2, "cost": 0}}}, "arms.a.reward"),
        ({"prompt": "p", "arms": {"a": {"reward": True, "cost": 0}}}, "arms.a.reward"),
        ({"prompt": "p", "arms": {"a": {"reward": float("nan"), "cost": 0}}}, "arms.a.reward"),
        ({"prompt": "p", "arms": {"a": {"reward": 1, "cost": -1}}}, "arms.a.cost"),
        ({"prompt": "p", "arms": {"a": {"reward": 1}}}, "arms.a.cost"),
    ],
)
def test_paretobandit_names_the_bad_line(tmp_path, row, column):
    path = write_lines(tmp_path / "bad.jsonl", {"prompt": "p", "arms": {"a": ARM}}, row)
    with pytest.raises(DataError) as caught:
        load_paretobandit(path)
    assert place(caught) == (2, column)


def answer(score, tokens_in=100, tokens_out=10):
    return {
        "num_input_tokens": tokens_in,
        "num_output_tokens": tokens_out,
        "response": "...",
        "score": score,
    }


def write_sprout(path, **changes):
    columns = {
        "key": ["k1", "k2"],
        "dataset": ["gsm8k", "squad"],
        "prompt": ["p", "q"],
        "golden_answer": ["1", "2"],
        "openai-gpt-4o": [answer(1.0), answer(0.5, 300, 20)],
        "openai-gpt-4o-mini": [answer(0.0), answer(None, None, None)],
    }
    pl.DataFrame(columns | changes).write_parquet(path)
    return path


def test_sprout(tmp_path):
    table = load_sprout(write_sprout(tmp_path / "test-00000-of-00001.parquet"))
    assert table.models == ("openai-gpt-4o", "openai-gpt-4o-mini")
    assert (table.split, table.task) == (["test", "test"], ["gsm8k", "squad"])
    assert table.cost[0] == pytest.approx([350e-6, 21e-6])
    assert np.isnan(table.cost[1, 1])
    assert table.tokens_in.tolist() == [100, 300]
    second = write_sprout(tmp_path / "validation-00000-of-00001.parquet", prompt=["r", "s"])
    assert load_sprout(second).split == ["train"] * 2
    assert load(tmp_path).split == ["test"] * 2 + ["train"] * 2


def test_sprout_prices(tmp_path):
    path = write_sprout(tmp_path / "x.parquet")
    mine = {"openai-gpt-4o": (1, 0), "openai-gpt-4o-mini": (0, 1)}
    assert load_sprout(path, prices=mine).cost[0] == pytest.approx([1e-4, 1e-5])
    with pytest.raises(InvalidInput, match="add a price"):
        load_sprout(path, prices={})
    with pytest.raises(InvalidInput):
        load_sprout(path, prices={**PRICES, "openai-gpt-4o": (-1, 1)})


@pytest.mark.parametrize(
    ("cell", "row", "column"),
    [
        (answer(1.5), 2, "openai-gpt-4o.score"),
        (answer(1.0, -1), 2, "openai-gpt-4o.num_input_tokens"),
        (answer(1.0, 1, None), 2, "openai-gpt-4o.num_output_tokens"),
    ],
)
def test_sprout_names_the_bad_cell(tmp_path, cell, row, column):
    path = write_sprout(tmp_path / "x.parquet", **{"openai-gpt-4o": [answer(1.0), cell]})
    with pytest.raises(DataError) as caught:
        load_sprout(path)
    assert place(caught) == (row, column)


def test_sprout_of_another_schema(tmp_path):
    numeric(ROUTERBENCH).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="not SPROUT"):
        load_sprout(tmp_path / "x.parquet")


LEADERBOARD = {
    "Q_train": ["a", "b"],
    "Q_test": ["c"],
    "Y_train": np.array([[1.0, 0], [0, 1]]),
    "Y_test": np.array([[1.0, 1]]),
    "IT_train": np.array([[100, 200], [300, 400]]),
    "IT_test": np.array([[10, 20]]),
    "X_train": np.zeros((2, 3)),
    "models": ["google/gemma-2b-it", "Qwen/Qwen2.5-72B-Instruct"],
}


def test_open_llm_leaderboard(tmp_path):
    np.save(tmp_path / "lb.npy", LEADERBOARD, allow_pickle=True)
    table = load_open_llm_leaderboard(tmp_path / "lb.npy")
    assert table.split == ["train", "train", "test"]
    assert table.cost[0] == pytest.approx([1e-5, 2.4e-4])
    flat = write_csv(tmp_path / "flat.csv", ROUTERBENCH, eval_name=None)
    assert load_open_llm_leaderboard(flat).task == ["flat"] * 3


@pytest.mark.parametrize(
    "held",
    [
        LEADERBOARD | {"Y_test": np.array([[2.0, 1]])},
        LEADERBOARD | {"Y_test": np.array([1.0])},
        LEADERBOARD | {"IT_test": np.array([[-1, 1]])},
        LEADERBOARD | {"IT_test": "many"},
        LEADERBOARD | {"Q_test": "c"},
        LEADERBOARD | {"models": ["unknown", "too"]},
        {},
        [1, "a"],
    ],
)
def test_open_llm_leaderboard_broken(tmp_path, held):
    np.save(tmp_path / "lb.npy", np.array(held, dtype=object), allow_pickle=True)
    with pytest.raises(FloorlineError):
        load_open_llm_leaderboard(tmp_path / "lb.npy")


def test_open_llm_leaderboard_of_numbers_or_noise(tmp_path):
    np.save(tmp_path / "n.npy", np.zeros(3))
    with pytest.raises(DataError, match="numbers only"):
        load_open_llm_leaderboard(tmp_path / "n.npy")
    (tmp_path / "x.npy").write_bytes(b"noise")
    with pytest.raises(DataError, match="not an"):
        load_open_llm_leaderboard(tmp_path / "x.npy")


def test_columns(tmp_path):
    path = write_csv(tmp_path / "own.csv", MESSPLUS)
    small = {"quality": "label_small", "cost": "energy_consumption_small"}
    chosen = {"prompt": "input_text", "task": "doc_id", "cost_unit": "J", "models": {"s": small}}
    for columns in (chosen, json.dumps(chosen)):
        table = load_columns(path, columns)
        assert (table.models, table.task, table.cost_unit) == (("s",), ["1", "2"], "J")
    renamed = write_csv(tmp_path / "p.csv", {"prompt": ["a"], "ok": ["1"], "usd": ["0.1"]})
    assert load_columns(renamed, "a:b/c:ok:usd").models == ("a:b/c",)
    with pytest.raises(DataError, match="column is missing"):
        load_columns(renamed, "m:ok:eur")


@pytest.mark.parametrize(
    "columns",
    [
        "",
        "m",
        "m:",
        ":q:c",
        "m:q:c,m:q:c",
        "prompt=a,prompt=b,m:q:c",
        "prompt=,m:q:c",
        "prompt=a",
        "{",
        "{}",
        {"models": {}},
        {"models": ["m"]},
        {"models": {"m": {"cost": "q"}}},
        {"models": {"m": {"quality": "q"}}, "cost_unit": "EUR"},
        {"models": {"m": {"quality": "q", "cost": 3}}},
        {"models": {"m": {"quality": "q", "cost": "c", "mood": "x"}}},
        {"models": {"m": {"quality": "q", "cost": "c"}}, "other": 1},
        {"models": {"m": {"quality": "q", "cost": "c"}}, "prompt": 1},
    ],
)
def test_columns_that_say_too_little(columns):
    with pytest.raises(InvalidInput):
        parse_columns(columns)
