"""Models over HTTP: what arrives is not the operator's file."""

import json
import logging

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route
from tests.support.live_gateway import InThread, http_server, wait_until, write_settings

SECRET = "sk-of-the-environment"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("AWS_SECRET", SECRET)
    monkeypatch.setenv("ALLOWED_KEY", "sk-allowed")


@pytest.fixture
def new_model(provider):
    return {
        "name": "sim-new",
        "model": "sim-nano",
        "endpoint": f"{provider}/v1",
        "output_price": 1.0,
    }


def names(gateway):
    return list(gateway.gateway.router.zoo.names)


def kept(gateway):
    return gateway.gateway.store.documents("model")


def warnings(gateway):
    return gateway.http.get("/readyz").json()["warnings"]


def test_a_model_is_added_serves_and_is_removed(administered, new_model):
    gateway = administered
    assert gateway.http.post("/v1/zoo/models", json=new_model).status_code == 201
    assert names(gateway)[-1] == "sim-new"
    assert gateway.chat(model="sim-new").json()["model"] == "sim-nano"
    assert gateway.http.delete("/v1/zoo/models/sim-new").json()["deleted"] is True
    assert "sim-new" not in names(gateway)
    assert gateway.chat(model="sim-new").status_code == 404
    assert gateway.http.delete("/v1/zoo/models/sim-new").status_code == 404
    # Nothing is kept of a model that the file does not have either.
    assert kept(gateway) == {}


def test_prices_of_a_model_are_looked_up(administered, new_model):
    gateway = administered
    del new_model["output_price"]
    for price, fix in (
        ("auto", "genai-prices has no prices of 'sim-nano' of the provider at 127.0.0.1"),
        ("openai/none", "genai-prices has no prices of 'none' of provider 'openai'"),
        ("free of charge", "price is 'free of charge': give auto, free, or PROVIDER/MODEL"),
    ):
        refused = gateway.http.post("/v1/zoo/models", json={**new_model, "price": price})
        assert refused.status_code == 400
        assert fix in refused.json()["error"]["message"]
    assert "sim-new" not in names(gateway)
    named = {**new_model, "price": "openai/gpt-4o-mini", "cached_input_price": 0.01}
    assert gateway.http.post("/v1/zoo/models", json=named).status_code == 201
    added = gateway.gateway.router.zoo.models[-1]
    assert (added.input_price, added.output_price, added.cached_input_price) == (0.15, 0.6, 0.01)
    assert warnings(gateway) == []
    assert gateway.http.post("/v1/zoo/models", json=new_model).status_code == 201
    (warning,) = warnings(gateway)
    assert warning.startswith("model 'sim-new' has no price")
    free = {**new_model, "price": "free"}
    assert gateway.http.post("/v1/zoo/models", json=free).status_code == 201
    assert warnings(gateway) == []


def test_changes_outlive_a_restart(start_administered, new_model):
    gateway = start_administered()
    gateway.http.post("/v1/zoo/models", json=new_model)
    gateway.http.delete("/v1/zoo/models/sim-titan")
    before = names(gateway)
    gateway.stop()
    again = start_administered()
    assert names(again) == before == ["sim-nano", "sim-medium", "sim-new"]
    assert again.chat(model="sim-new").status_code == 200


def test_a_model_gets_new_prices(administered, new_model):
    administered.http.post("/v1/zoo/models", json={**new_model, "output_price": 7.0})
    administered.http.post("/v1/zoo/models", json={**new_model, "output_price": 9.0})
    zoo = administered.gateway.router.zoo
    assert zoo.models[zoo.index("sim-new")].output_price == 9.0


