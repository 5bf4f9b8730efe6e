import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from floorline.datasets.table import RoutingTable
from floorline.errors import DataError, FloorlineError, InvalidInput

NAN = float("nan")


def make(**changes):
    given = {
        "prompts": ["a", "b", "c", "d"],
        "models": ("x", "y"),
        "quality": [[1, 0], [0, NAN], [0.5, 1], [1, 1]],
        "cost": [[1, 2], [1, NAN], [1, 4], [1, 6]],
        "task": ["t", "t", "u", "u"],
        "name": "four",
    }
    return RoutingTable(**(given | changes))


def test_holds_what_it_was_given():
    table = make()
    assert len(table) == 4
    assert table.quality.dtype == np.float32
    assert table.cost.dtype == np.float64
    assert table.mask.tolist() == [[True, True], [True, False], [True, True], [True, True]]
    np.testing.assert_allclose(table.mean_quality, [0.625, 2 / 3])
    np.testing.assert_allclose(table.mean_cost, [1, 4])
    assert table.split == ["", "", "", ""]
    assert "four" in repr(table)


def test_is_immutable():
    table = make()
    for array in (table.quality, table.cost, table.mask, table.mean_quality, table.mean_cost):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises(AttributeError):
        table.name = "other"


def test_does_not_share_memory_with_its_input():
    quality = np.ones((1, 1), dtype=np.float32)
    table = RoutingTable(["a"], ["m"], quality, [[0]])
    quality[0, 0] = 0
    assert table.quality[0, 0] == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompts": []}, "at least one prompt"),
        ({"models": ()}, "at least one model"),
        ({"models": ("x", "x")}, "once"),
        ({"models": ("x", "")}, "model names"),
        ({"models": "xy"}, "model names"),
        ({"quality": [[1, 0]]}, "shape"),
        ({"quality": "no"}, "numbers"),
        ({"cost": [[1, 2], [3]]}, "numbers"),
        ({"cost_unit": "EUR"}, "USD"),
        ({"task": ["t"]}, "4 strings"),
        ({"task": "abcd"}, "4 strings"),
        ({"split": ["dev"] * 4}, "split"),
        ({"tokens_in": [1]}, "shape"),
        ({"name": ""}, "name"),
    ],
)
def test_refuses_a_wrong_form(changes, words):
    with pytest.raises(InvalidInput, match=words):
        make(**changes)


@pytest.mark.parametrize(
    ("changes", "row", "column"),
    [
        ({"quality": [[1, 0], [0, NAN], [0.5, 1.5], [1, 1]]}, 3, "y"),
        ({"quality": [[1, 0], [-0.1, NAN], [0.5, 1], [1, 1]]}, 2, "x"),
        ({"quality": [[np.inf, 0], [0, NAN], [0.5, 1], [1, 1]]}, 1, "x"),
        ({"cost": [[1, 2], [1, NAN], [1, 4], [-1, 6]]}, 4, "x"),
        ({"cost": [[1, NAN], [1, NAN], [1, 4], [1, 6]]}, 1, "y"),
        ({"cost": [[1, np.inf], [1, NAN], [1, 4], [1, 6]]}, 1, "y"),
        ({"latency": [[1, 1], [1, 1], [1, 1], [1, -1]]}, 4, "y"),
        ({"tokens_out": [[1, 1], [1, 1], [-1, 1], [1, 1]]}, 3, "x"),
        ({"tokens_in": [1, 1, 1, -1]}, 4, "tokens_in"),
        ({"prompts": ["a", 3, "c", "d"]}, 2, "prompts"),
        ({"prompts": ["a", "b", "\ud800", "d"]}, 3, "prompts"),
    ],
)
def test_names_the_cell_that_is_wrong(changes, row, column):
    with pytest.raises(DataError) as caught:
        make(**changes)
    assert (caught.value.row, caught.value.column) == (row, column)
    assert "\n" not in str(caught.value)


def test_a_cost_may_stand_where_the_score_is_missing():
    table = make(cost=np.ones((4, 2)))
    assert table.mean_cost.tolist() == [1, 1]


def test_a_model_nobody_scored_has_no_mean():
    table = RoutingTable(["a"], ["m"], [[NAN]], [[NAN]])
    assert np.isnan(table.mean_quality[0])
    assert table.describe().models[0].mean_quality is None


def test_complete_drops_rows_with_gaps_and_counts_them():
    table, dropped = make().complete()
    assert (table.prompts, dropped) == (["a", "c", "d"], 1)
    assert table.complete() == (table, 0)


