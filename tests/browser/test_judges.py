"""The page of judges: empty, and with judges, rules and shadow calls that have worked."""

from itertools import product

import pytest
from tests.browser.accessibility import violations
from tests.browser.pages import change, overflow, picture, settle
from tests.browser.visiting import THEMES, WIDTHS, Visits
from tests.support.judging_provider import (
    QUALITY,
    JudgingProvider,
    judged_configuration,
    rest,
)
from tests.support.live_gateway import InThread, Live, http_server

STRICT = {"name": "strict", "model": "judge", "rate": 0.5, "boost": 1, "budget": {"total": 0.016}}
PAIRS = {"name": "pairs", "model": "judge", "against": "large", "rate": 0.2, "boost": 1}
PAIRS |= {"budget": {"total": 1, "period": None}}


@pytest.fixture
def served(tmp_path):
    provider = JudgingProvider(QUALITY)

    def says(shown):
        if "response 2" in shown:
            return '{"better": 1}'
        # Every second question: which ones are judged before the budget ends is not certain.
        odd = any(f"{digit}?" in shown for digit in (1, 3, 5, 7, 9))
        return "I can't judge this." if odd else provider.grade(shown)

    provider.says = says
    server = InThread(http_server(provider.app()))
    started = []

    def start(**changed):
        text = judged_configuration(f"{server.value}/v1", **changed)
        started.append(Live(text, tmp_path))
        return started[-1]

    yield start
    for live in started:
        live.stop()
    server.stop()


def live_with(served):
    live = served(
        judges=[STRICT, PAIRS],
        rules=[{"kind": "refusal"}, {"kind": "empty", "weight": 0.4, "name": "says_nothing"}],
        shadow={"rate": 0.2, "judge": "strict", "budget": {"total": 1}},
    )
    for number in range(40):
        id = live.chat(f"Question {number}?", max_tokens=50).headers["x-floorline-decision"]
        if number % 2:
            label = {"decision": id, "satisfied": number % 3 > 0}
            live.http.post("/v1/feedback", json=label).raise_for_status()
    rest(live)
    return live


def test_the_page_of_judges(chromium, served):
    live = live_with(served)
    visits = Visits(chromium, live.url, {})
    page = visits.open("/dashboard", key=None).page
    page.locator("#navigation").get_by_role("link", name="Judges").click()
    settle(page)
    assert page.locator("nav a[aria-current=page]").inner_text() == "Judges"
    shown = page.locator("main").inner_text()
    for words in (
        "strict",
        "pairs",
        "says_nothing",
        "users, with the judge",
        "budget ",
        "refused ",
    ):
        assert words in shown, words
    for width, theme in product(WIDTHS, THEMES):
        change(page, width, theme)
        picture(page, f"judges-{theme}-{width}")
        assert overflow(page) == [], (theme, width)
        assert violations(page) == [], (theme, width)
    assert visits.close() == []


def test_the_empty_page_says_what_to_configure(chromium, served):
    visits = Visits(chromium, served().url, {})
    page = visits.open("/dashboard/judges", key=None, theme="dark", width=390).page
    settle(page)
    picture(page, "empty-judges-dark-390")
    shown = page.locator("main").inner_text()
    for words in ("No judge is configured", "judges:", "rules:", "shadow:"):
        assert words in shown, words
    assert overflow(page) == []
    assert violations(page) == []
    assert visits.close() == []