def test_a_model_starts_from_its_hint_also_after_a_restart(start_administered, new_model):
    gateway = start_administered()
    hinted = {**new_model, "quality_like": "sim-titan", "hint_weight": 40}
    assert gateway.http.post("/v1/zoo/models", json=hinted).status_code == 201
    gateway.stop()
    again = start_administered()
    zoo = again.gateway.router.zoo
    model = zoo.models[zoo.index("sim-new")]
    assert (model.quality_like, model.hint_weight) == ("sim-titan", 40.0)
    assert again.http.post("/v1/zoo/models", json={**new_model, "quality_hint": 1}).is_success
    posterior = again.gateway.router.policy.posterior_
    assert posterior.hints_.hint_.tolist() == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"input_price": -1}, "input_price is -1: give a price from 0 to 1e+09"),
        ({"input_price": 10**400}, "give a price from 0"),
        ({"input_price": 1e13}, "input_price is 10000000000000.0: give a price"),
        ({"context_window": 2**63}, "give a whole number of 1 or more"),
        ({"timeouts": {"total": 1e300}}, "give seconds above 0"),
        ({"endpoint": "ftp://x"}, "endpoint is 'ftp://x', which has the scheme ftp"),
        ({"endpoint": None}, "endpoint is missing: give the base URL of its API; it is not taken"),
        ({"colour": "red"}, "colour"),
        ({"c" * 50_000: "red"}, "is no known field"),
        ({str(n): n for n in range(400)}, "0 is no known field: remove it"),
        ({"capabilities": [str(n) for n in range(65)]}, "at most 64 texts"),
        ({"capabilities": [[[[[[[["x"]]]]]]]]}, "capabilities"),
        ({"api_key": "sk-hidden"}, "api_key is given: secrets are not kept in the store"),
        ({"headers": {"x-key": "sk-hidden"}}, "headers is given: secrets are not kept"),
        ({"api_key_file": "/etc/hostname"}, "api_key_file is given: files are not read"),
        ({"api_key_file": "/no/such/file"}, "api_key_file is given: files are not read"),
        ({"api_key_env": "AWS_SECRET"}, "name one that runtime_models.endpoints lists"),
        ({"api_key_env": "NOT_SET"}, "name one that runtime_models.endpoints lists"),
        ({"name": "n-${AWS_SECRET}"}, "references are filled in in floorline.yaml only"),
        ({"timeouts": {"total": "${AWS_SECRET:-1}"}}, "timeouts.total is '${AWS_SECRET:-1}'"),
        ({"quality_hint": 62}, "quality_hint is 62: give a mean satisfaction from 0 to 1"),
        ({"hint_weight": 10}, "hint_weight is given without quality_hint"),
        ({"quality_like": "sim-titann"}, "quality_like is 'sim-titann': did you mean 'sim-titan'?"),
        ({"kind": "litellm"}, "kind is 'litellm': add a model of this kind to floorline.yaml"),
        ({"name": "floorline/x"}, "without spaces"),
        ({"name": "n" * 257}, "at most 256 characters"),
        ({"name": "a\0b"}, "without spaces"),
    ],
)
def test_a_malformed_model_changes_nothing(changed, problem, administered, new_model):
    before = names(administered)
    answer = administered.http.post("/v1/zoo/models", json={**new_model, **changed})
    assert answer.status_code == 400
    assert problem in answer.json()["error"]["message"]
    assert len(answer.content) < 20_000
    for secret in ("sk-hidden", SECRET, "sk-allowed"):
        assert secret not in answer.text
    assert (names(administered), kept(administered)) == (before, {})


@pytest.mark.parametrize(
    "body",
    [
        b"name: sim-new\nendpoint: http://127.0.0.1:1/v1",
        b"[" * 25_000,
        b"[" * 60_000 + b"]" * 4_000,
        b'{"name":' * 5_000,
        b'{"name": "a", "name": "b"}',
        b'{"name": "\\ud800"}',
        b'{"name": NaN}',
        b'{"name": "\xff"}',
        '{"name": "a"}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b"",
        b"null",
        b"[]",
        b'"n"',
        b"1" * 5000,
        b"{" + b",".join(b'"%d":0' % n for n in range(4_000)) + b"}",
        b'{"a": [' + b",".join(b"[]" for _ in range(9_000)) + b"]}",
    ],
)
def test_a_body_that_is_no_small_json_object_is_refused(body, administered):
    given = {"content-type": "application/json"}
    answer = administered.http.post("/v1/zoo/models", content=body, headers=given)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("the body")
    assert administered.chat().status_code == 200


