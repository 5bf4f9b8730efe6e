import re

import pytest
from tests.support.live_gateway import wait_until, write_settings


def rows(page):
    """Text of each row of the table of all models, by the model's name."""
    table = page.partition('data-live="models"')[2].partition("</table>")[0]
    found = {}
    for row in re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2], re.DOTALL):
        text = " ".join(re.sub(r"<[^>]+>", " ", row).split()).replace("\xa0", " ")
        found[text.partition(" ")[0]] = text
    return found


def table(gateway, name, query=""):
    data = gateway.http.get(f"/dashboard/data/{name}.json{query}").json()
    return [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]


def test_each_model_has_its_traffic_cost_and_breaker(gateway):
    served = [gateway.chat().headers["x-floorline-model"] for _ in range(6)]
    most = max(served, key=served.count)
    wait_until(lambda: sum(row["decisions"] for row in table(gateway, "models")) == 6)
    page = gateway.http.get("/dashboard/models").text
    shown = rows(page)
    assert set(shown) == set(gateway.gateway.router.zoo.names)
    assert "breaker closed" in shown[most]
    share = 100 * served.count(most) / 6
    assert f"{share:.1f}".removesuffix(".0") + " %" in shown[most]
    assert "What it would take for a model to get more traffic" in page


def test_the_data_of_the_table_can_be_loaded(gateway):
    found = table(gateway, "estimates")
    assert [row["model"] for row in found] == list(gateway.gateway.router.zoo.names)
    assert {row["breaker"] for row in found} == {"closed"}
    assert all(0 <= row["quality_lower"] <= row["quality"] <= row["quality_upper"] for row in found)


def test_an_open_breaker_is_seen(start):
    gateway = start(write_settings("http://127.0.0.1:9", policy="cheapest"))
    for _ in range(30):
        gateway.chat()
    assert "breaker open" in " ".join(rows(gateway.http.get("/dashboard/models").text).values())


def test_a_policy_without_estimates_says_so(start, provider):
    gateway = start(write_settings(provider, policy="cheapest"))
    page = gateway.http.get("/dashboard/models").text
    assert "not estimated" in page


def test_a_tenant_sees_its_own_traffic_and_nothing_that_tells_of_others(keyed):
    chat = keyed.key("app", ["chat"], tenant="acme")[1]
    other = keyed.key("other", ["chat"], tenant="rival")[1]
    keyed.chat(chat)
    for _ in range(3):
        keyed.chat(other)
    client = keyed.browser(keyed.key("eyes", ["view"], tenant="acme")[1])

    def decisions(client):
        data = client.get("/dashboard/data/models.json").json()
        return sum(row[data["columns"].index("decisions")] for row in data["rows"])

    operator = keyed.browser(keyed.key("operator", ["view"])[1])
    wait_until(lambda: decisions(operator) == 4)
    assert decisions(client) == 1
    page = client.get("/dashboard/models").text
    assert "What it would take" not in page
    data = client.get("/dashboard/data/estimates.json").json()
    hidden = [data["columns"].index(name) for name in ("quality_labels", "calls_running")]
    assert all(row[column] is None for row in data["rows"] for column in hidden)


@pytest.mark.parametrize("query", ["?sla=silver", "?since=1h", "?sla=gold&since=7d"])
def test_filters_choose_the_sla_of_the_outlook(gateway, query):
    page = gateway.http.get(f"/dashboard/models{query}")
    assert page.status_code == 200
    name = "silver" if "silver" in query else "gold"
    assert f"For {name}, whose floor" in page.text or "Nothing is known" in page.text


def test_a_key_whose_only_sla_is_gone_sees_a_page_without_it(keyed):
    secret = keyed.key("late", ["view"], slas=["gone"])[1]
    page = keyed.browser(secret).get("/dashboard/models")
    assert page.status_code == 200
    assert "What it would take" in page.text


def test_a_tenant_is_not_told_what_others_labels_have_shown(keyed):
    text = "has detected no change of quality"
    everything = keyed.browser(keyed.key("operator", ["view"])[1]).get("/dashboard/models").text
    tenant = keyed.browser(keyed.key("eyes", ["view"], tenant="acme")[1])
    assert text in everything
    assert text not in tenant.get("/dashboard/models").text
