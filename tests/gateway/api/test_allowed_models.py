"""A key names, and sees, the models and SLAs that it may use, and no others."""

from urllib.parse import quote

import pytest
from tests.support.live_gateway import MODELS, write_settings

NANO, MEDIUM, TITAN = MODELS
CHAT = {"messages": [{"role": "user", "content": "Why?"}]}


@pytest.fixture
def keyed(start, provider):
    """A gateway with API keys; ``use`` returns the headers of a new key."""
    slas = [
        {"name": "gold", "floor": 0.85, "per_tenant": True},
        {"name": "silver", "floor": 0.6},
    ]
    gateway = start(write_settings(provider, auth="keys", slas=slas))

    def use(*scopes, **fields):
        keys = gateway.gateway.store.keys
        secret = keys.create("app", scopes or ("chat", "feedback"), **fields)[1]
        gateway.call(gateway.gateway.auth.set_keys, keys.list())
        return {"authorization": f"Bearer {secret}"}

    gateway.use = use
    return gateway


def models(gateway, headers):
    data = gateway.http.get("/v1/models", headers=headers).json()["data"]
    return [entry["id"] for entry in data if not entry["id"].startswith("floorline/")]


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({}, [NANO, MEDIUM, TITAN]),
        ({"slas": ["gold"]}, []),
        ({"models": [NANO]}, [NANO]),
        ({"slas": ["gold"], "models": [NANO, TITAN]}, [NANO, TITAN]),
        ({"models": ["not-here"]}, []),
        ({"models": []}, []),
    ],
)
def test_a_key_may_name_its_models_only(fields, allowed, keyed):
    headers = keyed.use(**fields)
    assert models(keyed, headers) == allowed
    for name in MODELS:
        answer = keyed.chat(model=name, headers=headers)
        one = keyed.http.get(f"/v1/models/{name}", headers=headers)
        expected = 200 if name in allowed else 404
        assert (answer.status_code, one.status_code) == (expected, expected)


def test_a_model_that_routing_picks_needs_no_permission(keyed):
    headers = keyed.use(slas=["gold"])
    answer = keyed.chat(headers=headers)
    assert answer.status_code == 200
    assert answer.headers["x-floorline-model"] in MODELS
    routed = keyed.http.post("/v1/route", json={**CHAT, "model": "floorline/gold"}, headers=headers)
    assert routed.json()["model"] in MODELS


def test_no_error_tells_a_key_which_models_there_are(keyed):
    headers = keyed.use(slas=["gold"])
    others = [NANO, TITAN]
    answers = [
        keyed.chat(model="nobody", headers=headers),
        keyed.chat(model=MEDIUM, headers=headers),
        keyed.chat(headers=headers, floorline={"exclude": ["nobody", MEDIUM]}),
        keyed.chat(headers=headers, tools=[{}], floorline={"exclude": [MEDIUM], "floor": 2}),
        keyed.chat(
            headers=headers, messages=[{"role": "user", "content": [{"type": "input_audio"}]}]
        ),
        keyed.chat(headers=headers, max_tokens=10**9),
        keyed.chat(model="floorline/silver", headers=headers),
        keyed.http.get("/v1/models/nobody", headers=headers),
        keyed.http.get("/v1/slas/nobody", headers=headers),
        keyed.http.get("/v1/slas", headers=headers),
        keyed.http.get("/v1/models", headers=headers),
    ]
    assert {answer.status_code for answer in answers} >= {200, 400, 404}
    for answer in answers:
        # An answer's own header names the model that served.
        if "x-floorline-model" not in answer.headers:
            assert not any(name in answer.text for name in others)
    # Whether a model exists makes no difference.
    texts = [
        keyed.chat(model=name, headers=headers).json()["error"]["message"].replace(name, "NAME")
        for name in ("sim-nobody", TITAN)
    ]
    assert texts[0] == texts[1]


def test_an_error_names_the_models_that_the_key_may_use(keyed):
    error = keyed.chat(model="nobody", headers=keyed.use(models=[NANO])).json()["error"]
    assert (
        error["message"]
        == f"there is no model 'nobody': name one of {NANO}, or an SLA as floorline/NAME"
    )
    error = keyed.chat(model="nobody", headers=keyed.use(slas=["gold"])).json()["error"]
    assert error["message"] == "there is no model 'nobody': name an SLA as floorline/NAME"


def test_slas_of_other_tenants_are_not_seen(keyed):
    acme, umbrella = keyed.use(tenant="acme"), keyed.use(tenant="umbrella", slas=["gold"])
    for headers in (acme, umbrella):
        assert keyed.chat(headers=headers).status_code == 200

    def seen(headers):
        data = keyed.http.get("/v1/slas", headers=headers).json()["data"]
        return [entry["name"] for entry in data]

    assert seen(acme) == ["gold", "silver", "gold@acme"]
    assert seen(umbrella) == ["gold", "gold@umbrella"]
    assert seen(keyed.use()) == ["gold", "silver"]
    assert keyed.http.get("/v1/slas/gold@umbrella", headers=acme).status_code == 404
    assert seen(keyed.use("admin", "chat")) == ["gold", "silver", "gold@acme", "gold@umbrella"]


@pytest.mark.parametrize("tenant", ["a/b", "gold@acme", "größe 🦜", "%2F", "?", "a b", "other"])
def test_a_tenant_of_any_name_reads_its_own_sla(tenant, keyed):
    headers = keyed.use(tenant=tenant)
    assert keyed.chat(headers=headers).status_code == 200
    path = f"/v1/slas/{quote('gold@' + tenant, safe='')}"
    status = keyed.http.get(path, headers=headers)
    assert (status.status_code, status.json()["name"]) == (200, f"gold@{tenant}")
    assert keyed.http.get(path, headers=keyed.use()).status_code == 404


def test_the_evidence_of_a_status_names_no_other_models(keyed):
    def named(headers):
        status = keyed.http.get("/v1/slas/silver", headers=headers)
        assert TITAN not in status.json()["reason"]
        return {row["model"] for row in status.json()["reachability"]["models"]}

    assert named(keyed.use(models=[NANO])) == {NANO}
    assert named(keyed.use()) == {NANO, MEDIUM, TITAN}


def test_the_references_of_a_status_name_no_other_models(keyed):
    assert keyed.chat(model="floorline/silver", headers=keyed.use()).status_code == 200

    def named(headers):
        status = keyed.http.get("/v1/slas/silver", headers=headers).json()
        found = [set(reference["models"]) for reference in status["references"]]
        assert len(found) == 2
        return set().union(*found, {status["best_fixed"]} - {None})

    assert named(keyed.use())
    assert named(keyed.use(models=[])) == set()
    for model in (NANO, MEDIUM, TITAN):
        assert named(keyed.use(models=[model])) <= {model}
