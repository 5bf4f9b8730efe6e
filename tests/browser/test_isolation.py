"""A tenant's viewer sees its own tenant: on every page, in all data, by every address."""

import re

import pytest
from tests.browser.pages import DATA, PAGES, path_of, with_query
from tests.browser.scene import KEYS, configuration
from tests.support.live_gateway import Live

from floorline.events import Decision
from floorline.gateway.dashboard.routes import dashboard_routes

TENANTS = ("acme", "globex")
FORMATS = ("json", "csv")
THEIRS = ("/dashboard/decisions/{}", "/dashboard/playground/decisions/{}")
"""Addresses of one decision; ``/v1`` takes keys only."""


def other(tenant):
    return next(one for one in TENANTS if one != tenant)


def foreign(scene, tenant):
    """Texts that only requests, keys and sessions of others have."""
    keys = [key for key in KEYS if KEYS[key][2].get("tenant") != tenant]
    texts = [other(tenant)]
    texts += [scene.keys[key].id for key in keys]
    texts += [KEYS[key][0] for key in keys]
    texts += [id for key in keys for id in scene.decisions.get(key, ())]
    return texts


def seen(text, words):
    """Those of the words that a text has."""
    found = {word for word in words if word in text}
    # "operator" is a word of explanations too.
    return {word for word in found if word != "operator" or re.search(r">operator<", text)}


@pytest.fixture(params=TENANTS)
def tenant(request):
    return request.param


@pytest.fixture
def get(visits, tenant):
    """Fetch an address as the tenant's viewer."""
    page = visits.open("/dashboard", f"{tenant} viewer").page
    return lambda path, **options: page.request.get(visits.url + path, **options)


@pytest.mark.parametrize("query", ["", "since=30d", "tenant={tenant}"])
def test_pages_show_nothing_of_others(get, scene, tenant, query):
    words = foreign(scene, tenant)
    for name in PAGES:
        answer = get(with_query(path_of(scene, name, tenant), query.format(tenant=tenant)))
        assert answer.status == 200, (name, answer.text())
        assert seen(answer.text(), words) == set(), name


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("query", ["", "since=30d", "since=7d&tenant={tenant}"])
def test_data_have_nothing_of_others(get, scene, tenant, query, format):
    words = foreign(scene, tenant)
    for name in DATA:
        path = f"/dashboard/data/{name}.{format}"
        answer = get(with_query(path, query.format(tenant=tenant)))
        assert answer.status == 200, (name, answer.text())
        assert seen(answer.text(), words) == set(), name


def test_filters_do_not_lead_to_others(get, scene, tenant):
    stranger = other(tenant)
    words = set(foreign(scene, tenant)) - {stranger}
    paths = [f"/dashboard/data/{name}.json" for name in DATA] + list(PAGES.values())
    for path in paths:
        if "{" in path:
            continue
        for query in (
            f"tenant={stranger}",
            f"sla=gold@{stranger}",
            f"key={scene.keys[stranger].id}",
        ):
            answer = get(f"{path}?{query}")
            assert answer.status in (200, 400, 403, 404), (path, query)
            found = seen(answer.text(), words) - {scene.keys[stranger].id}
            assert found == set(), (path, query)


def test_the_addresses_of_others_are_as_if_they_were_not(get, scene, tenant):
    stranger = other(tenant)
    for key in (stranger, "shared"):
        theirs = scene.decisions[key][-1]
        for path in (*THEIRS, "/v1/decisions/{}"):
            there, nowhere = get(path.format(theirs)), get(path.format("dnone"))
            assert there.status == nowhere.status, path
            assert there.status in (401, 403, 404), path
            assert there.text().replace(theirs, "") == nowhere.text().replace("dnone", ""), path


def test_a_search_finds_nothing_of_others(get, scene, tenant):
    theirs = [scene.decisions[other(tenant)][-1], f"{other(tenant)}-support-7"]
    for word in theirs:
        answer = get(f"/dashboard/decisions?q={word}")
        found = answer.text().replace(word, "")
        assert seen(found, set(foreign(scene, tenant)) - {other(tenant)}) == set()


def test_the_numbers_are_those_of_the_tenant(get, scene, tenant):
    columns, rows = table(get("/dashboard/data/traffic.json?since=30d"))
    shown = sum(row[columns.index("requests")] for row in rows)
    made = [event for _, event in scene.serving.log() if isinstance(event, Decision)]
    mine = [one for one in made if one.tenant == tenant and not one.after]
    assert shown == len(mine)
    assert len(mine) < len(made)


def table(answer):
    found = answer.json()
    return found["columns"], found["rows"]


def test_the_live_events_are_those_of_the_tenant(visits, scene, tenant):
    page = visits.open("/dashboard", f"{tenant} viewer").page
    text = page.evaluate(
        """() => new Promise((resolve) => {
          const events = new EventSource(document.body.dataset.events);
          events.addEventListener('tick', (event) => { events.close(); resolve(event.data); });
        })"""
    )
    assert seen(text, foreign(scene, tenant)) == set()


def test_no_address_is_forgotten(tmp_path):
    gateway = Live(configuration("http://127.0.0.1:1", {}), tmp_path)
    gets = {route.path for route in dashboard_routes(gateway.gateway) if "GET" in route.methods}
    gateway.stop()
    others = {
        "/dashboard/login",
        "/dashboard/events",
        "/dashboard/playground/decisions/{id}",
        # Where there are replicas; tenants are refused (tests/gateway/replicas/test_overview.py).
        "/dashboard/replicas",
        # Tenants are refused (tests/gateway/dashboard/test_judges.py).
        "/dashboard/judges",
        "/dashboard/data/{name}.{kind}",
        "/dashboard/static/{version}/{name:path}",
        "/dashboard/{rest:path}",
    }
    assert gets - others == {
        re.sub(r"{\w+}", "{id:path}", path.partition("?")[0]) for path in PAGES.values()
    }


def test_without_a_login_there_is_nothing(visits, scene):
    page = visits.watched().page
    for name in PAGES:
        answer = page.request.get(visits.url + path_of(scene, name), max_redirects=0)
        assert answer.status in (303, 401), name
        assert seen(answer.text(), [*TENANTS, scene.keys["acme"].id]) == set(), name
    for path in ["events", *(f"data/{name}.json" for name in DATA)]:
        assert page.request.get(f"{visits.url}/dashboard/{path}").status == 401, path


@pytest.mark.parametrize("key", ["acme", "shared", "contractor"])
def test_keys_of_applications_do_not_open_it(visits, scene, key):
    page = visits.watched().page
    for path in ["", "/events", "/data/traffic.json", "/data/keys.csv"]:
        answer = page.request.get(f"{visits.url}/dashboard{path}", headers=scene.headers(key))
        assert answer.status in (401, 403), path
        assert seen(answer.text(), TENANTS) == set(), path
