"""Prices of models: given, looked up, free or missing."""

import builtins
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from tests.support.package_prices import compare

from floorline.config import load_text
from floorline.config.auto_prices import UnknownPrice, _read, listed_prices
from floorline.errors import ConfigError, MissingExtra
from floorline.zoo import PRICES, Model

OPENAI = "https://api.openai.com/v1"
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def settings(*models, **sections):
    slas = [{"name": "gold", "floor": 0.9}]
    return load_text(json.dumps({"models": list(models), "slas": slas, **sections}), environ={})


def one(**model):
    (found,) = settings({"name": "gpt-4o-mini", "endpoint": OPENAI, **model}).as_zoo().models
    return found


@pytest.mark.parametrize(
    ("kind", "endpoint", "name", "given", "source"),
    [
        ("openai", OPENAI, "gpt-4o-mini", "auto", "openai, gpt-4o-mini"),
        (
            "anthropic",
            "http://proxy/v1",
            "claude-sonnet-4-5",
            "auto",
            "anthropic, claude-sonnet-4-5",
        ),
        ("azure", "https://us.openai.azure.com/openai", "gpt-4o", "auto", "azure, gpt-4o"),
        ("litellm", None, "anthropic/claude-sonnet-4-5", "auto", "anthropic, claude-sonnet-4-5"),
        ("litellm", None, "gpt-4o", "auto", "openai, gpt-4o"),
        ("litellm", None, "gemini/gemini-2.5-pro", "auto", "google, gemini-2.5-pro"),
        (
            "litellm",
            None,
            "fireworks_ai/accounts/fireworks/models/deepseek-v3p2",
            "auto",
            "fireworks, deepseek-v3p2",
        ),
        ("any-llm", None, "mistral:mistral-large-latest", "auto", "mistral, mistral-large"),
        ("openai", "http://10.0.0.5/v1", "mine", "openai/gpt-4o", "openai, gpt-4o"),
        (
            "openai",
            "https://openrouter.ai/api/v1",
            "openai/gpt-4o",
            "auto",
            "openrouter, openai/gpt-4o",
        ),
    ],
)
def test_the_provider_follows_from_the_kind_or_the_endpoint(kind, endpoint, name, given, source):
    found = listed_prices(kind, endpoint, name, given)
    assert found.source.startswith("genai-prices ")
    assert found.source.endswith(f": {source}")
    assert found.prices["output_price"] > 0.0
    assert found.prices.keys() <= set(PRICES)
    Model("m", **found.prices)


@pytest.mark.parametrize(
    ("endpoint", "given", "message"),
    [
        ("http://10.0.0.5/v1?key=secret", "auto", "of 'gpt-4o' of the provider at 10.0.0.5$"),
        (OPENAI, "openai/gpt-none", "of 'gpt-none' of provider 'openai'$"),
        (OPENAI, "nowhere/gpt-4o", "of 'gpt-4o' of provider 'nowhere'$"),
    ],
)
def test_what_is_not_known_is_named(endpoint, given, message):
    with pytest.raises(UnknownPrice, match=message):
        listed_prices("openai", endpoint, "gpt-4o", given)


def test_prices_fill_what_is_not_given():
    found = one(price="auto", cached_input_price=0.01, batch_factor=1)
    listed = listed_prices("openai", OPENAI, "gpt-4o-mini").prices
    assert (found.input_price, found.output_price) == (
        listed["input_price"],
        listed["output_price"],
    )
    assert (found.cached_input_price, found.batch_factor) == (0.01, 1.0)


def test_defaults_look_prices_up_for_all_models():
    given = {"name": "mine", "endpoint": "http://10.0.0.5/v1"}
    found = settings(
        {"name": "gpt-4o-mini", "endpoint": OPENAI},
        {**given, "input_price": 1, "output_price": 2},
        {**given, "name": "free", "price": "free"},
        defaults={"price": "auto"},
    )
    mini, mine, free = found.as_zoo().models
    assert (mini.input_price, mine.output_price, free.free) == (0.15, 2.0, True)
    assert found.models[1].price_line() == "mine: input 1, output 2 (given)"
    assert found.models[2].price_line() == "free: free"
    assert "(genai-prices" in found.models[0].price_line()


def test_a_model_that_names_a_source_takes_no_prices_of_defaults():
    model = {"name": "gpt-4o-mini", "endpoint": OPENAI, "price": "auto"}
    (found,) = settings(model, defaults={"input_price": 77}).as_zoo().models
    assert found.input_price == 0.15