def test_take_keeps_order_and_everything_per_row():
    table = make(tokens_in=[1, 2, 3, 4], latency=np.arange(8).reshape(4, 2))
    part = table.take([3, 0])
    assert part.prompts == ["d", "a"]
    assert part.task == ["u", "t"]
    assert part.tokens_in.tolist() == [4, 1]
    assert part.latency.tolist() == [[6, 7], [0, 1]]
    assert table.take(np.array([True, False, False, True])).prompts == ["a", "d"]


@pytest.mark.parametrize("rows", [[], [4], [-5], [0.5], [[0]], [True]])
def test_take_refuses(rows):
    with pytest.raises(InvalidInput):
        make().take(rows)


def test_select_models_reorders_columns():
    table = make().select_models(["y", "x"])
    assert table.models == ("y", "x")
    assert table.cost[0].tolist() == [2, 1]
    with pytest.raises(InvalidInput):
        table.select_models(["z"])
    with pytest.raises(InvalidInput):
        table.select_models([])


def test_concat_stacks_rows_and_drops_what_one_table_lacks():
    both = RoutingTable.concat([make(tokens_in=[1, 2, 3, 4]), make(name="five")])
    assert len(both) == 8
    assert both.name == "four+five"
    assert both.tokens_in is None
    with pytest.raises(InvalidInput):
        RoutingTable.concat([])
    with pytest.raises(InvalidInput):
        RoutingTable.concat([make(), make(models=("x", "z"))])
    with pytest.raises(InvalidInput):
        RoutingTable.concat([make(), make(cost_unit="J")])


@given(
    st.lists(st.sampled_from("abc"), min_size=2, max_size=60),
    st.floats(0.01, 0.99),
    st.integers(0, 9),
)
@settings(max_examples=40, deadline=None)
def test_split_rows_is_disjoint_whole_and_stratified(tasks, fraction, seed):
    rows = len(tasks)
    prompts = [f"prompt {i}" for i in range(rows)]
    table = RoutingTable(prompts, ["m"], np.ones((rows, 1)), np.ones((rows, 1)), task=tasks)
    history, rest = table.split_rows(fraction, seed)
    assert sorted(history.prompts + rest.prompts) == sorted(prompts)
    assert abs(len(history) - fraction * rows) <= 1
    share = len(history) / rows
    for task in set(tasks):
        assert abs(history.task.count(task) - share * tasks.count(task)) < 1.001
    again = table.split_rows(fraction, seed)
    assert again[0].prompts == history.prompts


@pytest.mark.parametrize("fraction", [0, 1, -1, NAN, "half"])
def test_split_rows_refuses(fraction):
    with pytest.raises(InvalidInput):
        make().split_rows(fraction)
    with pytest.raises(InvalidInput):
        make().take([0]).split_rows(0.5)


def test_describe():
    summary = make().describe().as_dict()
    assert summary["incomplete_rows"] == 1
    assert summary["models"][1] == {
        "model": "y", "mean_quality": pytest.approx(2 / 3), "mean_cost": 4.0, "gaps": 0.25
    }  # fmt: skip
    assert summary["tasks"][0] == {"task": "t", "rows": 2, "mean_quality": {"x": 0.5, "y": 0.0}}


def test_digest_sees_every_field_but_the_name():
    base = make()
    assert base.digest == make(name="four").digest
    assert make(task=["t"] * 4).digest == make(task=["t"] * 4, name="x", source="y").digest
    changes = [
        {"prompts": ["a", "b", "c", "e"]},
        {"models": ("x", "z")},
        {"cost": np.ones((4, 2))},
        {"cost_unit": "J"},
        {"task": ["t"] * 4},
        {"split": ["train"] * 4},
        {"tokens_in": [1] * 4},
        {"latency": np.ones((4, 2))},
        {"tokens_out": np.ones((4, 2))},
        {"simulated": True},
    ]
    assert len({base.digest, *(make(**change).digest for change in changes)}) == len(changes) + 1


