import time

import pytest


def rows(client, name, **query):
    answer = client.get(f"/dashboard/data/{name}.json", params=query)
    assert answer.status_code == 200, answer.text
    table = answer.json()
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def wait_for(read, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not read():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def two_tenants(keyed):
    """A gateway that two tenants have used; one answer of acme is disliked."""
    secrets = {}
    for tenant in ("acme", "globex"):
        _, secrets[tenant] = keyed.key(tenant, ["chat", "feedback"], tenant=tenant)
    decision = keyed.chat(secrets["acme"], model="floorline/own").headers["x-floorline-decision"]
    headers = {"authorization": f"Bearer {secrets['acme']}"}
    label = {"decision": decision, "satisfied": False}
    keyed.live.http.post("/v1/feedback", json=label, headers=headers)
    for _ in range(3):
        keyed.chat(secrets["globex"], model="floorline/own")
    keyed.chat(secrets["globex"])
    return keyed


def browser(keyed, name, **about):
    _, secret = keyed.key(name, ["view"], **about)
    return keyed.browser(secret)


def test_an_operator_sees_every_tenant(two_tenants):
    client = browser(two_tenants, "operator")
    wait_for(lambda: rows(client, "totals")[0]["calls"] == 5)
    (totals,) = rows(client, "totals")
    assert (totals["requests"], totals["labels"], totals["satisfaction"]) == (5, 1, 0.0)
    assert totals["cost_unit"] == "USD"
    slas = {row["sla"]: row for row in rows(client, "slas")}
    assert slas["own@acme"]["requests"] == 1
    assert slas["own@globex"]["requests"] == 3
    assert slas["gold"]["requests"] == 1
    latest = rows(client, "latest")
    assert [row["sla"] for row in latest] == ["gold"] + ["own@globex"] * 3 + ["own@acme"]
    assert latest[-1]["score"] == 0.0
    assert latest[0]["cost"] > 0.0
    assert totals["spend"] == pytest.approx(sum(row["cost"] for row in latest))


def test_a_tenant_sees_its_own_only(two_tenants):
    client = browser(two_tenants, "eyes", tenant="acme")
    wait_for(lambda: rows(client, "totals")[0]["calls"] == 1)
    assert [row["sla"] for row in rows(client, "latest")] == ["own@acme"]
    assert {row["sla"] for row in rows(client, "slas")} == {"gold", "own", "own@acme"}
    answer = client.get("/dashboard/data/latest.json", params={"tenant": "globex"})
    assert answer.status_code == 400


def test_filters_limit_the_tables(two_tenants):
    client = browser(two_tenants, "operator")
    wait_for(lambda: rows(client, "totals")[0]["calls"] == 5)
    assert rows(client, "totals", sla="gold")[0]["requests"] == 1
    assert {row["sla"] for row in rows(client, "latest", tenant="globex")} == {"own@globex", "gold"}
    assert [row["sla"] for row in rows(client, "slas", sla="own@acme")] == ["own@acme"]
    shown = {row["sla"] for row in rows(client, "slas", tenant="acme")}
    assert shown == {"gold", "own", "own@acme"}


def test_the_worst_promise_of_latency_is_told(start, provider):
    from tests.gateway.dashboard.conftest import Keyed, write_settings

    slas = [
        {"name": "slow", "floor": 0.5, "latency": {"p50": "0.01ms"}, "ttft": {"p95": "60s"}},
        {"name": "none", "floor": 0.5},
    ]
    keyed = Keyed(start(write_settings(provider, slas=slas)))
    client = keyed.browser()
    for _ in range(60):
        keyed.live.chat("Why?", "floorline/slow")
    shown = {row["sla"]: row["latency_verdict"] for row in rows(client, "slas")}
    keyed.stop()
    assert shown == {"slow": "broken", "none": None}
