import json
import re

import pytest
from tests.gateway.dashboard.conftest import SLAS, Keyed
from tests.support.live_gateway import write_settings

from floorline.events import Decision, Feedback
from floorline.gateway.dashboard.pages.playground import GRID, FloorRange, ranges_of
from floorline.gateway.explanations import Preview

CHAT = {"messages": [{"role": "user", "content": "Why is the sky blue?"}]}


def body(model="floorline/gold", **more):
    return {"model": model, **CHAT, **more}


def token_of(client):
    page = client.get("/dashboard/playground")
    return page.text.partition('data-csrf="')[2].partition('"')[0]


def post(client, path, json, token=None):
    headers = {"accept": "*/*", "x-floorline-csrf": token_of(client) if token is None else token}
    return client.post(f"/dashboard/playground/{path}", json=json, headers=headers)


def events(keyed, kind):
    keyed.gateway.store.flush()
    return [event for event in keyed.gateway.store.read() if isinstance(event, kind)]


@pytest.fixture
def open_playground(start, provider):
    """A gateway without keys whose playground sends."""
    on = {"enabled": True, "playground": True}
    keyed = Keyed(start(write_settings(provider, slas=SLAS, dashboard=on)))
    yield keyed
    keyed.stop()


def test_an_answer_arrives_as_a_stream_and_is_logged(open_playground):
    client = open_playground.browser()
    answer = post(client, "send", body(stream=True, floorline={"session": "mine"}))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    # The headers of the API and those of all pages.
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    deltas = [json.loads(line[6:])["choices"] for line in lines[:-1]]
    text = "".join(c[0]["delta"].get("content") or "" for c in deltas if c)
    assert "This answer is simulated" in text
    (decision,) = events(open_playground, Decision)
    assert decision.id == answer.headers["x-floorline-decision"]
    assert (decision.sla, decision.session) == ("gold", "mine")


def test_a_floor_of_the_request_counts(open_playground):
    client = open_playground.browser()
    assert post(client, "send", body(floorline={"floor": 0.31})).status_code == 200
    (decision,) = events(open_playground, Decision)
    assert decision.floor == 0.31


def test_thumbs_are_labels_of_their_own_source(open_playground):
    client = open_playground.browser()
    decision = post(client, "send", body()).headers["x-floorline-decision"]
    label = {"decision": decision, "satisfied": False, "source": "playground"}
    first = post(client, "feedback", label).json()
    assert first["changed"] is True
    assert post(client, "feedback", label).json()["changed"] is False
    labels = {(event.score, event.source) for event in events(open_playground, Feedback)}
    assert labels == {(0.0, "playground")}
    assert open_playground.gateway.router.status("gold").labels == 1


def test_without_keys_it_sends_only_if_the_settings_say_so(gateway):
    keyed = Keyed(gateway)
    client = keyed.browser()
    page = client.get("/dashboard/playground")
    assert page.status_code == 200
    assert "set dashboard.playground: true" in page.text
    for path, json_ in (("send", body()), ("feedback", {"decision": "x", "satisfied": True})):
        answer = post(client, path, json_)
        assert answer.status_code == 403
        assert "dashboard.playground" in answer.json()["error"]["message"]
    assert not events(keyed, Decision)
    keyed.stop()


def test_a_key_without_the_scope_chat_cannot_send(keyed):
    _, secret = keyed.key("eyes", ["view"], tenant="acme")
    client = keyed.browser(secret)
    page = client.get("/dashboard/playground")
    assert "lacks the scope chat" in page.text
    assert " disabled" in page.text
    answer = post(client, "send", body())
    assert answer.status_code == 403
    assert "lacks the scope chat" in answer.json()["error"]["message"]
    assert not events(keyed, Decision)


def test_a_key_sends_for_its_tenant_and_is_charged(keyed):
    key, secret = keyed.key(
        "all", ["view", "chat", "feedback"], tenant="acme", budget=5.0, period=3600.0
    )
    client = keyed.browser(secret)
    answer = post(client, "send", body("floorline/own"))
    assert answer.status_code == 200, answer.text
    (decision,) = events(keyed, Decision)
    assert (decision.sla, decision.tenant, decision.key) == ("own@acme", "acme", key.id)
    assert keyed.gateway.auth.left(key.id) < 5.0
    label = {"decision": decision.id, "satisfied": True, "source": "playground"}
    assert post(client, "feedback", label).status_code == 200


