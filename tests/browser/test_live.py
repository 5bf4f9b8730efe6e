"""Pages follow the gateway without being loaded again."""

from tests.browser.pages import settle
from tests.browser.provider import ZOO

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
    page.wait_for_function(f"(before) => {_REQUESTS} !== before", arg=before, timeout=30_000)
    assert page.evaluate("window.notReloaded")


def test_one_tenant_does_not_see_that_another_is_busy(visits, scene):
    page = visits.open("/dashboard", "globex viewer").page
    settle(page)
    page.wait_for_selector("[data-live-state][data-state=on]")
    page.wait_for_timeout(2500)
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
