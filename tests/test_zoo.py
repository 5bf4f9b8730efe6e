import re

import msgspec
import numpy as np
import pytest

from floorline.errors import InvalidInput
from floorline.events import ZooChange, decode_event, encode_event
from floorline.zoo import CallLimits, Model, Zoo


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, r"Model\.name is '': give a name that is not empty"),
        ({"name": " "}, r"Model\.name is ' ': give a name"),
        ({"name": 3}, r"Model\.name is 3: give a text"),
        ({"input_price": -1}, r"Model\.input_price of 'm' is -1: give a price from 0 to"),
        ({"output_price": np.nan}, r"Model\.output_price of 'm' is nan: give a price"),
        ({"call_price": np.inf}, r"Model\.call_price of 'm' is inf: give a price"),
        ({"call_price": True}, r"Model\.call_price of 'm' is True: give a price"),
        ({"call_price": "1"}, r"Model\.call_price of 'm' is '1': give a price"),
        ({"typical_output_tokens": 0}, r"typical_output_tokens of 'm' is 0: give a number of tok"),
        ({"context_window": 0}, r"Model\.context_window of 'm' is 0: give .*or None for no limit"),
    ],
)
def test_bad_models_are_refused_by_field_value_and_fix(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        Model(**{"name": "m", **arguments})


@pytest.mark.parametrize(
    ("models", "unit", "message"),
    [
        ([], "USD", r"Zoo\.models is \[\]: give at least one model"),
        ([Model("a"), Model("a")], "USD", r"Zoo\.models\[1\]\.name is 'a': give every model its"),
        ([Model("a"), "b"], "USD", r"Zoo\.models\[1\] is 'b': give a floorline\.Model"),
        ([Model("a")], "EUR", r"Zoo\.cost_unit is 'EUR': choose one of J, USD"),
    ],
)
def test_bad_zoos_are_refused_by_field_value_and_fix(models, unit, message):
    with pytest.raises(InvalidInput, match=message):
        Zoo(models, cost_unit=unit)


def test_models_keep_their_order_and_are_found_by_name(zoo):
    assert zoo.names == ("small", "medium", "large")
    assert [zoo.index(name) for name in zoo.names] == [0, 1, 2]
    assert "large" in zoo
    assert "titan" not in zoo
    with pytest.raises(InvalidInput, match="model is 'titan': name a model of the zoo: small, med"):
        zoo.index("titan")


def test_a_model_is_added_at_the_end_and_replaced_in_place(zoo):
    bigger = zoo.with_model(Model("new"))
    assert bigger.names == (*zoo.names, "new")
    dearer = zoo.with_model(Model("medium", call_price=9.0))
    assert dearer.names == zoo.names
    assert dearer.typical_costs[1] == 9.0
    assert zoo.typical_costs[1] == 4.0


def test_a_model_is_removed_and_the_unit_of_cost_stays():
    zoo = Zoo([Model("a"), Model("b")], cost_unit="J")
    assert zoo.without("a") == Zoo([Model("b")], cost_unit="J")
    with pytest.raises(InvalidInput, match="model is 'c'"):
        zoo.without("c")
    with pytest.raises(InvalidInput, match="give at least one model"):
        zoo.without("a").without("b")


def test_typical_costs_are_list_prices_of_256_tokens_in_and_a_typical_answer():
    zoo = Zoo(
        [
            Model("a", input_price=1e6, output_price=1e4, typical_output_tokens=50),
            Model("b", call_price=7),
        ]
    )
    assert zoo.typical_costs.tolist() == [256 + 0.5, 7.0]


@pytest.fixture
def able():
    return Zoo(
        [
            Model("a", context_window=100),
            Model("b", capabilities=frozenset({"tools", "vision"})),
            Model("c", context_window=1000, capabilities=frozenset({"tools"})),
        ]
    )


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({"tokens": 100}, None),
        ({"tokens": 101}, ["b", "c"]),
        ({"needs": {"tools"}}, ["b", "c"]),
        ({"needs": ["tools", "vision"]}, ["b"]),
        ({"exclude": ["b"]}, ["a", "c"]),
        ({"tokens": 500, "needs": ["tools"], "exclude": ["b"]}, ["c"]),
    ],
)
def test_the_mask_holds_models_that_can_serve_a_request(request_, names, able):
    mask = able.able(**request_)
    if names is None:
        assert mask is None
    else:
        assert [name for name, ok in zip(able.names, mask, strict=True) if ok] == names


def test_a_request_that_no_model_can_serve_is_refused_with_what_it_asked_for(able):
    with pytest.raises(InvalidInput, match=r"'needs': .'audio'.*no model can serve it"):
        able.able(needs=["audio"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"quality_hint": 1.2}, r"Model\.quality_hint of 'a' is 1\.2: give a mean satisfaction"),
        ({"quality_hint": True}, r"Model\.quality_hint of 'a' is True"),
        ({"quality_hint": float("nan")}, r"Model\.quality_hint of 'a' is nan"),
        ({"quality_hint": "good"}, r"Model\.quality_hint of 'a' is 'good'"),
        ({"quality_hint": 0.5, "quality_like": "b"}, r"quality_like of .a. is .b.: give it or"),
        ({"quality_like": "a"}, r"Model\.quality_like of .a. is .a.: name another model"),
        ({"hint_weight": 0}, r"Model\.hint_weight of 'a' is 0: give a number of labels from 1"),
        ({"hint_weight": 1e7}, r"Model\.hint_weight of 'a' is 10000000\.0"),
    ],
)
def test_a_hint_is_a_mean_satisfaction_and_its_weight_a_number_of_labels(given, message):
    with pytest.raises(InvalidInput, match=message):
        Model("a", **given)