def test_a_key_rates_no_answer_of_another_tenant(keyed):
    _, theirs = keyed.key("theirs", ["chat"], tenant="globex")
    decision = keyed.chat(theirs).headers["x-floorline-decision"]
    _, secret = keyed.key("all", ["view", "chat", "feedback"], tenant="acme")
    answer = post(keyed.browser(secret), "feedback", {"decision": decision, "satisfied": True})
    assert answer.status_code == 404
    assert not events(keyed, Feedback)


def test_a_key_that_may_not_rate_sees_no_thumbs(keyed):
    _, secret = keyed.key("half", ["view", "chat"])
    client = keyed.browser(secret)
    assert 'data-may-rate="no"' in client.get("/dashboard/playground").text
    decision = post(client, "send", body()).headers["x-floorline-decision"]
    answer = post(client, "feedback", {"decision": decision, "satisfied": True})
    assert answer.status_code == 403
    assert "lacks the scope feedback" in answer.json()["error"]["message"]


def test_the_list_has_only_what_the_key_may_name(keyed):
    _, secret = keyed.key("some", ["view", "chat"], slas=["own"])
    page = keyed.browser(secret).get("/dashboard/playground").text
    assert 'value="floorline/own"' in page
    assert "floorline/gold" not in page
    assert 'value="sim-nano"' not in page


@pytest.mark.parametrize("path", ["send", "feedback"])
def test_a_request_needs_the_token_of_the_login(keyed, path):
    _, secret = keyed.key("all", ["view", "chat", "feedback"])
    client = keyed.browser(secret)
    for token in ("", "wrong", "ü"):
        headers = {"accept": "*/*", "x-floorline-csrf": token.encode()}
        url = f"/dashboard/playground/{path}"
        answer = client.post(url, json=body(), headers=headers)
        assert answer.status_code == 403
    assert not events(keyed, Decision)


def test_a_rate_of_the_key_counts(keyed):
    _, secret = keyed.key("slow", ["view", "chat"], rate=2.0)
    client = keyed.browser(secret)
    token = token_of(client)
    statuses = [post(client, "send", body(), token).status_code for _ in range(4)]
    assert statuses[:2] == [200, 200]
    assert 429 in statuses


def test_without_a_login_nothing_is_sent(keyed):
    answer = post(keyed.browser(), "send", body(), "x")
    assert answer.status_code == 401
    assert not events(keyed, Decision)


def test_a_revoked_key_sends_nothing_more(keyed):
    key, secret = keyed.key("all", ["view", "chat"])
    client = keyed.browser(secret)
    token = token_of(client)
    keys = keyed.gateway.store.keys
    keys.revoke(key.id)
    keyed.live.call(keyed.gateway.auth.set_keys, keys.list())
    assert post(client, "send", body(), token).status_code == 401


def floors(*given, **more):
    return {"floors": list(given), **more}


def test_a_preview_says_who_would_answer_and_logs_nothing(gateway):
    keyed = Keyed(gateway)
    client = keyed.browser()
    before = keyed.gateway.router.snapshot()
    answer = post(client, "preview", body(floorline=floors(0.1, 0.99)))
    assert answer.status_code == 200, answer.text
    low, high = answer.json()["data"]
    assert (low["floor"], high["floor"]) == (0.1, 0.99)
    assert low["expected_cost"] <= high["expected_cost"]
    assert {one["model"] for one in low["candidates"]} == set(keyed.gateway.router.zoo.names)
    assert all(one["explanation"] for one in low["candidates"])
    assert not events(keyed, Decision)
    assert keyed.gateway.router.snapshot() == before
    # It is what the API answers.
    api = keyed.live.http.post("/v1/preview", json=body(floorline=floors(0.1, 0.99))).json()
    assert api["data"] == answer.json()["data"]
    keyed.stop()


