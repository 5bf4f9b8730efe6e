"""The change log says in words what changed, and shows no secret."""

import json

import pytest
from tests.gateway.dashboard.conftest import Keyed
from tests.support.live_gateway import write_settings

from floorline.events import (
    ConfigChange,
    Outcome,
    QualityChange,
    SlaChange,
    Tombstone,
    WarmStart,
    ZooChange,
)
from floorline.gateway.dashboard.change_log import KINDS, changes_of
from floorline.sla import SLA, Budget
from floorline.zoo import Model, Zoo

SMALL = Model("small", input_price=1.0, output_price=2.0)
ZOO = Zoo([SMALL, Model("large", output_price=9.0, endpoint="http://me:secret@old/v1")])


def changed(*events, zoo=ZOO, slas=()):
    """Kind, name, text and details of the changes, the earliest first."""
    found = changes_of(enumerate(events), zoo, slas)
    assert {change.kind for change in found} <= set(KINDS)
    return [change[2:] for change in found[::-1]]


def test_prices_and_other_fields_of_a_model_are_told_apart():
    after = Zoo(
        [
            Model("small", input_price=1.5, output_price=2.0, cached_input_price=0.1),
            Model(
                "large", output_price=9.0, endpoint="http://me:other@new/v1", context_window=8192
            ),
            Model("third", call_price=0.25),
        ]
    )
    assert changed(ZooChange(zoo=after)) == [
        (
            "price",
            "small",
            "price changed",
            (
                "input price 1 → 1.5 per million tokens",
                "cached input price none → 0.1 per million tokens",
            ),
        ),
        # An address can carry a password.
        ("model", "large", "model changed", ("endpoint", "context window none → 8,192")),
        ("model", "third", "model added", ("call price 0.25",)),
    ]
    assert changed(ZooChange(zoo=Zoo([SMALL]))) == [("model", "large", "model removed", ())]
    assert changed(ZooChange(zoo=ZOO)) == []


def test_each_change_is_told_against_the_one_before_it():
    first = Zoo([Model("small", output_price=2.0)])
    second = Zoo([Model("small", output_price=3.0)])
    found = changed(ZooChange(zoo=first), ZooChange(zoo=second), zoo=None)
    assert [text for _, _, text, _ in found] == [
        "model serves; the log does not go back to what it was before",
        "price changed",
    ]
    assert found[1][3] == ("output price 2 → 3 per million tokens",)


def test_changes_of_slas():
    gold = SLA("gold", floor=0.9)
    dear = SLA("gold", floor=0.85, budget=Budget(total=5.0, period=3600.0), guarded=True)
    found = changed(
        SlaChange(sla=dear),
        SlaChange(sla=dear),
        SlaChange(sla=SLA("own@acme", floor=0.5, models=("small",))),
        SlaChange(sla=gold, removed=True),
        slas=[gold],
    )
    assert found == [
        (
            "sla",
            "gold",
            "SLA changed",
            (
                "floor 0.9 → 0.85",
                "guarded no → yes",
                "budget total none → 5",
                "budget period none → 3600 s",
            ),
        ),
        ("sla", "gold", "SLA set again, nothing changed", ()),
        ("sla", "own@acme", "SLA added", ("floor 0.5", "models small")),
        ("sla", "gold", "SLA removed", ()),
    ]


def test_other_events():
    found = changed(
        ConfigChange(changed=("server.max_body",), waiting=("memory",)),
        QualityChange(model="small", decision="d7"),
        WarmStart(digest="ab", rows=12000, source="old.csv"),
        Tombstone(lost="outcome", reason="refused", decision="d9"),
        Outcome(decision="d1", model="small", cost=0.0),
    )
    assert [kind for kind, *_ in found] == ["configuration", "drift", "history", "damage"]
    assert found[0][3] == ("server.max_body", "memory (at the next restart)")
    assert found[1][1] == "small"
    assert found[2][2] == "policy learned 12,000 labelled requests from old.csv"
    assert (found[3][2], found[3][3]) == ("outcome lost: refused", ("decision d9",))


