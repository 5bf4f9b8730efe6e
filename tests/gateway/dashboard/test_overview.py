import re
import time

import pytest
from tests.support.live_gateway import wait_until, write_settings

from floorline import SLA


def answered(gateway, number, satisfied=True):
    for _ in range(number):
        answer = gateway.chat()
        assert answer.status_code == 200
        id = answer.headers["x-floorline-decision"]
        gateway.http.post("/v1/feedback", json={"id": id, "satisfied": satisfied})


def card(page, name):
    found = re.search(
        rf'<section class="card" data-live="sla {name}">.*?</section>', page, re.DOTALL
    )
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split()).replace("\xa0", " ")


def test_each_sla_has_its_promise_its_verdict_and_what_it_cost(gateway):
    answered(gateway, 8)
    page = gateway.http.get("/dashboard").text
    status = gateway.http.get("/v1/slas/gold").json()
    gold = card(page, "gold")
    assert "At least 85 % of the answers satisfy." in gold
    assert "unknown" in gold
    assert "Labels 8 of 8 requests" in gold
    assert "Satisfied 100 %" in gold
    assert f"between {100 * status['lower']:.1f} %" in gold
    assert "without a key 8 8 100 %" in gold
    assert "No requests yet." in card(page, "silver")
    assert "promises.json?sla=silver&amp;since=24h" not in page
    assert 'data-source="/dashboard/data/promises.json?sla=gold&amp;since=24h"' in page


def test_the_head_of_the_page_has_the_numbers_of_the_span(gateway):
    answered(gateway, 3)

    def shown():
        page = gateway.http.get("/dashboard?since=1h").text
        number = re.search(r"Requests</dt>\s*<dd><span[^>]*>(\d+)<", page)[1]
        return "in the last hour" in page and number == "3"

    wait_until(shown)


def test_the_origins_of_labels_are_told(gateway):
    for source in ("user", "user", "user", "judge"):
        id = gateway.chat().headers["x-floorline-decision"]
        body = {"id": id, "satisfied": True, "source": source}
        assert gateway.http.post("/v1/feedback", json=body).status_code == 200

    def shown():
        page = gateway.http.get("/dashboard?since=1h").text
        return "user 75 %, judge 25 % of 4 labels in the last hour" in card(page, "gold")

    wait_until(shown)


def test_a_filter_leaves_one_sla(gateway):
    page = gateway.http.get("/dashboard?sla=silver").text
    assert 'data-live="sla silver"' in page
    assert 'data-live="sla gold"' not in page
    assert "sla=silver" in page.partition("<nav")[2].partition("</nav>")[0]


def test_promises_of_latency_have_a_verdict_of_their_own(start, provider):
    slas = [{"name": "fast", "floor": 0.5, "ttft": {"p95": 2.0}}]
    gateway = start(write_settings(provider, slas=slas))
    page = gateway.http.get("/dashboard").text
    assert "First content within 2 s for 95 % of the requests." in page


def test_many_slas_are_shown_by_pages(start, provider):
    slas = [{"name": f"s{number}", "floor": 0.5} for number in range(14)]
    gateway = start(write_settings(provider, slas=slas))
    first, second = (gateway.http.get(f"/dashboard?page={page}").text for page in (1, 2))
    assert 'data-live="sla s11"' in first
    assert 'data-live="sla s12"' not in first
    assert 'data-live="sla s13"' in second
    assert 'href="/dashboard?page=2"' in first
    for wrong in ("0", "3", "x", "9" * 5000, "²"):
        assert gateway.http.get("/dashboard", params={"page": wrong}).status_code == 400


@pytest.fixture
def tenants(keyed):
    """A gateway with requests of two tenants; secrets of their viewers, and of all others."""
    secrets = {}
    for tenant in ("acme", "rival"):
        chat = keyed.key(f"{tenant}-app", ["chat", "feedback"], tenant=tenant)[1]
        secrets[tenant] = keyed.key(f"{tenant}-eyes", ["view"], tenant=tenant)[1]
        for model in ("floorline/gold", "floorline/own"):
            for _ in range(3 if tenant == "acme" else 5):
                answer = keyed.chat(chat, model=model)
                headers = {"authorization": f"Bearer {chat}"}
                body = {"id": answer.headers["x-floorline-decision"], "satisfied": True}
                keyed.live.http.post("/v1/feedback", json=body, headers=headers)
    secrets["operator"] = keyed.key("operator", ["view"])[1]
    secrets["admin"] = keyed.key("admin", ["admin"], tenant="acme")[1]
    return keyed, secrets


