"""Only who got a response may continue it where the provider keeps it."""

import pytest
from tests.support.dialect_provider import models, speaking
from tests.support.live_gateway import Live, write_settings


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with speaking() as speaker:
        base = speaker.base_url.removesuffix("/v1")
        text = write_settings(base, models=models(base), auth="keys", policy="cheapest")
        started = Live(text, tmp_path_factory.mktemp("continued"))
        yield started
        started.stop()


@pytest.fixture(scope="module")
def secrets(gateway):
    keys = gateway.gateway.store.keys
    made = {
        name: keys.create(name, ["chat"], tenant=tenant)[1]
        for name, tenant in [("a1", "acme"), ("a2", "acme"), ("b", "bolt"), ("c", ""), ("d", "")]
    }
    gateway.call(gateway.gateway.auth.set_keys, keys.list())
    return made


def ask(gateway, secret, **fields):
    body = {"model": "responses-words", "input": "Why?", **fields}
    headers = {"authorization": f"Bearer {secret}"}
    return gateway.http.post("/v1/responses", json=body, headers=headers)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("owner", "same", "other"), [("a1", "a2", "b"), ("c", "c", "d")])
def test_others_cannot_continue_a_response(gateway, secrets, owner, same, other, stream):
    first = ask(gateway, secrets[owner], stream=stream)
    assert first.status_code == 200, first.text
    assert '"resp_1"' in first.text
    continued = ask(gateway, secrets[same], previous_response_id="resp_1")
    assert continued.status_code == 200, continued.text
    refused = ask(gateway, secrets[other], previous_response_id="resp_1")
    assert refused.status_code == 404
    error = refused.json()["error"]
    assert (error["code"], error["param"]) == (
        "previous_response_not_found",
        "previous_response_id",
    )


@pytest.mark.parametrize("id", [None, "", 7])
def test_what_is_no_id_is_the_providers_to_refuse(gateway, secrets, id):
    assert ask(gateway, secrets["d"], previous_response_id=id).status_code == 200


def test_the_log_knows_the_owners_of_responses_from_before(gateway, secrets):
    assert ask(gateway, secrets["a1"]).status_code == 200
    gateway.gateway.decisions._completions.__init__()
    assert ask(gateway, secrets["a2"], previous_response_id="resp_1").status_code == 200
    assert ask(gateway, secrets["b"], previous_response_id="resp_1").status_code == 404
