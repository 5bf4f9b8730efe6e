"""Prices that the package lists, from the file to the log, over real HTTP."""

import copy
import logging
from decimal import Decimal

import pytest
from genai_prices import data_snapshot
from tests.support.faulty_provider import FaultyProvider
from tests.support.live_gateway import InThread, Live, write_settings

from floorline.events import Outcome, ZooChange

MODEL = "gpt-4o-mini"
# The provider's answer has 12 prompt tokens, 8 of them cached, and 9 tokens of text.
PLAIN, CACHED, TEXT = 4, 8, 9


@pytest.fixture
def serve(tmp_path):
    """Start a gateway whose model has the prices of OpenAI's, at a provider on loopback."""
    provider, started = InThread(FaultyProvider()), []

    def serve(**model):
        given = {"name": MODEL, "endpoint": provider.value.base_url, **model}
        started.append(Live(write_settings("http://127.0.0.1:1", models=[given]), tmp_path))
        return started[-1]

    yield serve
    for one in started:
        if not one.http.is_closed:
            one.stop()
    provider.stop()


def events(live, kind):
    live.call(live.gateway.store.flush)
    return [event for event in live.gateway.store.read() if isinstance(event, kind)]


def warnings(live):
    return live.http.get("/readyz").json()["warnings"]


def update_of_the_package(monkeypatch):
    """A version of the package in which the model's output costs twice as much."""
    newer = copy.deepcopy(data_snapshot.get_snapshot())
    newer._lookup_cache.clear()
    _, model = newer.find_provider_model(MODEL, None, "openai", None)
    model.prices.output_mtok = Decimal("1.2")
    monkeypatch.setattr(data_snapshot, "_custom_snapshot", newer)


def test_an_update_of_the_package_changes_no_history(serve, monkeypatch, caplog):
    live = serve(price=f"openai/{MODEL}")
    assert live.chat().status_code == 200
    first = (PLAIN * 0.15 + CACHED * 0.075 + TEXT * 0.6) / 1e6
    (outcome,) = events(live, Outcome)
    assert (outcome.cost, outcome.cached_tokens) == (pytest.approx(first), CACHED)
    assert warnings(live) == []
    (model,) = live.gateway.router.zoo.models
    live.stop()

    update_of_the_package(monkeypatch)
    with caplog.at_level(logging.WARNING):
        again = serve(price=f"openai/{MODEL}")
    told = (
        f"since the last start the prices of model '{MODEL}' changed: output_price from 0.6 to 1.2"
    )
    assert [message for message in caplog.messages if "prices" in message] == [told]
    (change,) = events(again, ZooChange)
    assert change.zoo.models[0].output_price == 1.2
    assert again.gateway.router.status("gold").spent == pytest.approx(first)
    assert again.chat().status_code == 200
    assert events(again, Outcome)[1].cost == pytest.approx(first + TEXT * 0.6 / 1e6)
    again.stop()

    # The prices of before may be given: then the package says nothing.
    kept = serve(price=f"openai/{MODEL}", output_price=0.6)
    assert kept.gateway.router.zoo.models[0].output_price == 0.6
    assert kept.gateway.router.zoo.models[0] == model


@pytest.mark.parametrize(("given", "missing"), [({}, True), ({"price": "free"}, False)])
def test_a_model_without_a_price_is_no_free_one(serve, given, missing):
    live = serve(**given)
    assert live.chat().status_code == 200
    assert len(warnings(live)) == missing
    status = live.http.get("/v1/slas/gold").json()
    assert status["missing_prices"] == ([MODEL] if missing else [])
    assert status["savings"] is None
    metrics = live.http.get("/metrics").text
    assert "floorline_sla_savings_ratio{" not in metrics