@st.composite
def tables(draw):
    rows, width = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    unit = st.floats(0, 1, width=32) | st.just(NAN)
    quality = draw(hnp.arrays(np.float32, (rows, width), elements=unit))
    amount = st.floats(0, 1e9, width=32)
    cost = draw(hnp.arrays(np.float64, (rows, width), elements=amount))
    cost = np.where(np.isnan(quality), NAN, cost)
    text = st.text(max_size=20)
    some = st.booleans()
    return RoutingTable(
        draw(st.lists(text, min_size=rows, max_size=rows)),
        draw(
            st.lists(st.text(min_size=1, max_size=8), min_size=width, max_size=width, unique=True)
        ),
        quality,
        cost,
        draw(st.sampled_from(["USD", "J"])),
        draw(st.lists(text, min_size=rows, max_size=rows)),
        draw(st.lists(st.sampled_from(["", "train", "test"]), min_size=rows, max_size=rows)),
        draw(hnp.arrays(np.float32, rows, elements=amount)) if draw(some) else None,
        draw(hnp.arrays(np.float32, (rows, width), elements=amount)) if draw(some) else None,
        draw(hnp.arrays(np.float32, (rows, width), elements=amount)) if draw(some) else None,
        draw(st.text(min_size=1, max_size=9)),
        draw(some),
        draw(text),
    )


@given(tables())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_save_and_load_are_exact(tmp_path, table):
    path = tmp_path / "table.parquet"
    table.save(path)
    back = RoutingTable.load(path)
    assert back.digest == table.digest
    assert (back.name, back.source, back.simulated) == (table.name, table.source, table.simulated)
    np.testing.assert_array_equal(back.quality, table.quality)
    np.testing.assert_array_equal(back.cost, table.cost)
    assert [p.name for p in tmp_path.iterdir()] == ["table.parquet"]


def _empty(path):
    path.write_bytes(b"")


def _truncated(path):
    path.write_bytes(path.read_bytes()[:-40])


def _cut_to_footer(path):
    raw = path.read_bytes()
    path.write_bytes(raw[:4] + raw[-200:])


def _text(path):
    path.write_text("prompt,x\nhello,1\n")


def _foreign(path):
    pl.DataFrame({"a": [1]}).write_parquet(path)


def _rewrite(change=None, header=None):
    def apply(path):
        frame = pl.read_parquet(path)
        old = pl.read_parquet_metadata(path)["floorline.routing_table"]
        new = old if header is None else header(old)
        frame = frame if change is None else change(frame)
        frame.write_parquet(path, metadata={"floorline.routing_table": new})

    return apply


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "no such file"),
        (_empty, "empty"),
        (_truncated, "Parquet"),
        (_cut_to_footer, "Parquet"),
        (_text, "Parquet"),
        (_foreign, "not a routing table"),
        (_rewrite(header=lambda h: "{"), "metadata is damaged"),
        (_rewrite(header=lambda h: "[]"), "lacks 'version'"),
        (_rewrite(header=lambda h: h.replace('"version": 1', '"version": 2')), "newer"),
        (_rewrite(header=lambda h: h.replace("digest", "digits")), "lacks 'digest'"),
        (_rewrite(header=lambda h: h.replace('"quality", ', "")), "no quality"),
        (_rewrite(header=lambda h: h.replace('"cost"]', '"cost", "mood"]')), "unknown field"),
        (_rewrite(lambda f: f.drop("quality|x")), "column is missing"),
        (_rewrite(lambda f: f.drop("prompt")), "column is missing"),
        (_rewrite(lambda f: f.with_columns(prompt=pl.lit(1))), "something else than texts"),
        (_rewrite(lambda f: f.with_columns(pl.lit("n").alias("cost|x"))), "where numbers belong"),
        (_rewrite(lambda f: f.with_columns(pl.col("cost|x") + 1)), "digest"),
        (_rewrite(lambda f: f.with_columns(pl.col("cost|x") * -1)), "negative"),
    ],
)
def test_load_says_in_one_line_what_is_wrong(tmp_path, damage, words):
    path = tmp_path / "table.parquet"
    make().save(path)
    damage(path)
    with pytest.raises(FloorlineError, match=words) as caught:
        RoutingTable.load(path)
    assert "\n" not in str(caught.value)


def test_save_into_a_missing_folder(tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        make().save(tmp_path / "no" / "table.parquet")


def test_a_table_shows_its_models_from_the_cheapest_on():
    shown = make(models=("<x>", "y"))._repr_html_()
    assert "4 prompts" in shown
    assert shown.index("&lt;x&gt;") < shown.index(">y<")
    assert "<x>" not in shown
    assert '<td style="text-align:right">0.625</td>' in shown
    assert shown.count("<circle") == 2
    # A table of free models has no axis of costs.
    assert "<svg" not in make(cost=np.zeros((4, 2)))._repr_html_()