def test_a_large_body_is_refused_before_it_is_read(administered):
    answer = administered.http.post("/v1/zoo/models", json={"name": "n" * 70_000})
    assert answer.status_code == 413
    assert "the size of a model" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://169.254.169.254/v1",
        "http://2852039166/v1",
        "http://0xa9fea9fe/v1",
        "http://0251.0376.0251.0376/v1",
        "http://169.254.43518/v1",
        "http://[::ffff:169.254.169.254]/v1",
        "http://[::ffff:a9fe:a9fe]/v1",
        "http://[64:ff9b::a9fe:a9fe]/v1",
        "http://[2002:a9fe:a9fe::]/v1",
        "http://[fe80::1]/v1",
        "http://[fd00:ec2::254]/v1",
        "http://100.100.100.200/v1",
        "http://metadata.google.internal/v1",
        "http://METADATA.google.internal./v1",
        "http://１６９.254.169.254/v1",
        "http://0.0.0.0:8080/v1",
        "http://[::]/v1",
        "http://127.0.0.1:1/v1",
        "http://localhost/v1",
        "http://evil.example/v1",
        "http://allowed.example.evil.com/v1",
        "http://notallowed.example/v1",
        "https://allowed.example/v1",
        "http://allowed.example:81/v1",
        "http://user@allowed.example/v1",
        "http://allowed.example@evil.com/v1",
        "http://evil.com\\.allowed.example/v1",
        "http://evil.com#.allowed.example/v1",
        "http://evil.com?.allowed.example/v1",
        "http://allowed.example%00.evil.com/v1",
        "http://allowed.example:0/v1",
        "file:///etc/passwd",
        "gopher://allowed.example/v1",
    ],
)
def test_endpoints_that_the_file_does_not_allow(endpoint, start_administered):
    # Even a rule that is too wide allows no metadata service.
    allowed = [{"url": "http://allowed.example"}, {"url": "http://*.google.internal"}]
    gateway = start_administered(runtime_models={"endpoints": allowed})
    before = names(gateway)
    answer = gateway.http.post("/v1/zoo/models", json={"name": "new", "endpoint": endpoint})
    assert answer.status_code == 400
    assert "endpoint" in answer.json()["error"]["message"]
    assert (names(gateway), kept(gateway)) == (before, {})


def test_without_a_list_no_model_is_added(start_administered, new_model):
    gateway = start_administered(runtime_models={})
    answer = gateway.http.post("/v1/zoo/models", json=new_model)
    assert answer.status_code == 400
    assert (
        "runtime_models.endpoints of floorline.yaml: none is" in answer.json()["error"]["message"]
    )


def test_a_model_inherits_no_secret(start_administered, new_model, provider):
    defaults = {
        "endpoint": f"{provider}/v1?api-version=secret",
        "api_key": "sk-of-the-file",
        "headers": {"x-secret": "of-the-file"},
        "retries": 5,
    }
    gateway = start_administered(defaults=defaults)
    assert gateway.http.post("/v1/zoo/models", json=new_model).status_code == 201
    call = gateway.gateway.config.calls["sim-new"]
    assert (call.key, call.headers, call.endpoint) == (None, {}, f"{provider}/v1")
    assert (call.retries, call.check_addresses) == (5, True)
    missing = {"name": "other"}
    assert gateway.http.post("/v1/zoo/models", json=missing).status_code == 400


def test_a_key_goes_only_where_the_file_lists_it(start_administered, new_model, provider):
    endpoints = [
        {"url": provider, "key_envs": ["ALLOWED_KEY"]},
        {"url": "https://other.example", "key_envs": ["AWS_SECRET"]},
    ]
    gateway = start_administered(runtime_models={"endpoints": endpoints})
    named = {**new_model, "api_key_env": "ALLOWED_KEY"}
    assert gateway.http.post("/v1/zoo/models", json=named).status_code == 201
    assert gateway.gateway.config.calls["sim-new"].key.get_secret_value() == "sk-allowed"
    elsewhere = {**new_model, "api_key_env": "AWS_SECRET"}
    assert gateway.http.post("/v1/zoo/models", json=elsewhere).status_code == 400


