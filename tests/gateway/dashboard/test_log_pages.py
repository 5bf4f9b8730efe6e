"""Decisions, sessions, budgets and keys: what each page shows, and to whom."""

import csv
import io
import json
import re

import pytest
from tests.gateway.dashboard.conftest import Keyed
from tests.support.live_gateway import write_settings
from tests.support.two_tenants import ACME_ONLY, OTHER_ONLY, two_tenants

from floorline.stores import browsing

PAGES = (
    "/dashboard/decisions",
    "/dashboard/decisions?kind=disliked",
    "/dashboard/decisions?since=30d",
    "/dashboard/sessions",
    "/dashboard/budgets",
    "/dashboard/keys",
    "/dashboard/changes",
    "/dashboard/whatif",
)
TABLES = ("decisions", "sessions", "budgets", "keys", "tenants", "changes", "whatif")


@pytest.fixture
def scene(keyed):
    return two_tenants(keyed)


def table(browser, name, **query):
    answer = browser.get(f"/dashboard/data/{name}.json", params=query)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


def ids(text):
    """Ids of the decisions that a page links to, in its order."""
    return list(dict.fromkeys(re.findall(r"/dashboard/decisions/([\w-]+)", text)))


def all_decisions(scene):
    return [one for party in scene for one in party.decisions]


@pytest.mark.parametrize("page", PAGES)
def test_a_tenant_sees_nothing_of_the_other_one_on_any_page(page, keyed, scene):
    text = keyed.browser(scene.acme.secret).get(page).text
    foreign = [*scene.other.decisions, *scene.alone.decisions, *scene.admin.decisions]
    hidden = (*OTHER_ONLY, "ticket-alone", "ticket-root", "lone key", scene.other.id, *foreign)
    assert [name for name in hidden if name in text] == []


@pytest.mark.parametrize("name", TABLES)
def test_a_tenant_sees_nothing_of_the_other_one_in_any_data(name, keyed, scene):
    browser = keyed.browser(scene.acme.secret)
    for ending in ("json", "csv"):
        text = browser.get(f"/dashboard/data/{name}.{ending}?since=30d").text
        foreign = [*scene.other.decisions, *scene.alone.decisions, *scene.admin.decisions]
        hidden = (*OTHER_ONLY, "ticket-alone", "lone key", scene.other.id, scene.alone.id, *foreign)
        assert [one for one in hidden if one in text] == []
    refused = browser.get(f"/dashboard/data/{name}.json?tenant=other")
    assert refused.status_code == 400


def test_a_tenant_cannot_open_what_belongs_to_the_other_one(keyed, scene):
    browser = keyed.browser(scene.acme.secret)
    for id in (scene.other.decisions[0], scene.alone.decisions[0], "nothing"):
        assert browser.get(f"/dashboard/decisions/{id}").status_code == 404
        found = browser.get("/dashboard/decisions", params={"q": id})
        assert found.status_code == 200
        assert "Nothing found" in found.text
    for query in (
        {"name": "ticket-other"},
        {"name": "ticket-alone", "key": scene.alone.id},
        {"name": "ticket-other", "key": scene.other.id},
    ):
        shown = browser.get("/dashboard/sessions/turns", params=query).text
        assert "There is no such conversation" in shown
        assert ids(shown) == []
    # Neither does another's key as a filter.
    shown = browser.get("/dashboard/decisions", params={"key": scene.other.id}).text
    assert ids(shown) == []


def test_a_key_limited_to_an_sla_sees_nothing_of_others(keyed, scene):
    key, secret = keyed.key("limited", ["view"], slas=["gold"])
    browser = keyed.browser(secret)
    gold = [*scene.alone.decisions, *scene.admin.decisions]
    assert ids(browser.get("/dashboard/decisions").text) == gold[::-1]
    hidden = scene.acme.decisions[1]
    assert browser.get(f"/dashboard/decisions/{hidden}").status_code == 404
    # The same holds for the API.
    headers = {"authorization": f"Bearer {secret}"}
    for id, status in ((hidden, 404), (gold[0], 200)):
        answer = keyed.live.http.get(f"/v1/decisions/{id}", headers=headers)
        assert answer.status_code == status
    for query in (hidden, "ticket-acme"):
        assert "Nothing found" in browser.get("/dashboard/decisions", params={"q": query}).text
    turns = browser.get("/dashboard/sessions/turns", params={"name": "ticket-acme"}).text
    assert ids(turns) == []
    assert browser.get("/dashboard/decisions?sla=own@acme").status_code == 400
    assert [row["id"] for row in table(browser, "keys")] == [key.id]
    assert table(browser, "tenants") == []
    assert {row["name"] for row in table(browser, "sessions")} == {"ticket-alone", "ticket-root"}
    text = "".join(browser.get(page).text for page in PAGES)
    assert [name for name in (*ACME_ONLY, *OTHER_ONLY) if name in text] == []