def test_a_key_that_only_looks_may_preview(keyed):
    _, secret = keyed.key("eyes", ["view"], tenant="acme")
    client = keyed.browser(secret)
    answer = post(client, "preview", body("floorline/own", floorline=floors(0.5)))
    assert answer.status_code == 200
    # The tenant's own SLA comes into being with its first request, not with a look.
    assert "own@acme" not in keyed.gateway.router.slas
    assert post(client, "preview", body(), "wrong").status_code == 403
    assert post(client, "preview", body("sim-nano")).status_code == 400
    assert "data-floors" in client.get("/dashboard/playground").text


@pytest.mark.parametrize("given", [{"floors": [2.0]}, {"floors": ["x"]}, {"floors": [0.5] * 102}])
def test_a_malformed_preview_is_refused(open_playground, given):
    answer = post(open_playground.browser(), "preview", body(floorline=given))
    assert answer.status_code == 400
    assert "floor" in answer.json()["error"]["message"]


def test_the_explanation_of_an_answer_has_its_cost_and_reasons(open_playground):
    client = open_playground.browser()
    decision = post(client, "send", body()).headers["x-floorline-decision"]
    found = client.get(f"/dashboard/playground/decisions/{decision}").json()
    assert found["object"] == "floorline.explanation"
    assert found["cost"] > 0.0
    assert found["summary"].startswith(found["model"])


def test_an_explanation_is_for_those_who_may_see_the_decision(keyed):
    _, theirs = keyed.key("theirs", ["chat"], tenant="globex")
    decision = keyed.chat(theirs).headers["x-floorline-decision"]
    path = f"/dashboard/playground/decisions/{decision}"
    headers = {"accept": "*/*"}
    _, secret = keyed.key("eyes", ["view"], tenant="acme")
    assert keyed.browser(secret).get(path, headers=headers).status_code == 404
    assert keyed.browser().get(path, headers=headers).status_code == 401
    _, secret = keyed.key("all-eyes", ["view"])
    assert keyed.browser(secret).get(path, headers=headers).json()["id"] == decision


def rows_of(page):
    """Cells of the table with the models by the floor."""
    part = page.text.partition("data-ranges")[2].partition("</table>")[0]
    lines = part.partition("<tbody>")[2].split("<tr>")[1:]
    return [re.findall(r">([^<>]+)</t[hd]>", line) for line in lines]


def test_without_scripts_the_form_shows_who_would_answer(keyed):
    _, secret = keyed.key("eyes", ["view"])
    client = keyed.browser(secret)
    assert rows_of(client.get("/dashboard/playground")) == []
    prompt = "Why is the sky <blue>?"
    form = {"csrf": token_of(client), "model": "floorline/own", "prompt": prompt}
    page = client.post("/dashboard/playground", data=form)
    assert page.status_code == 200
    assert "Why is the sky &lt;blue&gt;?</textarea>" in page.text
    assert '<option value="floorline/own" selected' in page.text
    rows = rows_of(page)
    asked = {"model": "floorline/own", "messages": [{"role": "user", "content": prompt}]}
    answer = post(client, "preview", {**asked, "floorline": floors(*GRID)}).json()["data"]
    models = [one["model"] for one in answer]
    changed = [model for n, model in enumerate(models) if n == 0 or models[n - 1] != model]
    assert [row[1] for row in rows] == changed
    assert rows[-1][0] == "100\u00a0%"
    assert not events(keyed, Decision)
    for wrong in ({**form, "csrf": "x"}, {**form, "model": "sim-nano"}):
        assert client.post("/dashboard/playground", data=wrong).status_code in (400, 403)


def test_neighbouring_floors_of_one_model_are_joined():
    def preview(floor, model):
        return Preview(
            floor=floor, sla="gold", model=model, explored=False, expected_quality=floor,
            expected_cost=None, rule="", multipliers={}, candidates=[], summary="",
        )  # fmt: skip

    given = [preview(0.0, "a"), preview(0.5, "a"), preview(0.6, "b"), preview(1.0, "b")]
    assert ranges_of(given) == [FloorRange(0.6, "a", 0.0, None), FloorRange(1.0, "b", 0.6, None)]
    assert ranges_of([]) == []
