"""Pages follow the gateway without being loaded again."""

import time

from tests.browser.pages import settle
from tests.browser.provider import ZOO
from tests.browser.scene import configuration
from tests.browser.visiting import Visits
from tests.support.serving import Serving

_REQUESTS = """[...document.querySelectorAll('dt')]
  .filter((one) => one.textContent === 'Requests')
  .map((one) => one.parentElement.querySelector('.value').textContent).join()"""


def test_a_request_is_seen_without_a_reload(visits, scene):
    watched = visits.open("/dashboard")
    page = watched.page
    settle(page)
    page.wait_for_selector("[data-live-state][data-state=on]")
    before = page.evaluate(_REQUESTS)
    assert before
    page.evaluate("window.notReloaded = true")
    for text in ZOO.prompts[8500:8504]:
        assert scene.chat("shared", text, "floorline/silver").status_code == 200
    page.wait_for_function(f"(before) => {_REQUESTS} !== before", arg=before)
    assert page.evaluate("window.notReloaded")


def test_one_tenant_does_not_see_that_another_is_busy(visits, scene):
    page = visits.open("/dashboard", "globex viewer").page
    settle(page)
    page.wait_for_selector("[data-live-state][data-state=on]")
    page.wait_for_timeout(2500)
    # The last hour moves on with each minute, which every page is told.
    second = time.time() % 60
    if not 3 < second < 35:
        page.wait_for_timeout(1000 * ((63 - second) % 60))
    page.evaluate(
        """() => { window.ticks = [];
          document.addEventListener('floorline:tick',
            (event) => window.ticks.push(event.detail)); }"""
    )
    for text in ZOO.prompts[8510:8513]:
        assert scene.chat("acme", text).status_code == 200
    page.wait_for_timeout(4500)
    assert page.evaluate("window.ticks") == []
    assert scene.chat("globex", ZOO.prompts[8514]).status_code == 200
    page.wait_for_function("() => window.ticks.length > 0")


def test_a_page_outlives_its_gateway(chromium, tmp_path):
    serving = Serving(tmp_path, configuration("http://127.0.0.1:1", {}, auth="none")).start()
    visits = Visits(chromium, serving.url, {})
    watched = visits.open("/dashboard", key=None)
    page = watched.page
    state = page.locator("[data-live-state]")
    try:
        page.wait_for_selector("[data-live-state][data-state=on]")
        serving.kill()
        page.wait_for_selector("[data-live-state][data-state=off]")
        assert state.inner_text() == "reconnecting"
        serving.start(options=("--port", str(serving.port)))
        page.wait_for_selector("[data-live-state][data-state=on]")
        watched.expected += ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY"]
        assert visits.close() == []
    finally:
        serving.stop()
