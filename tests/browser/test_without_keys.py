"""A gateway without keys: its pages can be read and change nothing."""

import pytest
from tests.browser.accessibility import violations
from tests.browser.pages import PAGES, PARTS, overflow, picture, settle
from tests.browser.scene import configuration
from tests.browser.visiting import Visits
from tests.support.serving import Serving


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A gateway without keys that has served nothing yet."""
    text = configuration("http://127.0.0.1:1", {}, auth="none", dashboard={})
    serving = Serving(tmp_path_factory.mktemp("fresh"), text).start()
    yield serving
    serving.stop()


@pytest.fixture
def reading(chromium, fresh):
    visits = Visits(chromium, fresh.url, {})
    yield visits
    faults = visits.close()
    assert faults == []


@pytest.mark.parametrize("name", [name for name in PAGES if name not in PARTS])
def test_an_empty_page_says_what_to_do(reading, name):
    page = reading.open(PAGES[name], key=None, theme="dark", width=390).page
    settle(page)
    picture(page, f"empty-{name}-dark-390")
    assert "/login" not in page.url
    assert page.get_by_role("button", name="Log out").count() == 0
    assert overflow(page) == []
    assert violations(page) == []


def test_nothing_is_changed_without_keys(reading, fresh):
    page = reading.open("/dashboard", key=None).page
    before = fresh.log()
    message = {"role": "user", "content": "Hello"}
    bodies = {
        "logout": {},
        "playground/send": {"model": "floorline/silver", "messages": [message]},
        "playground/feedback": {"decision": "d1", "satisfied": True},
    }
    for path, body in bodies.items():
        answer = page.request.post(
            f"{fresh.url}/dashboard/{path}", data=body, headers={"origin": fresh.url}
        )
        assert answer.status == (404 if path == "logout" else 403), answer.text()
    assert fresh.log() == before
