"""The examples of frameworks run as users run them, against `floorline serve`.

Each is a process in the environment of its framework, which `make test-frameworks` installs.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.live_gateway import InThread, http_server, wait_until
from tests.support.serving import Serving
from tests.support.weather_provider import CITY, WeatherProvider

from floorline.events import Decision, Feedback, Outcome

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = os.environ.get("FLOORLINE_FRAMEWORKS", "")
"""Folder of the environments of the lock files `frameworks.txt` and `llama-index.txt`."""
SECONDS = 300.0
"""Longest time of an example; most of it are the imports."""
WATCH = """\
import os, sys

def note(event, given):
    if event == "socket.getaddrinfo":
        host = given[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(given[1], tuple):
        host = given[1][0]
    else:
        return
    with open(os.environ["CONNECTIONS"], "a") as file:
        print(host, file=file)
    if host != "127.0.0.1":
        raise OSError(f"{host} is not to be reached")

sys.addaudithook(note)
"""
"""Notes each host that a Python process looks up or connects to, and refuses all but this one."""

if not ENVIRONMENTS:
    pytest.skip("make test-frameworks installs the frameworks", allow_module_level=True)


class Example(NamedTuple):
    """A program, and the package that it shows."""

    file: str
    environment: str
    package: str


EXAMPLES = [
    Example("langchain_chat.py", "frameworks", "langchain-openai"),
    Example("llamaindex_chat.py", "llama-index", "llama-index-core"),
    Example("openai_agents_chat.py", "frameworks", "openai-agents"),
    Example("pydantic_ai_chat.py", "frameworks", "pydantic-ai-slim"),
]


class Scene:
    """A provider, `floorline serve` before it, and a key."""

    def __init__(self, folder):
        self.provider = WeatherProvider()
        self._served = InThread(http_server(self.provider.app))
        models = [
            {
                "name": name,
                "endpoint": f"{self._served.value}/v1",
                "input_price": price,
                "output_price": 4 * price,
                "capabilities": ["tools"],
                "retries": 0,
            }
            for name, price in (("small", 0.1), ("large", 2.0))
        ]
        settings = {
            "models": models,
            "slas": [{"name": "gold", "floor": 0.8}],
            "auth": "keys",
            "store": {"url": f"sqlite:///{folder}/log.db"},
        }
        self.serving = Serving(folder, json.dumps(settings))
        self.key = self.serving.create_key("example")
        self.serving.start()

    def events(self, kind):
        return [event for _, event in self.serving.log() if isinstance(event, kind)]

    def stop(self):
        self.serving.stop()
        self._served.stop()


@pytest.fixture
def scene(tmp_path):
    begun = Scene(tmp_path)
    yield begun
    begun.stop()


def python_of(environment):
    return Path(ENVIRONMENTS) / environment / "bin" / "python"


def run(example, scene, folder):
    """Run an example; its lines, and the hosts that it connected to or looked up."""
    (folder / "sitecustomize.py").write_text(WATCH)
    noted = folder / "connections.txt"
    done = subprocess.run(
        [python_of(example.environment), ROOT / "examples" / example.file],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(folder),
            "CONNECTIONS": str(noted),
            "FLOORLINE_URL": scene.serving.url,
            "FLOORLINE_API_KEY": scene.key,
            # What users may have set for other programs, and what would send traces.
            "OPENAI_API_KEY": "sk-not-for-floorline",
            "LANGSMITH_API_KEY": "not-to-be-used",
            "LANGSMITH_TRACING": "true",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines(), set(noted.read_text().split())


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.package)
def test_an_example_of_a_framework(example, scene, tmp_path):
    folder = tmp_path / "user"
    folder.mkdir()
    lines, hosts = run(example, scene, folder)
    shown = [line.partition(": ")[2] for line in lines]
    by_kind = {kind: [] for kind in ("decided", "answer", "stream", "feedback")}
    for line, rest in zip(lines, shown, strict=True):
        by_kind[line.partition(":")[0]].append(rest)

    wait_until(lambda: len(scene.events(Outcome)) == 3)
    decisions = scene.events(Decision)
    assert [d.sla for d in decisions] == ["gold"] * 3
    # What it read of the decisions, their session and their model.
    assert by_kind["decided"] == [f"{d.id} {d.model}" for d in decisions]
    (session,) = {d.session for d in decisions}
    assert re.fullmatch(r"[a-z-]+-[0-9a-f-]{36}", session)
    assert len({d.model for d in decisions}) == 1

    outcomes = scene.events(Outcome)
    assert [o.decision for o in outcomes] == [d.id for d in decisions]
    assert [(o.error, o.input_tokens, o.output_tokens) for o in outcomes] == [(None, 50, 40)] * 3

    # The tool's result came to the model, and the texts to the user.
    asked = [request["body"] for request in scene.provider.requests]
    assert [bool(body.get("stream")) for body in asked] == [False, False, True]
    results = [m["content"] for m in asked[1]["messages"] if m["role"] == "tool"]
    assert results == [f"{CITY}: 21 degrees"]
    assert by_kind["answer"] == [f"Answer 2: it says {CITY}: 21 degrees."]
    assert by_kind["stream"] == ["Answer 3: no coat."]

    (feedback,) = scene.events(Feedback)
    assert (feedback.decision, feedback.score) == (decisions[-1].id, 1.0)
    assert by_kind["feedback"] == [f"{decisions[-1].id} True"]
    assert hosts == {"127.0.0.1"}