def test_a_hint_reaches_the_log_and_comes_back():
    zoo = Zoo([Model("a", quality_hint=1, hint_weight=30), Model("b")])
    data = encode_event(ZooChange(zoo=zoo))
    assert decode_event(data).zoo == zoo
    assert encode_event(decode_event(data)) == data


@pytest.mark.parametrize("given", [["tools", "vision"], ("tools", "vision"), {"tools", "vision"}])
def test_capabilities_may_be_any_collection_of_texts(given):
    model = Model("a", capabilities=given)
    assert model == Model("a", capabilities=frozenset({"tools", "vision"}))
    assert hash(model)
    assert Zoo([model, Model("b")]).able(needs=["vision"]).tolist() == [True, False]


@pytest.mark.parametrize("given", ["tools", 5, None, {"tools": 1}, [["tools"]], [5]])
def test_capabilities_that_are_no_texts_are_refused(given):
    with pytest.raises(InvalidInput, match=r"Model\.capabilities of 'a'"):
        Model("a", capabilities=given)


PARTS = ("cached_input_price", "cache_write_price", "cache_write_1h_price", "reasoning_price")


@pytest.mark.parametrize("field", [*PARTS, "audio_input_price", "audio_output_price"])
def test_prices_of_parts_may_be_left_out_and_are_bounded(field):
    assert getattr(Model("m"), field) is None
    price = getattr(Model("m", **{field: 2}), field)
    assert (price, type(price)) == (2.0, float)
    with pytest.raises(InvalidInput, match=rf"Model.{field} of 'm' is -1: give a price from 0"):
        Model("m", **{field: -1})


@pytest.mark.parametrize("field", ["batch_factor", "priority_factor"])
def test_factors_of_tiers_are_bounded(field):
    with pytest.raises(InvalidInput, match=rf"Model.{field} of 'm' is 101: give a factor"):
        Model("m", **{field: 101})


def test_a_model_without_prices_is_not_a_free_one():
    assert not Model("m").has_price
    assert Model("m", free=True).free
    assert Model("m", reasoning_price=1.0).has_price
    with pytest.raises(InvalidInput, match=r"Model.free of 'm' is True: remove it, or the prices"):
        Model("m", free=True, call_price=1.0)


def test_the_largest_cost_is_at_the_largest_price_of_every_part():
    model = Model(
        "m",
        input_price=1.0,
        output_price=2.0,
        cache_write_price=1.25,
        cache_write_1h_price=2.0,
        reasoning_price=3.0,
        image_price=0.5,
        audio_input_price=10.0,
        audio_output_price=20.0,
        priority_factor=2.0,
    )
    million = 10**6
    zoo = Zoo([model])
    text = CallLimits(million, million, answers=2, images=3, has_audio=False)
    assert zoo.largest_costs(text) == pytest.approx([2 * (2.0 + 2 * 3.0) + 1.5])
    heard = text._replace(has_audio=True)
    assert zoo.largest_costs(heard) == pytest.approx([2 * (10.0 + 2 * 20.0) + 1.5])
    batch = msgspec.structs.replace(model, priority_factor=1.0, batch_factor=0.5)
    assert Zoo([batch]).largest_costs(text) == pytest.approx([2.0 + 2 * 3.0 + 1.5])


@pytest.mark.parametrize(
    "field", ["cached_input_price", "cache_write_price", "cache_write_1h_price"]
)
def test_each_price_of_cached_tokens_makes_caches_matter(field):
    plain = Model("plain", input_price=1.0, output_price=2.0)
    cached = Model("cached", input_price=1.0, output_price=2.0, **{field: 0.5})
    assert not Zoo([plain]).caches
    assert Zoo([plain, cached]).caches


def test_a_zoo_shows_its_models_and_prices():
    models = [
        Model("<small>", input_price=0.15, output_price=0.6, capabilities=["tools", "json"]),
        Model("own", free=True, context_window=128_000),
        Model("dear"),
    ]
    shown = Zoo(models)._repr_html_()
    assert "<caption>Zoo of 3 models</caption>" in shown
    rows = [re.sub(r"<[^>]*>", "|", row) for row in shown.split("<tr>")[2:]]
    cells = [[cell for cell in row.split("|") if cell] for row in rows]
    assert cells == [
        ["&lt;small&gt;", "0.15", "0.6", "0", "–", "json, tools"],
        ["own", "0", "0", "0", "128,000", "–"],
        ["dear", "unknown", "unknown", "unknown", "–", "–"],
    ]