@pytest.mark.parametrize("tenant", ["acme", "other"])
def test_a_tenant_sees_its_own(tenant, keyed, scene):
    party = getattr(scene, tenant)
    names = ACME_ONLY if tenant == "acme" else OTHER_ONLY
    browser = keyed.browser(party.secret)
    assert ids(browser.get("/dashboard/decisions").text) == party.decisions[::-1]
    assert names[1] in browser.get("/dashboard/sessions").text
    assert names[2] in browser.get("/dashboard/keys").text
    assert names[0] in browser.get("/dashboard/changes").text
    assert browser.get(f"/dashboard/decisions/{party.decisions[0]}").status_code == 200


def test_without_a_tenant_all_decisions_are_listed_by_page(keyed, scene, monkeypatch):
    monkeypatch.setattr("floorline.gateway.dashboard.pages.decisions.PAGE_ROWS", 5)
    browser = keyed.browser(scene.admin.secret)
    seen, url = [], "/dashboard/decisions"
    while url:
        text = browser.get(url).text
        seen += ids(text)
        older = re.search(r'rel="next" href="([^"]+)"', text)
        url = older and older[1].replace("&amp;", "&")
    assert seen == all_decisions(scene)[::-1]


def test_filters_of_the_list(keyed, scene):
    browser = keyed.browser(scene.admin.secret)

    def found(**query):
        answer = browser.get("/dashboard/decisions", params=query)
        assert answer.status_code == 200, answer.text
        return ids(answer.text)

    assert found(sla="own@acme") == scene.acme.decisions[::-1]
    assert found(tenant="other") == scene.other.decisions[::-1]
    assert found(key=scene.alone.id) == scene.alone.decisions[::-1]
    assert found(kind="disliked") == [party.decisions[0] for party in scene][::-1]
    assert found(kind="declined") == found(kind="fallback") == found(kind="failed") == []
    models = {row["id"]: row["model"] for row in table(browser, "decisions")}
    some = next(iter(models.values()))
    served = [id for id in all_decisions(scene)[::-1] if models[id] == some]
    assert found(model=some) == served
    for query in ({"kind": "odd"}, {"before": "x"}, {"before": "-1"}, {"since": "3d"}):
        refused = browser.get("/dashboard/decisions", params=query)
        assert refused.status_code == 400
        assert next(iter(query)) in refused.text


def test_a_failed_call_and_the_model_in_its_place_are_found(start, provider):
    settings = json.loads(write_settings(provider, auth="keys"))
    # Nothing listens at the cheapest model's endpoint.
    settings["models"][0]["endpoint"] = "http://127.0.0.1:1/v1"
    keyed = Keyed(start(json.dumps(settings)))
    _, secret = keyed.key("root", ["chat", "admin"])
    router, failed_over = keyed.gateway.router, []
    for number in range(30):
        answer = keyed.chat(secret, f"Question {number}?", model="floorline/silver")
        assert answer.status_code == 200
        made = router.find(answer.headers["x-floorline-decision"]).decision
        if made.after:
            failed_over.append(made)
    assert failed_over
    browser = keyed.browser(secret)
    after = ids(browser.get("/dashboard/decisions?kind=fallback").text)
    failed = ids(browser.get("/dashboard/decisions?kind=failed").text)
    assert after == [made.id for made in failed_over][::-1]
    assert {made.after for made in failed_over} <= set(failed)
    shown = browser.get(f"/dashboard/decisions/{failed_over[0].after}").text
    assert "cannot be reached" in shown or "connect" in shown
    assert failed_over[0].id in ids(shown)
    later = browser.get(f"/dashboard/decisions/{failed_over[0].id}").text
    assert failed_over[0].after in ids(later)
    keyed.stop()


def test_a_search_finds_decisions_completions_and_conversations(keyed, scene):
    browser = keyed.browser(scene.admin.secret)
    id = scene.acme.decisions[2]
    shown = browser.get("/dashboard/decisions", params={"q": f" {id} "})
    assert (shown.status_code, shown.headers["location"]) == (303, f"/dashboard/decisions/{id}")
    answer = keyed.chat(scene.alone.secret)
    completion, made = answer.json()["id"], answer.headers["x-floorline-decision"]
    shown = browser.get("/dashboard/decisions", params={"q": completion})
    assert made in (shown.headers.get("location") or shown.text)
    shown = browser.get("/dashboard/decisions", params={"q": "ticket-acme"})
    assert ids(shown.text) == [scene.acme.decisions[3], scene.acme.decisions[1]]
    for odd in ("<script>alert(1)</script>", "x" * 5000, "a\0b", "'; DROP TABLE events; --"):
        shown = browser.get("/dashboard/decisions", params={"q": odd})
        assert shown.status_code == 200
        assert "<script>alert" not in shown.text


