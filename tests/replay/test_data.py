import numpy as np

from floorline.datasets import RoutingTable, simulate
from floorline.encoders import HashedNgrams
from floorline.replay.data import prepare, zoo_of


def test_the_simulated_zoo_is_listed_per_token():
    table = simulate(50, seed=1)
    zoo = zoo_of(table)
    assert zoo.names == table.models
    assert all(model.call_price == 0 and model.output_price > 0 for model in zoo.models)


def test_other_tables_list_mean_costs_to_one_digit():
    table = RoutingTable(
        ["a", "b"], ["x", "y"], [[1, 0], [1, 1]], [[0.11, 2.4], [0.13, 2.8]], cost_unit="J"
    )
    zoo = zoo_of(table)
    assert [model.call_price for model in zoo.models] == [0.1, 3.0]
    assert zoo.cost_unit == "J"


def test_cost_is_unknown_if_quality_is_unknown():
    table = RoutingTable(["a", "b"], ["x", "y"], [[1, np.nan], [1, 1]], [[1, 7], [1, 7]])
    data = prepare(table, HashedNgrams(96))
    assert np.isnan(data.cost[0, 1])
    assert data.cost[1, 1] == 7
    assert data.rows == 2


def test_tokens_are_those_of_the_table_or_a_quarter_of_the_characters():
    prompts = ["x" * 9, "y"]
    counted = RoutingTable(prompts, ["m"], [[1], [1]], [[1], [1]], tokens_in=[50, np.nan])
    uncounted = RoutingTable(prompts, ["m"], [[1], [1]], [[1], [1]])
    assert prepare(counted, HashedNgrams(96)).input_tokens.tolist() == [50, 0]
    assert prepare(uncounted, HashedNgrams(96)).input_tokens.tolist() == [3, 1]