@pytest.mark.parametrize(("own", "other"), [("acme", "rival"), ("rival", "acme")])
def test_a_tenant_sees_nothing_of_another(tenants, own, other):
    keyed, secrets = tenants
    client = keyed.browser(secrets[own])
    page = client.get("/dashboard").text
    assert f"own@{own}" in page
    assert other not in page
    assert f"tenant {own}" in page
    for query in (f"tenant={other}", f"sla=own@{other}"):
        answer = client.get(f"/dashboard?{query}")
        assert answer.status_code == 400
        assert f"own@{other}" not in answer.text.replace(f"&#39;own@{other}&#39;", "")


def test_the_numbers_of_a_tenant_are_its_own(tenants):
    keyed, secrets = tenants
    client = keyed.browser(secrets["acme"])

    def count():
        page = client.get("/dashboard").text.partition('data-live="summary"')[2]
        return re.search(r'Requests</dt>\s*<dd><span class="value">(\d+)<', page)[1]

    wait_until(lambda: count() == "6")
    time.sleep(0.6)
    assert count() == "6"


@pytest.mark.parametrize("who", ["operator", "admin"])
def test_operators_see_all_tenants(tenants, who):
    keyed, secrets = tenants
    page = keyed.browser(secrets[who]).get("/dashboard").text
    assert "own@acme" in page
    assert "own@rival" in page
    assert "tenant rival" in page


def test_a_key_limited_to_an_sla_sees_that_one_only(tenants):
    keyed, _ = tenants
    secret = keyed.key("narrow", ["view"], slas=["own"])[1]
    client = keyed.browser(secret)
    page = client.get("/dashboard").text
    assert 'data-live="sla own' in page
    assert 'data-live="sla gold"' not in page
    assert client.get("/dashboard?sla=gold").status_code == 400
    data = client.get("/dashboard/data/promises.json").json()
    assert "gold" not in {row[1] for row in data["rows"]}


def test_the_worst_promise_stands_first(start, provider):
    slas = [{"name": name, "floor": floor} for name, floor in (("unused", 0.5), ("fine", 0.1))]
    slas.append({"name": "lost", "floor": 0.99})
    gateway = start(write_settings(provider, slas=slas))
    for name, satisfied in (("fine", True), ("lost", False)):
        for _ in range(40):
            answer = gateway.chat(model=f"floorline/{name}")
            id = answer.headers["x-floorline-decision"]
            gateway.http.post("/v1/feedback", json={"id": id, "satisfied": satisfied})
    page = gateway.http.get("/dashboard").text
    rows = page.partition('data-live="promises"')[2].partition("</table>")[0]
    assert re.findall(r'<th scope="row"><a[^>]*>(\w+)</a>', rows) == ["lost", "fine", "unused"]


def test_a_page_says_that_the_history_is_being_read(gateway):
    history = gateway.gateway.history
    wait_until(lambda: history.ready)
    assert "being read from the log" not in gateway.http.get("/dashboard").text
    history.ready, history.progress = False, 0.43
    for path in ("/dashboard", "/dashboard/models"):
        text = gateway.http.get(path).text.replace("\xa0", " ")
        assert "being read from the log: 43 % so far" in text


def test_of_thousands_of_slas_a_page_offers_some_and_the_chosen_one(gateway):
    def add():
        for number in range(300):
            gateway.gateway.router.set_sla(SLA(f"gold@t{number}", floor=0.5))

    gateway.call(add)
    page = gateway.http.get("/dashboard/models?sla=gold@t299").text
    assert 200 <= len(re.findall(r"<option", page)) <= 220
    assert re.search(r'<option value="gold@t299" selected', page)