def test_a_decision_is_explained_as_the_router_does(keyed, scene):
    browser = keyed.browser(scene.admin.secret)
    id = scene.acme.decisions[0]
    page = browser.get(f"/dashboard/decisions/{id}").text
    found = browser.get(f"/dashboard/decisions/{id}?format=json").json()
    explained = keyed.live.call(keyed.gateway.router.explain, id)
    headers = {"authorization": f"Bearer {scene.admin.secret}"}
    assert found == keyed.live.http.get(f"/v1/decisions/{id}", headers=headers).json()
    assert found["object"] == "floorline.explanation"
    assert found["model"] == explained.model
    assert [one["model"] for one in found["candidates"]] == list(keyed.gateway.router.zoo.names)
    assert [step["kind"] for step in found["timeline"]] == ["decision", "outcome", "feedback"]
    assert (found["score"], found["tenant"]) == (0.0, "acme")
    for one in explained.candidates:
        assert one.explanation.replace("'", "&#39;") in page
    assert page.count("<li class=") == 3


def test_the_data_of_decisions_is_what_the_log_has(keyed, scene):
    browser = keyed.browser(scene.admin.secret)
    rows = table(browser, "decisions")
    assert [row["id"] for row in rows] == all_decisions(scene)[::-1]
    keyed.gateway.store.flush()
    made = keyed.gateway.store.decisions(all_decisions(scene))
    for row in rows:
        event = made[row["id"]]
        assert (row["model"], row["sla"], row["time"]) == (event.model, event.sla, event.at)
        assert row["expected_cost"] == pytest.approx(event.expected_cost)
        assert row["cost"] > 0.0
    disliked = {row["id"] for row in rows if row["score"] == 0.0}
    assert disliked == {party.decisions[0] for party in scene}
    written = browser.get("/dashboard/data/decisions.csv").text
    assert [row["id"] for row in csv.DictReader(io.StringIO(written))] == [r["id"] for r in rows]


def test_sessions_sum_up_their_turns(keyed, scene):
    browser = keyed.browser(scene.admin.secret)
    rows = {row["name"]: row for row in table(browser, "sessions")}
    assert set(rows) == {"ticket-acme", "ticket-other", "ticket-alone", "ticket-root"}
    costs = {row["id"]: row["cost"] for row in table(browser, "decisions")}
    acme = rows["ticket-acme"]
    turns = [scene.acme.decisions[1], scene.acme.decisions[3]]
    assert (acme["tenant"], acme["key"], acme["turns"]) == ("acme", "", 2)
    assert acme["cost"] == pytest.approx(sum(costs[id] for id in turns))
    assert rows["ticket-alone"]["key"] == scene.alone.id
    page = browser.get("/dashboard/sessions").text
    link = re.search(r'href="(/dashboard/sessions/turns\?[^"]*ticket-acme)"', page)
    shown = browser.get(link[1].replace("&amp;", "&")).text
    assert ids(shown) == turns
    assert browser.get("/dashboard/sessions/turns").status_code == 400


def test_budgets_show_what_the_ledgers_hold(start, provider, tmp_path):
    budget = {"total": 0.5, "per_model": {"sim-nano": 0.2}, "period": "1h"}
    slas = [
        {"name": "gold", "floor": 0.85, "budget": {"total": 2, "period": "1d"}},
        {"name": "own", "floor": 0.6, "per_tenant": True, "budget": budget},
    ]
    keyed = Keyed(start(write_settings(provider, auth="keys", slas=slas)))
    scene = two_tenants(keyed)
    admin, acme = keyed.browser(scene.admin.secret), keyed.browser(scene.acme.secret)
    rows = {(row["owner"], row["name"], row["model"]): row for row in table(admin, "budgets")}
    status = keyed.live.call(lambda: keyed.gateway.router.status("own@acme"))
    own = rows["sla", "own@acme", ""]
    assert own["amount"] == 0.5
    assert own["spent"] == pytest.approx(status.spent)
    assert own["left"] == pytest.approx(0.5 - status.spent - status.reserved)
    assert rows["sla", "own@acme", "sim-nano"]["amount"] == 0.2
    assert own["ends"] - own["began"] == 3600.0
    key = rows["key", "acme key", ""]
    assert key["spent"] == pytest.approx(status.spent)
    assert key["amount"] == 9.0
    # What all spend under a shared SLA is not shown to one tenant.
    seen = {(row["owner"], row["name"], row["model"]): row for row in table(acme, "budgets")}
    assert seen["sla", "own@acme", ""]["spent"] == own["spent"]
    assert seen["sla", "gold", ""]["spent"] is None
    assert seen["sla", "gold", ""]["declined"] is None
    assert {name for _, name, _ in seen} == {"gold", "own", "own@acme", "acme key"}
    page = acme.get("/dashboard/budgets").text
    assert "shared with other tenants" in page
    keyed.stop()


