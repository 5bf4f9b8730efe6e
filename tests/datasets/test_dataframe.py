import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

from floorline.datasets import RoutingTable
from floorline.errors import DataError, InvalidInput, MissingExtra

CELLS = {
    "prompt": ["2 + 2?", "Prove Fermat.", "Why?"],
    "kind": ["maths", "maths", "other"],
    "small_quality": [1.0, 0.0, 0.5],
    "small_cost": [1e-5, 2e-5, 1e-5],
    "large_quality": [1.0, None, 1.0],
    "large_cost": [1e-3, None, 2e-3],
    "small_seconds": [0.5, 0.6, 0.7],
    "large_seconds": [1.5, None, 1.7],
}


@pytest.fixture(params=[pl.DataFrame, pd.DataFrame], ids=["polars", "pandas"])
def frame(request):
    """Build a data frame of either library."""

    def build(**changes):
        cells = {name: cell for name, cell in (CELLS | changes).items() if cell is not None}
        return request.param(cells)

    return build


def assert_same(table, other):
    assert table.digest == other.digest


def expected(**changes):
    gap = np.nan
    fields = {
        "prompts": CELLS["prompt"],
        "models": ["small", "large"],
        "quality": [[1, 1], [0, gap], [0.5, 1]],
        "cost": [[1e-5, 1e-3], [2e-5, gap], [1e-5, 2e-3]],
    }
    return RoutingTable(**fields | changes)


def test_models_are_found_by_the_names_of_their_columns(frame):
    assert_same(RoutingTable.from_dataframe(frame()), expected())


def test_patterns_may_have_the_model_first_last_or_within(frame):
    renamed = frame().rename(
        **{
            "columns" if isinstance(frame(), pd.DataFrame) else "mapping": {
                "small_quality": "score/small",
                "large_quality": "score/large",
                "small_cost": "USD of small per call",
                "large_cost": "USD of large per call",
            }
        }
    )
    table = RoutingTable.from_dataframe(
        renamed, quality="score/{model}", cost="USD of {model} per call"
    )
    assert_same(table, expected())


def test_columns_may_be_named_one_by_one(frame):
    table = RoutingTable.from_dataframe(
        frame(),
        quality={"L": "large_quality", "S": "small_quality"},
        cost={"S": "small_cost", "L": "large_cost"},
        name="two",
        cost_unit="J",
    )
    assert (table.models, table.name, table.cost_unit) == (("L", "S"), "two", "J")
    assert table.mean_cost.tolist() == pytest.approx([1.5e-3, 4e-5 / 3])


def test_models_task_latency_and_tokens_may_be_chosen(frame):
    table = RoutingTable.from_dataframe(
        frame(small_tokens=[1, 2, 3]),
        models=["small"],
        task="kind",
        latency="{model}_seconds",
        tokens_out={"small": "small_tokens"},
    )
    assert (table.models, table.task) == (("small",), CELLS["kind"])
    np.testing.assert_allclose(table.latency[:, 0], CELLS["small_seconds"], rtol=1e-6)
    assert table.tokens_out[:, 0].tolist() == [1.0, 2.0, 3.0]


def test_bools_whole_numbers_and_texts_are_numbers(frame):
    table = RoutingTable.from_dataframe(
        frame(
            small_quality=[True, False, True], large_quality=[1, 0, 1], large_cost=["1", "2", "3"]
        )
    )
    assert table.quality.tolist() == [[1, 1], [0, 0], [1, 1]]
    assert table.cost[:, 1].tolist() == [1.0, 2.0, 3.0]


def test_every_mark_of_a_missing_value_in_pandas_is_a_gap():
    for missing in (None, np.nan, pd.NA):
        cells = CELLS | {"large_quality": [1, missing, 1]}
        assert_same(RoutingTable.from_dataframe(pd.DataFrame(cells)), expected())
    nullable = pd.DataFrame(CELLS).astype({"large_quality": "Float64", "small_quality": "Float32"})
    assert_same(RoutingTable.from_dataframe(nullable), expected())
    shuffled = pd.DataFrame(CELLS, index=[5, 5, 7])
    assert_same(RoutingTable.from_dataframe(shuffled), expected())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": "text"}, "prompt is 'text': name columns of the data frame: prompt, kind"),
        ({"task": "topic"}, "task is 'topic': name columns of the data frame: prompt"),
        ({"quality": "{model}_score"}, "quality is '{model}_score': name columns of the data f"),
        ({"quality": "{model}"}, "quality is '{model}': write {model} and what precedes or foll"),
        ({"quality": "quality"}, "quality is 'quality': write {model}"),
        ({"cost": "{model}_usd"}, "cost of model 'small' is 'small_usd': name columns of the da"),
        ({"cost": {"small": "small_cost"}}, "name the column of model 'large'"),
        ({"models": ["tiny"]}, "quality of model 'tiny' is 'tiny_quality': name columns"),
        ({"cost_unit": "EUR"}, "RoutingTable.cost_unit is 'EUR': choose one of J, USD"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(arguments, message, frame):
    with pytest.raises(InvalidInput) as caught:
        RoutingTable.from_dataframe(frame(), **arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"small_quality": [1.0, 1.5, 0.0]}, "row 2, column 'small_quality': 1.5 is above 1"),
        ({"small_cost": [1.0, 1.0, -1.0]}, "row 3, column 'small_cost': -1 is negative"),
        ({"small_cost": ["1", "dear", "1"]}, "row 2, column 'small_cost': 'dear' is not a finite"),
        ({"large_cost": [1.0, 1.0, None]}, "row 3, column 'large_cost': there is a score but no"),
        ({"prompt": ["a", None, "b"]}, "row 2, column 'prompt': the text is missing"),
    ],
)
def test_cells_that_do_not_fit_are_refused_by_row_and_column(changes, message, frame):
    with pytest.raises(DataError) as caught:
        RoutingTable.from_dataframe(frame(**changes))
    assert str(caught.value).startswith("data frame, ")
    assert message in str(caught.value)


@pytest.mark.parametrize("df", [None, CELLS, [1, 2], "frame.csv", pl.LazyFrame(CELLS)])
def test_what_is_no_data_frame_is_refused(df):
    with pytest.raises(InvalidInput, match=r"df is .*: give a DataFrame of pandas or Polars"):
        RoutingTable.from_dataframe(df)


def test_a_column_that_is_there_twice_is_refused():
    df = pd.DataFrame([["a", "b"]], columns=["prompt", "prompt"])
    with pytest.raises(InvalidInput, match=r"df\.columns is 'prompt': give every column its own"):
        RoutingTable.from_dataframe(df)


def test_an_empty_frame_is_refused(frame):
    with pytest.raises(InvalidInput, match="a table needs at least one prompt"):
        RoutingTable.from_dataframe(frame()[:0])


def test_without_polars_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    monkeypatch.delitem(sys.modules, "floorline.datasets.dataframe", raising=False)
    with pytest.raises(MissingExtra, match=r"reading a data frame needs the extra 'data': pip"):
        RoutingTable.from_dataframe(pd.DataFrame(CELLS))
