"""What a client reads whose request no model can serve, and of which models."""

import pytest
from tests.support.live_gateway import Live, write_settings

MODELS = [
    {"name": "tiny", "context_window": 1_000, "capabilities": ["tools", "vision"]},
    {"name": "plain", "context_window": 200_000},
    {"name": "seeing", "context_window": 200_000, "capabilities": ["vision"]},
]
IMAGE = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
TOOLS = [{"type": "function", "function": {"name": "f"}}]
LONG = "word " * 12_000


@pytest.fixture
def gateway(provider, tmp_path):
    models = [
        {"endpoint": f"{provider}/v1", "input_price": 1.0, "output_price": 1.0, "retries": 0, **one}
        for one in MODELS
    ]
    slas = [
        {"name": "gold", "floor": 0.8},
        {"name": "picky", "floor": 0.5, "models": ["plain", "seeing"]},
        {"name": "poor", "floor": 0.5, "budget": {"total": 0.001, "period": "1d"}},
    ]
    live = Live(write_settings(provider, models=models, slas=slas, auth="keys"), tmp_path)

    def use(**fields):
        keys = live.gateway.store.keys
        secret = keys.create("app", ("chat",), **fields)[1]
        live.call(live.gateway.auth.set_keys, keys.list())
        live.http.headers["authorization"] = f"Bearer {secret}"

    live.use = use
    use()
    yield live
    live.stop()


def refused(gateway, status, path="/v1/chat/completions", **fields):
    """Error of a request that is refused."""
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}], **fields}
    answer = gateway.http.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
def test_the_limit_of_each_model_is_named(path, gateway):
    error = refused(
        gateway,
        400,
        path,
        tools=TOOLS,
        messages=[{"role": "user", "content": LONG}],
        max_tokens=100,
        floorline={"exclude": ["seeing"]},
    )
    assert error["message"] == (
        "request is {'input_tokens': 15012, 'max_tokens': 100, 'needs': ['tools']}: no model can "
        "serve it (tiny: its context window holds 1,000 tokens, and the request needs 15,112; "
        "plain: lacks tools; seeing: excluded by the request): ask for less, or add a model that "
        "can"
    )
    assert (error["code"], error["param"]) == ("invalid_value", "request")


def test_what_an_sla_does_not_allow_is_named(gateway):
    error = refused(gateway, 400, model="floorline/picky", tools=TOOLS)
    assert "tiny: SLA 'picky' does not allow it" in error["message"]
    assert "seeing: lacks tools" in error["message"]


def test_an_open_breaker_is_named_and_a_time_to_come_back(gateway):
    def open_breakers():
        for name in ("tiny", "seeing"):
            breaker = gateway.gateway.upstreams._models[name].breaker
            for _ in range(200):
                if (ticket := breaker.admit()) is not None:
                    breaker.failed(ticket)

    gateway.call(open_breakers)
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": [IMAGE]}]}
    answer = gateway.http.post("/v1/chat/completions", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "no_model_available")
    assert answer.headers["retry-after"] == "5"
    assert "tiny: its context window holds 1,000 tokens" in error["message"]
    assert "plain: lacks vision" in error["message"]
    assert "seeing: circuit breaker open: its provider keeps failing" in error["message"]


@pytest.mark.parametrize("model", ["poor", "gold"])
def test_what_a_call_needs_of_a_budget_is_named(model, gateway):
    if model == "gold":
        gateway.use(budget=0.001, period=86_400.0)
        error = refused(gateway, 429, max_tokens=2_000)
        assert error["code"] == "insufficient_quota"
        cause = "of the API key's budget, and 0.001 is left"
    else:
        error = refused(gateway, 429, model="floorline/poor", max_tokens=2_000)
        assert error["code"] == "budget_exhausted"
        cause = "of the budget, and 0.001 is left"
    assert "tiny: its context window holds 1,000 tokens, and the request" in error["message"]
    assert f"plain: a call needs 0.00209 {cause}" in error["message"]


