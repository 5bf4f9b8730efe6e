"""Every page in both themes, on a phone and on a laptop: no fault, accessible, no wider than it."""

from itertools import product

import pytest
from tests.browser.accessibility import violations
from tests.browser.pages import PAGES, PARTS, change, overflow, path_of, picture, settle
from tests.browser.visiting import THEMES, WIDTHS

from floorline.gateway.dashboard.navigation import JUDGES


@pytest.mark.parametrize("name", [*PAGES, "login"])
def test_a_page(visits, scene, name):
    if name == "login":
        page = visits.open("/dashboard/login", key=None).page
    else:
        page = visits.open(path_of(scene, name)).page
        marked = page.locator("nav a[aria-current=page]")
        assert marked.get_attribute("href").split("?")[0] == PAGES[PARTS.get(name, name)]
    settle(page)
    assert page.locator("h1").count() == 1
    for width, theme in product(WIDTHS, THEMES):
        change(page, width, theme)
        picture(page, f"{name}-{theme}-{width}")
        assert page.locator("figure.chart[data-state=error]").count() == 0
        assert overflow(page) == [], (theme, width)
        assert violations(page) == [], (theme, width)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_without_javascript(visits, scene, name):
    watched = visits.open(path_of(scene, name), java_script_enabled=False)
    main = watched.page.locator("main")
    assert len(main.inner_text()) > 40
    if name not in ("playground", "whatif"):
        assert main.locator("table, dl").count() > 0


def test_the_navigation_leads_to_every_page(visits, scene):
    page = visits.open("/dashboard").page
    links = page.locator("#navigation a").evaluate_all("all => all.map((one) => one.pathname)")
    # The page of judges, which tenants do not see, is tested in test_judges.py.
    paths = {path for name, path in PAGES.items() if name not in PARTS} | {JUDGES.path}
    assert set(links) == paths


def test_an_unknown_page_says_so(visits, scene):
    watched = visits.open("/dashboard/nothing")
    watched.expected.append("404")
    assert "there is no page" in watched.page.locator("main").inner_text().lower()
    assert violations(watched.page) == []


@pytest.mark.parametrize("query", ["since=2h", "sla=platinum", "since=", "sla=%00"])
def test_wrong_filters_say_what_to_give(visits, scene, query):
    watched = visits.open(f"/dashboard?{query}")
    watched.expected.append("400")
    text = watched.page.locator("main").inner_text()
    if query == "since=":
        assert "Overview" in text
    else:
        assert "choose one of" in text
    assert watched.page.locator("nav a").count() > 0