def test_nothing_is_administered_without_keys(gateway, new_model):
    for answer in (
        gateway.http.post("/v1/zoo/models", json=new_model),
        gateway.http.delete("/v1/zoo/models/sim-nano"),
    ):
        assert answer.status_code == 403
        assert "set auth: keys in floorline.yaml" in answer.json()["error"]["message"]


def test_a_redirect_is_not_followed(start_administered):
    asked = []

    async def metadata(request):
        asked.append(request.url.path)
        return JSONResponse({"token": SECRET})

    inside = InThread(http_server(Starlette(routes=[Route("/{path:path}", metadata)])))

    async def redirect(request):
        return RedirectResponse(f"{inside.value}/latest/meta-data", status_code=307)

    chat = Route("/v1/chat/completions", redirect, methods=["POST"])
    outside = InThread(http_server(Starlette(routes=[chat])))
    try:
        gateway = start_administered(runtime_models={"endpoints": [{"url": outside.value}]})
        model = {"name": "new", "endpoint": f"{outside.value}/v1", "retries": 0}
        assert gateway.http.post("/v1/zoo/models", json=model).status_code == 201
        answer = gateway.chat(model="new")
        assert answer.status_code == 502
        assert SECRET not in answer.text
        assert asked == []
    finally:
        outside.stop()
        inside.stop()


def test_what_is_no_longer_allowed_is_left_out_at_a_start(start_administered, new_model, caplog):
    gateway = start_administered()
    gateway.http.post("/v1/zoo/models", json=new_model)
    gateway.stop()
    with caplog.at_level(logging.WARNING):
        again = start_administered(runtime_models={})
    (warning,) = warnings(again)
    assert "model 'sim-new' at run time is not in force" in warning
    assert "which is not allowed" in warning
    assert "sim-new" in caplog.text
    assert "sim-new" not in names(again)
    assert again.chat().status_code == 200
    # Nor does it stand in the way of later changes.
    assert again.http.delete("/v1/zoo/models/sim-titan").status_code == 200
    again.stop()
    third = start_administered()
    assert names(third) == ["sim-nano", "sim-medium", "sim-new"]
    assert warnings(third) == []


@pytest.mark.parametrize(
    "text",
    [
        b"name: sim-bad\nendpoint: ${HOME}",
        b"[" * 25_000,
        b'{"name": "other", "endpoint": "http://127.0.0.1:1/v1"}',
        b"\xff",
        b'{"name": "sim-bad", "kind": "litellm"}',
        b'{"name": "sim-bad", "api_key_file": "/etc/hostname"}',
    ],
)
def test_a_kept_model_that_is_malformed_stops_nothing(text, start_administered, new_model):
    gateway = start_administered()
    gateway.gateway.store.put_document("model", "sim-bad", text)
    gateway.stop()
    again = start_administered()
    assert any("model 'sim-bad'" in warning for warning in warnings(again))
    assert again.http.post("/v1/zoo/models", json=new_model).status_code == 201
    assert again.chat(model="sim-new").status_code == 200
    # It is mended by a new description.
    mended = {**new_model, "name": "sim-bad"}
    assert again.http.post("/v1/zoo/models", json=mended).status_code == 201
    assert warnings(again) == []


def test_a_key_that_is_no_longer_set_leaves_its_model_out(
    start_administered, new_model, monkeypatch
):
    gateway = start_administered()
    named = {**new_model, "api_key_env": "ALLOWED_KEY"}
    assert gateway.http.post("/v1/zoo/models", json=named).status_code == 201
    gateway.stop()
    monkeypatch.delenv("ALLOWED_KEY")
    again = start_administered()
    assert "set the environment variable ALLOWED_KEY" in warnings(again)[0]
    assert "sim-new" not in names(again)


