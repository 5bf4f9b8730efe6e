import numpy as np
import pytest

from floorline.datasets import RoutingTable
from floorline.errors import InvalidInput
from floorline.training import TrainingSettings, split_parts, target_range
from floorline.training.settings import normalised_cost


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_parts_share_no_row_and_no_prompt_and_cover_the_table(routed, seed):
    table, _ = routed
    parts = split_parts(table, seed=seed)
    prompts = [set(part.prompts) for part in parts[:3]]
    assert sum(map(len, prompts)) == len(set().union(*prompts)) == len(table)
    assert parts.dropped == 0
    assert [len(p) for p in prompts] == [126, 54, 60]


def test_repeated_prompts_stay_in_one_part_and_gaps_in_none():
    rng = np.random.default_rng(0)
    quality = rng.integers(0, 2, (200, 2)).astype(float)
    quality[::20, 0] = np.nan
    prompts = [f"request {n % 120}" for n in range(200)]
    parts = split_parts(RoutingTable(prompts, ["a", "b"], quality, np.ones((200, 2))))
    prompts = [set(part.prompts) for part in parts[:3]]
    assert not (prompts[0] & prompts[1] | prompts[0] & prompts[2] | prompts[1] & prompts[2])
    assert sum(len(part) for part in parts[:3]) + parts.dropped == 200
    assert parts.dropped > 10


def test_rows_that_a_table_marks_as_test_are_the_test_part(routed):
    table, _ = routed
    split = ["test" if n % 3 == 0 else "train" for n in range(len(table))]
    marked = RoutingTable(table.prompts, table.models, table.quality, table.cost, split=split)
    parts = split_parts(marked)
    assert set(parts.test.split) == {"test"}
    assert len(parts.test) == 80
    assert set(parts.train.split) | set(parts.validation.split) == {"train"}


def test_the_range_is_from_the_cheapest_models_mean_to_the_highest(routed):
    table, _ = routed
    low, high = target_range(table)
    assert low == pytest.approx(table.mean_quality[0], abs=1e-3)
    assert high == pytest.approx(table.mean_quality.max(), abs=1e-3)


def test_data_on_which_the_cheapest_model_is_best_has_no_range():
    table = RoutingTable(["a", "b"], ["x", "y"], [[1, 0], [1, 1]], [[1, 2], [1, 2]])
    with pytest.raises(InvalidInput, match="cheapest model is not best"):
        target_range(table)


@pytest.mark.parametrize(
    "change",
    [
        {"targets": (0.9, 0.5)},
        {"targets": (0.5, 1.5)},
        {"steps": 0},
        {"duals": 0},
        {"draws": 1},
        {"anchor": 2.0},
        {"rate": float("nan")},
        {"temperature": 0.0},
    ],
)
def test_settings_out_of_range_are_rejected_by_name(change):
    with pytest.raises(InvalidInput, match=f"TrainingSettings.{next(iter(change))}"):
        TrainingSettings(**{"targets": (0.5, 0.9), **change})


def test_costs_are_normalised_by_their_logarithm_and_free_models_to_0():
    assert normalised_cost(np.array([0.0, 1.0, 10.0, 100.0])).tolist() == [0.0, 0.0, 0.5, 1.0]
    assert normalised_cost(np.array([2.0, 2.0])).tolist() == [0.0, 0.0]
