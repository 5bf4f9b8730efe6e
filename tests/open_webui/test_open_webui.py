"""A user presses thumbs in Open WebUI, and a bridge makes feedback of them.

The real program and a real browser; ``make test-open-webui`` installs Open WebUI (5 GB) in the
version of ``requirements/open-webui.txt``.
"""

import hashlib
import hmac
import json
import shutil
import time

import httpx2 as httpx
import pytest
from tests.browser.conftest import PROGRAMS
from tests.browser.provider import ZOO, ScriptedProvider
from tests.open_webui.open_webui import PROGRAM, Chat, OpenWebUI
from tests.support.live_gateway import InThread, http_server
from tests.support.serving import Serving
from tests.upstream_real.conftest import free_port

from floorline.events import Decision, Feedback, Outcome

pytestmark = [
    pytest.mark.open_webui,
    pytest.mark.slow,
    pytest.mark.skipif(not PROGRAM.is_file(), reason="'make test-open-webui' installs it"),
    pytest.mark.skipif(not any(map(shutil.which, PROGRAMS)), reason="needs Chromium"),
]

SECRET = "0123456789abcdef0123456789abcdef"


class Scene:
    """Provider, gateway and Open WebUI."""

    def __init__(self, folder):
        self.provider = InThread(http_server(ScriptedProvider().app))
        models = [
            {
                "name": model.name,
                "endpoint": f"{self.provider.value}/v1",
                "input_price": 0.1,
                "output_price": 0.4,
                # Open WebUI offers its own tools with every question.
                "capabilities": ["tools"],
            }
            for model in ZOO.models[:2]
        ]
        settings = {
            "models": models,
            "slas": [{"name": "gold", "floor": 0.9}],
            "auth": "none",
            "store": {"url": f"sqlite:///{folder}/log.db"},
            "bridges": [
                {"name": "thumbs", "kind": "open_webui", "secret": SECRET},
                {"name": "ratings", "kind": "open_webui", "secret": SECRET, "scale": [1, 10]},
            ],
        }
        self.gateway = Serving(folder, json.dumps(settings)).start()
        self.webui = OpenWebUI(folder, free_port(), self.gateway.url, "none")

    def send(self, bridge):
        """Pass the exported ratings on to a bridge, as the job of docs/bridges.md does."""
        body, now = json.dumps(self.webui.ratings()).encode(), int(time.time())
        digest = hmac.new(SECRET.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
        sent = httpx.post(
            f"{self.gateway.url}/v1/bridges/{bridge}",
            content=body,
            headers={
                "content-type": "application/json",
                "x-floorline-signature": f"t={now},v1={digest}",
            },
        )
        assert sent.status_code == 200, sent.text
        return sent.json()["data"]

    def logged(self, kind):
        """Events of a kind."""
        return [event for _, event in self.gateway.log() if isinstance(event, kind)]

    def stop(self):
        """End all three."""
        self.webui.stop()
        self.gateway.stop()
        self.provider.stop()


@pytest.fixture
def scene(tmp_path):
    started = Scene(tmp_path)
    try:
        started.webui.start()
        yield started
    finally:
        started.stop()


def test_a_thumb_in_open_webui_is_feedback_on_the_answer_that_it_is_below(scene, chromium):
    print(f"Open WebUI {scene.webui.version}")
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)
    chat = Chat(context.new_page(), scene.webui)
    chat.ask("Why is the sky blue?")
    chat.press("Good Response")
    (first,) = scene.send("thumbs")
    assert first["changed"], first
    chat.ask("And why is it red in the evening?")
    chat.press("Bad Response")
    sent = {item["decision"]: item for item in scene.send("thumbs")}
    assert len(sent) == 2
    assert not sent[first["decision"]]["changed"], "the same rating as before"

    # The user's two questions and their answers; titles, tags and follow-ups are requests, too.
    assert len(scene.logged(Decision)) > 2
    assert set(sent) <= {outcome.decision for outcome in scene.logged(Outcome)}
    labels = {label.decision: label.score for label in scene.logged(Feedback)}
    good, bad = first["decision"], (set(sent) - {first["decision"]}).pop()
    assert labels == {good: 1.0, bad: 0.0}

    # The form that a thumb opens has a rating from 1 to 10.
    chat.rate(3)
    scene.send("ratings")
    labels = {label.decision: label.score for label in scene.logged(Feedback)}
    assert labels[bad] == pytest.approx(2 / 9)
    context.close()
