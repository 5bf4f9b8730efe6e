import pytest
from tests.support.live_gateway import write_settings


@pytest.fixture
def new_model(provider):
    return {"name": "sim-new", "model": "sim-nano", "endpoint": f"{provider}/v1"}


def names(gateway):
    return list(gateway.gateway.router.zoo.names)


def test_a_model_is_added_serves_and_is_removed(gateway, new_model):
    assert gateway.http.post("/v1/zoo/models", json=new_model).status_code == 201
    assert names(gateway)[-1] == "sim-new"
    assert gateway.chat(model="sim-new").json()["model"] == "sim-nano"
    assert gateway.http.delete("/v1/zoo/models/sim-new").json()["deleted"] is True
    assert "sim-new" not in names(gateway)
    assert gateway.chat(model="sim-new").status_code == 404
    assert gateway.http.delete("/v1/zoo/models/sim-new").status_code == 404


def test_changes_outlive_a_restart(start, provider, tmp_path, new_model):
    gateway = start(write_settings(provider), tmp_path)
    gateway.http.post("/v1/zoo/models", json=new_model)
    gateway.http.delete("/v1/zoo/models/sim-titan")
    before = names(gateway)
    gateway.stop()
    again = start(write_settings(provider), tmp_path)
    assert names(again) == before == ["sim-nano", "sim-medium", "sim-new"]
    assert again.chat(model="sim-new").status_code == 200


def test_a_model_gets_new_prices(gateway, new_model):
    gateway.http.post("/v1/zoo/models", json={**new_model, "output_price": 7.0})
    gateway.http.post("/v1/zoo/models", json={**new_model, "output_price": 9.0})
    zoo = gateway.gateway.router.zoo
    assert zoo.models[zoo.index("sim-new")].output_price == 9.0


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"input_price": -1}, "input_price is -1: give a price from 0 to 1e+09"),
        ({"endpoint": "ftp://x"}, "endpoint is 'ftp://x': give the base URL"),
        ({"endpoint": None}, "endpoint is None: give the base URL"),
        ({"colour": "red"}, "colour"),
        ({"api_key": "sk-hidden"}, "secrets are not kept in the store"),
        ({"headers": {"x-key": "sk-hidden"}}, "secrets are not kept in the store"),
        ({"name": "floorline/x"}, "give a name without spaces"),
    ],
)
def test_a_malformed_model_changes_nothing(changed, problem, gateway, new_model):
    before = names(gateway)
    answer = gateway.http.post("/v1/zoo/models", json={**new_model, **changed})
    assert answer.status_code == 400
    assert problem in answer.json()["error"]["message"]
    assert "sk-hidden" not in answer.text
    assert names(gateway) == before


def test_the_last_model_and_one_an_sla_names_stay(start, provider):
    slas = [{"name": "gold", "floor": 0.5, "models": ["sim-nano"]}]
    gateway = start(write_settings(provider, slas=slas))
    answer = gateway.http.delete("/v1/zoo/models/sim-nano")
    assert answer.status_code == 400
    assert "sim-nano" in names(gateway)


def test_a_model_that_cannot_serve_is_not_kept(start, provider, tmp_path, monkeypatch):
    gateway = start(write_settings(provider), tmp_path)
    before = names(gateway)
    with monkeypatch.context() as missing:
        missing.setattr("floorline.gateway.upstreams.litellm_client.find_spec", lambda name: None)
        new_model = {"name": "other", "kind": "litellm", "model": "bedrock/claude"}
        answer = gateway.http.post("/v1/zoo/models", json=new_model)
        assert "pip install 'floorline[litellm]'" in answer.json()["error"]["message"]
        assert names(gateway) == before
        gateway.stop()
        again = start(write_settings(provider), tmp_path)
    assert names(again) == before
    assert again.chat().status_code == 200
