"""The tests of pages can fail: each kind of fault is seen in a page that has it."""

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from tests.browser.accessibility import violations
from tests.browser.visiting import Visits
from tests.support.live_gateway import InThread, http_server

FAULTY = """<!doctype html><html lang="en"><title>Faulty</title><main><h1>Faulty</h1>
<div style="color: red">styled</div><input><img src="/missing.png" alt="">
<p id="pale">pale</p></main><script src="/late.js"></script>"""
CSP = "default-src 'self'"


async def _page(request):
    if request.url.path == "/late.js":
        return HTMLResponse("throw new Error('late')", media_type="text/javascript")
    return HTMLResponse(FAULTY, headers={"content-security-policy": CSP})


@pytest.fixture(scope="module")
def faulty():
    app = Starlette(routes=[Route("/", _page), Route("/late.js", _page)])
    served = InThread(http_server(app))
    yield served.value
    served.stop()


def test_faults_are_seen(chromium, faulty):
    visits = Visits(chromium, faulty, {})
    watched = visits.open("/", key=None)
    found = violations(watched.page)
    assert any(one.startswith("label:") for one in found)
    faults = "\n".join(visits.close())
    assert "CSP: style-src-attr" in faults
    assert "exception: late" in faults
    assert "404" in faults


def test_expected_faults_are_none(chromium, faulty):
    visits = Visits(chromium, faulty, {})
    watched = visits.open("/", key=None)
    watched.expected += ["CSP", "late", "404", "Content Security Policy"]
    assert visits.close() == []
    assert watched.faults