def test_a_file_that_several_replicas_apply_is_one_change():
    first = ConfigChange(changed=("server.max_body",), at=100.0)
    found = changed(
        first,
        ConfigChange(changed=("server.max_body",), at=101.0),
        ConfigChange(changed=("aliases",), at=102.0),
        # Later it is another change.
        ConfigChange(changed=("aliases",), at=500.0),
    )
    assert [details for *_, details in found] == [("server.max_body",), ("aliases",), ("aliases",)]


@pytest.fixture
def reloaded(start, provider, tmp_path):
    """A gateway whose file changed a price and a floor, and then has a fault with a secret."""
    path = tmp_path / "floorline.yaml"
    slas = [
        {"name": "gold", "floor": 0.85},
        {"name": "own", "floor": 0.6, "per_tenant": True},
        {"name": "hidden", "floor": 0.5},
    ]
    text = write_settings(provider, auth="keys", slas=slas)
    path.write_text(text)
    live = start(text, path=path)
    settings = json.loads(text)
    settings["models"][0]["output_price"] *= 2
    settings["models"][1]["api_key"] = "sk-very-secret"
    settings["slas"][0]["floor"] = 0.8
    settings["memory"] = 1234
    path.write_text(json.dumps(settings))
    assert live.call(live.gateway.reloader.reload)
    keyed = Keyed(live)
    yield keyed, path, settings
    keyed.stop()


def rows(browser, **query):
    answer = browser.get("/dashboard/data/changes.json", params=query)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


def test_a_reload_is_in_the_change_log_without_its_secrets(reloaded):
    keyed, path, settings = reloaded
    _, secret = keyed.key("root", ["admin"])
    browser = keyed.browser(secret)
    nano = settings["models"][0]["name"]
    price = settings["models"][0]["output_price"]
    found = {(row["kind"], row["name"]): row for row in rows(browser)}
    assert f"{price / 2:.6g} → {price:.6g}" in found["price", nano]["details"]
    assert found["sla", "gold"]["details"] == "floor 0.85 → 0.8"
    applied = found["configuration", ""]["details"]
    assert f"prices: {nano}" in applied
    assert "memory (at the next restart)" in applied
    page = browser.get("/dashboard/changes").text
    assert "At the next restart take effect: memory" in page
    path.write_text(path.read_text().replace('"floor": 0.8', '"floor": 8'))
    assert keyed.live.call(keyed.gateway.reloader.reload) is None
    page += browser.get("/dashboard/changes").text
    assert "The configuration file is refused" in page
    assert "sk-very-secret" not in page + browser.get("/dashboard/data/changes.csv").text
    only = browser.get("/dashboard/changes?kind=sla").text
    assert "floor 0.85 → 0.8" in only
    assert "price changed" not in only


def test_a_tenant_sees_changes_of_its_models_and_slas_only(reloaded):
    keyed, _, settings = reloaded
    nano, medium = (model["name"] for model in settings["models"][:2])
    _, acme = keyed.key("a", ["chat", "view"], tenant="acme", models=[medium])
    _, other = keyed.key("o", ["chat", "view"], tenant="other")
    for secret in (acme, other):
        assert keyed.chat(secret, model="floorline/own").status_code == 200
    seen = {(row["kind"], row["name"]) for row in rows(keyed.browser(acme))}
    assert seen == {("sla", "gold"), ("sla", "own@acme")}
    _, limited = keyed.key("l", ["chat", "view"], slas=["gold"])
    seen = {(row["kind"], row["name"]) for row in rows(keyed.browser(limited))}
    assert seen == {("sla", "gold")}
    seen = {(row["kind"], row["name"]) for row in rows(keyed.browser(other))}
    assert ("price", nano) in seen
    assert ("sla", "own@other") in seen
    assert ("sla", "own@acme") not in seen
    assert "configuration" not in {kind for kind, _ in seen}
    page = keyed.browser(other).get("/dashboard/changes").text
    assert "At the next restart" not in page
    assert "own@acme" not in page