def test_of_many_budgets_and_tenants_the_page_shows_the_most_used(keyed, scene, monkeypatch):
    browser = keyed.browser(scene.admin.secret)
    spent = {row["name"]: row["spent"] for row in table(browser, "budgets")}
    most = max(spent, key=spent.get)
    for name in ("budgets._SHOWN", "keys._MAX_TENANTS"):
        monkeypatch.setattr(f"floorline.gateway.dashboard.pages.{name}", 1)
    page = browser.get("/dashboard/budgets").text
    assert "These are the most used budgets" in page
    assert [name for name in spent if f">{name}</a>" in page] == [most]
    page = browser.get("/dashboard/keys").text
    assert "These are the tenants of the highest spend" in page
    assert len(table(browser, "budgets")) == len(spent) > 1


def test_keys_show_their_use_and_no_secret(keyed, scene):
    revoked, secret = keyed.key("old", ["chat"], tenant="acme")
    keyed.gateway.store.keys.revoke(revoked.id)
    browser = keyed.browser(scene.admin.secret)
    page = browser.get("/dashboard/keys").text
    rows = {row["name"]: row for row in table(browser, "keys")}
    assert rows["acme key"]["decisions"] == rows["lone key"]["decisions"] == 4
    assert rows["old"]["revoked"] is not None
    assert "revoked" in page
    written = page + browser.get("/dashboard/data/keys.csv").text
    for one in (secret, scene.admin.secret, scene.acme.secret):
        assert one not in written
    digests = [key.digest.hex() for key in keyed.gateway.store.keys.list()]
    assert [digest for digest in digests if digest in written] == []
    tenants = {row["name"]: row for row in table(browser, "tenants")}
    assert set(tenants) == {"acme", "other"}
    assert tenants["acme"]["keys"] == 1
    assert table(keyed.browser(scene.acme.secret), "tenants")[0]["name"] == "acme"


def test_pages_of_a_gateway_without_requests_say_what_to_do(gateway):
    for page, text in (
        ("/dashboard/decisions", "No requests in this span of time"),
        ("/dashboard/sessions", "No conversations in this span of time"),
        ("/dashboard/budgets", "No SLA has a budget"),
        ("/dashboard/keys", "This gateway has no keys"),
        ("/dashboard/changes", "Nothing changed in this span of time"),
    ):
        answer = gateway.http.get(page)
        assert answer.status_code == 200
        assert text in answer.text


def test_a_search_without_enough_time_says_so_and_goes_on(keyed, scene, monkeypatch):
    browser = keyed.browser(scene.admin.secret)
    monkeypatch.setattr(browsing, "_SECONDS", -1.0)
    shown = browser.get("/dashboard/decisions?sla=own@acme").text
    assert "The search ended early" in shown
    assert "Go on with older decisions" in shown


def test_names_of_clients_are_text_on_every_page(keyed):
    evil = "<img src=x onerror=alert(1)>\"'&"
    _, secret = keyed.key("root", ["chat", "admin"])
    headers = {"authorization": f"Bearer {secret}"}
    keyed.live.chat("Why?", "floorline/gold", headers=headers, floorline={"session": evil})
    browser = keyed.browser(secret)
    for page in ("/dashboard/decisions", "/dashboard/sessions"):
        text = browser.get(page).text
        assert "<img src=x" not in text
        assert "&lt;img src=x" in text
    shown = browser.get("/dashboard/sessions/turns", params={"name": evil})
    assert "<img src=x" not in shown.text
    assert len(ids(shown.text)) == 1
    assert json.loads(browser.get("/dashboard/data/sessions.json").text)["rows"][0][0] == evil


def test_decisions_offer_only_models_that_the_key_may_name(keyed):
    page = keyed.browser(keyed.key("eyes", ["view"], tenant="acme", models=["sim-nano"])[1])
    text = page.get("/dashboard/decisions").text
    assert "sim-nano" in text
    assert "sim-titan" not in text
