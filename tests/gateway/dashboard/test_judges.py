"""The page of judges: who sees it, and that it shows what the API says."""

import re

import pytest
from tests.support.judging_provider import (
    JUDGE,
    QUALITY,
    JudgingProvider,
    judged_configuration,
    rest,
)
from tests.support.live_gateway import InThread, Live, http_server


@pytest.fixture
def live(tmp_path):
    server = InThread(http_server(JudgingProvider(QUALITY).app()))
    text = judged_configuration(
        f"{server.value}/v1",
        judges=[{**JUDGE, "budget": {"total": 0.012, "period": None}}],
        rules=[{"kind": "empty"}],
    )
    started = Live(text, tmp_path)
    yield started
    started.stop()
    server.stop()


def words(page):
    return " ".join(re.sub(r"<[^>]*>", " ", page).replace("&nbsp;", " ").split())


def test_the_page_shows_what_the_api_says(live):
    for number in range(30):
        id = live.chat(f"Question {number}?").headers["x-floorline-decision"]
        live.http.post("/v1/feedback", json={"decision": id, "satisfied": True})
    rest(live)
    found = live.http.get("/v1/judges").json()
    whole = next(one for one in found["agreements"] if one["judge"] == "strict")
    assert whole["missed"]["budget"] > 0
    shown = words(live.http.get("/dashboard/judges").text)
    assert f"budget {whole['missed']['budget']}" in shown
    assert f"strict judge, rate 100 % {whole['judged']}" in shown
    [judged] = [
        one
        for one in live.http.get("/v1/slas").json()["data"][0]["judged"]
        if one["judge"] == "strict"
    ]
    assert f"{100 * judged['by_judge']['lower']:.1f}" in shown
    for model in ("small", "large"):
        assert f"{model} strict" in shown or model not in {
            one["model"] for one in found["agreements"]
        }


def test_a_judge_that_was_taken_out_of_the_configuration_is_shown_as_that(live):
    id = live.chat("Why?").headers["x-floorline-decision"]
    rest(live)
    live.call(lambda: live.gateway.router.judgement(id, "former", 1.0, rate=0.5))
    shown = words(live.http.get("/dashboard/judges").text)
    assert "former not in the configuration" in shown


@pytest.mark.parametrize(
    ("scopes", "limits", "sees"),
    [
        (["view"], {}, True),
        (["admin"], {}, True),
        (["view"], {"tenant": "acme"}, False),
        (["view"], {"slas": ["gold"]}, False),
        (["view"], {"models": ["small"]}, False),
    ],
)
def test_keys_that_do_not_see_everything_do_not_see_judges(keyed, scopes, limits, sees):
    _, secret = keyed.key("someone", scopes, **limits)
    browser = keyed.browser(secret)
    answer = browser.get("/dashboard/judges")
    assert answer.status_code == (200 if sees else 403)
    assert ("No judge is configured" in answer.text) is sees
    link = 'href="/dashboard/judges' in browser.get("/dashboard").text
    assert link is sees