@pytest.mark.parametrize(
    ("model", "sections", "message"),
    [
        (
            {"price": "auto", "endpoint": "http://h/v1"},
            {},
            r"models\[0\].price is 'auto', but genai",
        ),
        ({"price": "auto"}, {"cost_unit": "J"}, r"is 'auto', which is in USD, but cost_unit is J"),
        ({"price": "cheap"}, {}, r"price is 'cheap': give auto, free, or PROVIDER/MODEL"),
        ({"price": "free", "input_price": 1}, {}, r"price is free, and a price is given"),
        ({"cache_write_price": -1}, {}, r"cache_write_price is -1: give a price from 0"),
        ({"batch_factor": 2}, {}, r"batch_factor is 2: give a factor from 0 to 1"),
        ({"cache_lifetime": "60d"}, {}, r"cache_lifetime is '60d': give a time of at most 31 days"),
        ({"cache_min_tokens": -5}, {}, r"cache_min_tokens is -5: give a number of tokens"),
        (
            {},
            {"slas": [{"name": "gold", "floor": 0.9, "budget": {"total": 5}}]},
            r"models\[0\] has no price, but SLA 'gold' has a budget: give input_price",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(model, sections, message):
    with pytest.raises(ConfigError, match=message):
        load_text(
            json.dumps(
                {
                    "models": [{"name": "gpt-4o-mini", "endpoint": OPENAI, **model}],
                    "slas": [{"name": "gold", "floor": 0.9}],
                    **sections,
                }
            ),
            environ={},
        )


def test_a_budget_needs_prices_of_the_models_of_its_sla_only():
    models = [
        {"name": "paid", "endpoint": OPENAI, "output_price": 1},
        {"name": "none", "endpoint": OPENAI},
    ]
    sla = {"name": "gold", "floor": 0.9, "budget": {"total": 5}, "models": ["paid"]}
    found = load_text(json.dumps({"models": models, "slas": [sla]}), environ={})
    assert found.as_zoo().unpriced == ("none",)


@pytest.mark.parametrize(
    ("model", "free", "line"),
    [
        ({}, False, "gpt-4o-mini: NO PRICE"),
        ({"input_price": 0}, True, "gpt-4o-mini: free"),
        ({"price": "free"}, True, "gpt-4o-mini: free"),
        ({"call_price": 2, "input_price": 0}, False, "gpt-4o-mini: call 2 (given)"),
    ],
)
def test_a_price_of_0_is_free_and_none_is_missing(model, free, line):
    found = settings({"name": "gpt-4o-mini", "endpoint": OPENAI, **model})
    assert found.as_zoo().models[0].free == free
    assert found.models[0].price_line() == line


def test_every_price_reaches_the_router():
    prices = {name: 0.5 for name in PRICES if name != "long_prompt_tokens"}
    found = one(**prices, long_prompt_tokens=9, cache_lifetime="1h", cache_min_tokens=7)
    assert {name: getattr(found, name) for name in prices} == prices
    assert (found.long_prompt_tokens, found.cache_seconds, found.cache_min_tokens) == (9, 3600.0, 7)


def test_without_the_package_its_extra_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **about):
        if name.startswith("genai_prices"):
            raise ModuleNotFoundError(name=name)
        return real(name, *args, **about)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtra, match=r"price: auto needs the extra 'prices'"):
        one(price="auto")
    assert one(output_price=1).output_price == 1.0


def info(prices, variants=None):
    return ModelInfo(id="m", match=ClauseEquals(equals="m"), prices=prices, price_variants=variants)


def price(given, answered, **more):
    return ModelPrice(input_mtok=Decimal(given), output_mtok=Decimal(answered), **more)


def test_prices_that_change_with_the_time_of_day_are_the_highest():
    night = TimeOfDateConstraint(start_time=time(0, tzinfo=UTC), end_time=time(1, tzinfo=UTC))
    found = _read(
        info(
            [
                ConditionalPrice(constraint=None, prices=price(1, 2)),
                ConditionalPrice(
                    constraint=StartDateConstraint(start_date=date(2026, 1, 1)), prices=price(3, 4)
                ),
                ConditionalPrice(
                    constraint=StartDateConstraint(start_date=date(2030, 1, 1)), prices=price(7, 8)
                ),
                ConditionalPrice(constraint=night, prices=price(5, 6)),
            ]
        ),
        "test",
        NOW,
    )
    assert (found.prices["input_price"], found.prices["output_price"]) == (5.0, 6.0)
    assert found.notes == ("prices change with the time of day; these are the highest",)


def test_tiers_and_long_prompts_become_factors():
    long = TieredPrices(base=Decimal(2), tiers=[Tier(start=1000, price=Decimal(5))])
    found = _read(
        info(
            ModelPrice(input_mtok=long, output_mtok=Decimal(8), requests_kcount=Decimal(4)),
            [PriceVariant(when={"processing": "batch"}, prices=price(1, 6))],
        ),
        "test",
        NOW,
    )
    assert found.prices == {
        "input_price": 2.0,
        "output_price": 8.0,
        "call_price": 0.004,
        "batch_factor": 0.75,
        "long_prompt_tokens": 1000,
        "long_prompt_input_factor": 2.5,
    }


def test_a_model_without_prices_of_tokens_is_not_known():
    with pytest.raises(UnknownPrice, match="no prices of tokens of 'm'"):
        _read(info(ModelPrice(audio_hours=Decimal(1))), "test", NOW)


def test_the_package_is_never_asked_to_fetch():
    from genai_prices.data_snapshot import get_snapshot

    listed_prices("openai", OPENAI, "gpt-4o-mini")
    assert not get_snapshot().from_auto_update


def test_costs_are_those_that_the_package_computes():
    compared = list(compare({"openai", "anthropic", "google", "x-ai", "mistral", "groq", "azure"}))
    assert len(compared) > 3_000
    assert [one for one in compared if not one.equal] == []
