"""Texts that clients choose are shown as texts, and break neither the page nor its width."""

from html import unescape
from urllib.parse import quote

import pytest
from tests.browser.accessibility import violations
from tests.browser.pages import overflow, settle
from tests.browser.provider import ZOO

ODD = [
    "<img src=x onerror=document.body.remove()>",
    "\"><script>document.title='taken'</script>",
    "x" * 256,
    "\u202eمرحبا {{ 7 * 7 }} ../..?a=1&b=2#c 🦉",
]


@pytest.fixture(scope="module")
def decisions(scene):
    """Ids of decisions in conversations of such names."""
    found = {}
    for number, name in enumerate(ODD):
        body = {
            "model": "floorline/silver",
            "messages": [{"role": "user", "content": ZOO.prompts[8600 + number]}],
            "max_tokens": 50,
            "floorline": {"session": name},
        }
        answer = scene.http.post("/v1/chat/completions", json=body, headers=scene.headers("shared"))
        if answer.status_code == 400:
            # Some names are refused: they are in no page.
            assert "session" in answer.text
            continue
        found[name] = answer.headers["x-floorline-decision"]
    assert len(found) >= 3
    return found


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_show_odd_names_as_texts(visits, scene, decisions, width):
    page = visits.open("/dashboard/sessions", width=width).page
    for name, id in decisions.items():
        for path in (
            "/dashboard/sessions",
            f"/dashboard/decisions/{id}",
            f"/dashboard/decisions?q={quote(name)}",
            f"/dashboard/sessions/turns?key={scene.keys['shared'].id}&name={quote(name)}",
        ):
            page.goto(scene.url + path)
            settle(page)
            assert page.title().endswith("Floorline"), path
            assert name[:20] in unescape(page.content()), path
            assert overflow(page) == [], path
    assert violations(page) == []


def test_odd_searches_find_nothing_and_say_so(visits, scene):
    page = visits.open("/dashboard/decisions").page
    for text in ["%", "_", "' OR 1=1 --", "\\", "a" * 256, "\u0000x"[1:], "☃"]:
        page.goto(f"{scene.url}/dashboard/decisions?q={quote(text)}")
        assert "Nothing found" in page.locator("main").inner_text()
        assert overflow(page) == []