SUGGESTED = [
    ("gold", "floorline/gold"),
    ("Gold", "floorline/gold"),
    ("glod", "floorline/gold"),
    ("auto", "floorline/auto"),
    ("Floorline/gold", "floorline/gold"),
    ("floorline:gold", "floorline/gold"),
    ("floorlin/gold", "floorline/gold"),
    ("floorline/glod", "floorline/gold"),
    ("floorline/GOLD", "floorline/gold"),
    ("floorline/pickey", "floorline/picky"),
    ("tinny", "tiny"),
    ("Seeing", "seeing"),
    ("floorline/plain", "plain"),
]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
@pytest.mark.parametrize(("asked", "meant"), SUGGESTED)
def test_the_name_that_was_meant_is_suggested(asked, meant, path, gateway):
    if path == "/v1/route" and not asked.startswith("floorline/"):
        if meant in ("tiny", "seeing"):
            return
        error = refused(gateway, 400, path, model=asked)
    else:
        error = refused(gateway, 404, path, model=asked)
        assert error["code"] == "model_not_found"
    assert f"did you mean {meant}? " in error["message"]


@pytest.mark.parametrize("asked", ["gpt-4o", "floorline/bronze", "x" * 100_000])
def test_nothing_is_suggested_for_other_names(asked, gateway):
    error = refused(gateway, 404, model=asked)
    assert "did you mean" not in error["message"]
    assert len(error["message"]) < 500


def test_a_key_of_some_models_reads_of_these_only(gateway):
    gateway.use(models=["plain"])
    error = refused(gateway, 400, tools=TOOLS, messages=[{"role": "user", "content": LONG}])
    assert error["message"].endswith(
        "no model can serve it (plain: lacks tools): ask for less, or add a model that can"
    )
    for asked in ("tinny", "seeinng", "tiny", "seeing"):
        text = refused(gateway, 404, model=asked)["message"].replace(asked, "NAME")
        assert text == "there is no model 'NAME': name one of plain, or an SLA as floorline/NAME"
    text = refused(gateway, 404, model="plian")["message"]
    assert "did you mean plain? " in text


def test_a_key_of_an_sla_reads_of_no_model(gateway):
    gateway.use(slas=["poor"])
    errors = [
        refused(gateway, 400, model="floorline/poor", tools=TOOLS, max_tokens=10**6),
        refused(gateway, 429, model="floorline/poor", max_tokens=2_000),
        refused(gateway, 404, model="tinny"),
        refused(gateway, 404, model="gold"),
        refused(gateway, 404, model="floorline/glod"),
        refused(gateway, 404, model="por"),
    ]
    for error in errors:
        assert not any(one["name"] in error["message"] for one in MODELS)
        assert "gold?" not in error["message"]
    assert "did you mean floorline/poor? " in errors[-1]["message"]
    gateway.use(slas=["gold"], budget=0.001, period=86_400.0)
    text = refused(gateway, 429, max_tokens=2_000)["message"]
    assert not any(one["name"] in text for one in MODELS)


def test_an_unknown_model_that_is_excluded_has_a_suggestion(gateway):
    error = refused(gateway, 400, floorline={"exclude": ["tinny"]})
    assert "did you mean 'tiny'? name models of" in error["message"]


def test_the_text_does_not_grow_with_the_zoo(gateway, provider, tmp_path):
    (tmp_path / "many").mkdir()
    models = [{"name": f"model-{n}-" + "x" * 200, "endpoint": f"{provider}/v1"} for n in range(300)]
    many = Live(write_settings(provider, models=models), tmp_path / "many")
    try:
        text = refused(many, 400, tools=TOOLS)["message"]
        assert "and 280 more" in text
        assert len(text) < 3_000
        assert len(refused(many, 404, model="model-7-" + "x" * 150)["message"]) < 3_000
    finally:
        many.stop()
