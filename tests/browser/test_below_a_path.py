"""A gateway that a proxy serves below a path: all of the dashboard is below it, too."""

from tests.browser.pages import PAGES, PARTS, settle
from tests.browser.scene import configuration
from tests.browser.visiting import Visits
from tests.support.live_gateway import Live

ROOT = "/llm"


def test_pages_are_below_the_path(chromium, tmp_path):
    server = {"root_path": ROOT}
    gateway = Live(configuration("http://127.0.0.1:1", {}, server=server), tmp_path)
    key, secret = gateway.gateway.store.keys.create("wall display", ["view"])
    gateway.call(gateway.gateway.auth.set_keys, [key])
    visits = Visits(chromium, gateway.url + ROOT, {"viewer": secret})
    asked = set()
    try:
        watched = visits.open("/dashboard", "viewer")
        page = watched.page
        page.on("request", lambda request: asked.add(request.url.removeprefix(gateway.url)))
        (cookie,) = (one for one in page.context.cookies() if one["httpOnly"])
        assert cookie["path"] == f"{ROOT}/dashboard"
        for name in [name for name in PAGES if name not in PARTS]:
            page.locator("#navigation").get_by_role("link").nth(0).wait_for()
            page.locator(f'#navigation a[href^="{ROOT}{PAGES[name]}"]').first.click()
            settle(page)
            assert page.url.removeprefix(gateway.url).startswith(ROOT + PAGES[name])
        page.wait_for_selector("[data-live-state][data-state=on], h1")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(f"**{ROOT}/dashboard/login*")
        assert {one for one in asked if not one.startswith(f"{ROOT}/")} == set()
        assert len(asked) > 20
        assert visits.close() == []
    finally:
        gateway.stop()