def test_a_model_whose_event_cannot_be_written_is_not_kept(
    administered, start_administered, new_model, monkeypatch
):
    from floorline.errors import StoreUnavailable

    store = administered.gateway.store

    async def full(*given):
        raise StoreUnavailable("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(store, "committed", full)
        answer = administered.http.post("/v1/zoo/models", json=new_model)
        assert answer.status_code == 503
    assert kept(administered) == {}
    assert "sim-new" not in names(administered)
    assert administered.http.post("/v1/zoo/models", json=new_model).status_code == 201


def test_the_number_of_changes_is_bounded(start_administered, new_model, provider):
    allowed = {"endpoints": [{"url": provider}], "max_models": 2}
    gateway = start_administered(runtime_models=allowed)
    for number in range(2):
        one = {**new_model, "name": f"new-{number}"}
        assert gateway.http.post("/v1/zoo/models", json=one).status_code == 201
    refused = gateway.http.post("/v1/zoo/models", json=new_model)
    assert refused.status_code == 400
    assert "raise runtime_models.max_models" in refused.json()["error"]["message"]
    # One that is there may still be changed and removed.
    assert gateway.http.delete("/v1/zoo/models/new-1").status_code == 200
    assert gateway.http.post("/v1/zoo/models", json=new_model).status_code == 201


def test_models_of_judges_stay_and_keep_their_prices(start_administered, new_model):
    judge = {"name": "strict", "model": "sim-titan", "budget": {"total": 1}}
    shadow = {"judge": "strict", "budget": {"total": 1}, "models": ["sim-medium"]}
    gateway = start_administered(judges=[judge], shadow=shadow)
    for name in ("sim-titan", "sim-medium"):
        answer = gateway.http.delete(f"/v1/zoo/models/{name}")
        assert answer.status_code == 400
        assert "a judge or the shadow" in answer.json()["error"]["message"]
        unpriced = {"name": name, "model": "sim-nano", "endpoint": new_model["endpoint"]}
        answer = gateway.http.post("/v1/zoo/models", json=unpriced)
        assert answer.status_code == 400
        assert "has a budget for its calls" in answer.json()["error"]["message"]
    assert kept(gateway) == {}
    assert gateway.http.delete("/v1/zoo/models/sim-nano").status_code == 200


def test_the_last_model_and_one_an_sla_names_stay(start_administered):
    slas = [{"name": "gold", "floor": 0.5, "models": ["sim-nano"]}]
    gateway = start_administered(slas=slas)
    answer = gateway.http.delete("/v1/zoo/models/sim-nano")
    assert answer.status_code == 400
    assert "an SLA of floorline.yaml names the model" in answer.json()["error"]["message"]
    assert "sim-nano" in names(gateway)
    assert kept(gateway) == {}
    for name in ("sim-medium", "sim-titan"):
        assert gateway.http.delete(f"/v1/zoo/models/{name}").status_code == 200
    assert names(gateway) == ["sim-nano"]


def test_the_last_model_stays(start_administered):
    gateway = start_administered()
    *others, last = names(gateway)
    for name in others:
        assert gateway.http.delete(f"/v1/zoo/models/{name}").status_code == 200
    answer = gateway.http.delete(f"/v1/zoo/models/{last}")
    assert answer.status_code == 400
    assert "it is the last model" in answer.json()["error"]["message"]
    assert gateway.chat().status_code == 200


def test_rules_that_the_file_changes_hold_at_once(start, provider, tmp_path, new_model):
    path = tmp_path / "floorline.json"

    def write(**changed):
        path.write_text(write_settings(provider, auth="keys", **changed))

    write(runtime_models={"endpoints": [{"url": provider}]})
    gateway = start(path.read_text(), tmp_path, path=path)
    secret = gateway.gateway.store.keys.create("all", ["chat", "feedback", "admin"])[1]
    gateway.http.headers["authorization"] = f"Bearer {secret}"
    wait_until(lambda: gateway.http.get("/v1/models").status_code == 200)
    assert gateway.http.post("/v1/zoo/models", json=new_model).status_code == 201
    write(runtime_models={})
    wait_until(lambda: warnings(gateway) != [])
    assert "sim-new" not in names(gateway)
    assert json.loads(kept(gateway)["sim-new"])["name"] == "sim-new"
