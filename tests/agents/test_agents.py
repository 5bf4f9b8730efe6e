"""Coding agents do a task of several turns through ``floorline serve``.

The provider behind it is scripted: its model asks for a tool that writes a file, then for one that
reads it, and ends. ``make test-agents`` installs the agents, in the versions of
``package-lock.json``.
"""

import contextlib
import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from tests.agents.agents import AGENTS, KEY_ENV, PROGRAMS, connect, run
from tests.support.agent_provider import CONTENT, AgentProvider
from tests.support.live_gateway import InThread, http_server, wait_until
from tests.support.serving import Serving
from tests.support.tap import Tap

from floorline.events import Decision, Outcome

pytestmark = [
    pytest.mark.agents,
    pytest.mark.slow,
    pytest.mark.skipif(not PROGRAMS.is_dir(), reason="'make test-agents' installs the agents"),
]

TURNS = 3
"""Requests of the task; titles are asked for beside them."""
INPUT, CACHED, WRITTEN, OUTPUT = 2.0, 0.2, 2.5, 10.0
"""Prices per million tokens, each of which an answer is booked at."""
PRICES = {
    "input_price": INPUT,
    "cached_input_price": CACHED,
    "cache_write_price": WRITTEN,
    "output_price": OUTPUT,
}
LIBRARIES = {
    "litellm": ("litellm", "anthropic/their-model"),
    "any-llm": ("any_llm", "anthropic:their-model"),
}
"""Modules of libraries, and how each names a model of Anthropic's."""


def through(agent, kind):
    """A cell with a library, which is skipped where the library is not installed."""
    missing = find_spec(LIBRARIES[kind][0]) is None
    return pytest.param(
        agent, kind, marks=pytest.mark.skipif(missing, reason=f"needs the extra {kind!r}")
    )


CELLS = [
    ("claude-code", "anthropic"),
    ("claude-code", "openai"),
    ("claude-code", "responses"),
    ("codex", "responses"),
    ("codex", "openai"),
    ("codex", "anthropic"),
    ("opencode", "openai"),
    ("opencode", "anthropic"),
    ("continue", "openai"),
    through("claude-code", "any-llm"),
    through("codex", "litellm"),
    through("opencode", "any-llm"),
]
"""Agents and the dialects of the providers behind the server."""


class Scene:
    """A provider of one dialect, ``floorline serve`` before it, and a tap before that."""

    def __init__(self, folder, kind):
        self.provider = AgentProvider(folder / "out.txt")
        served = InThread(http_server(self.provider.app))
        called = {"kind": kind, "endpoint": f"{served.value}/v1"}
        if kind in LIBRARIES:
            called |= {"model": LIBRARIES[kind][1], "endpoint": served.value, "api_key": "sk-x"}
        models = [
            {"name": name, "retries": 0, "capabilities": ["tools", "json"], **called, **PRICES}
            for name in ("small", "large")
        ]
        settings = {
            "models": models,
            "slas": [{"name": "gold", "floor": 0.8}],
            "aliases": {"claude-*": "floorline/gold"},
            "auth": "keys",
            "store": {"url": f"sqlite:///{folder}/log.db"},
        }
        self.serving = Serving(folder, json.dumps(settings))
        self.key = self._make_key()
        self.serving.start()
        self._tap = InThread(Tap(self.serving.port))
        self.tap = self._tap.value
        self.provider.seen = self.tap.has_received
        self._served = served
        self._logged = 0
        self.sessions = set()

    def _make_key(self):
        floorline = [sys.executable, "-m", "floorline"]
        store = ["--config", self.serving.path]
        for given in (["store", "migrate"], ["keys", "create", "agents"]):
            done = subprocess.run([*floorline, *given, *store], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def happened(self, calls):
        """Decisions and their outcomes since the last time, once there are so many."""
        found = []

        def enough():
            found[:] = [event for _, event in self.serving.log()][self._logged :]
            return sum(isinstance(event, Outcome) for event in found) >= calls

        wait_until(enough)
        self._logged += len(found)
        outcomes = {one.decision: one for one in found if isinstance(one, Outcome)}
        return [(one, outcomes[one.id]) for one in found if isinstance(one, Decision)]

    def stop(self):
        self.serving.stop()
        self._tap.stop()
        self._served.stop()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Return the scene with a provider of some dialect."""
    with contextlib.ExitStack() as stack:
        begun = {}

        def of(kind):
            if kind not in begun:
                begun[kind] = Scene(tmp_path_factory.mktemp(kind), kind)
                stack.callback(begun[kind].stop)
            return begun[kind]

        yield of


def cost_of(answer, kind):
    """What the provider's count of an answer costs."""
    rest = answer.prompt - answer.cached
    # Of the providers only Anthropic's says that it writes the prompt to its cache.
    price = WRITTEN if kind == "anthropic" or kind in LIBRARIES else INPUT
    return (rest * price + answer.cached * CACHED + answer.output * OUTPUT) / 1e6


@pytest.fixture
def do_task(scene, tmp_path):
    """Let an agent do its task before a provider; its scene, and the answers that it got."""

    def do(agent, kind, *, failing=(), settings=connect, key_env=KEY_ENV):
        stage = scene(kind)
        home, work = tmp_path / "home", tmp_path / "work"
        home.mkdir()
        work.mkdir()
        provider = stage.provider
        provider.path, provider.failing = work / "out.txt", set(failing)
        first, begun = len(provider.answers), len(stage.tap.sent)
        environ = settings(agent, stage.tap.url, home) or {}
        said = run(agent, home, work, {key_env: stage.key, **environ})
        assert provider.path.read_text() == CONTENT
        assert CONTENT.strip() in said
        answers = provider.answers[first:]
        turns = [answer for answer in answers if answer.text.startswith("Step")]
        assert [bool(answer.tool) for answer in turns] == [True, True, False]
        # Its own dialect, and each answer arrived while the provider went on.
        assert f"POST {AGENTS[agent].path}".encode() in stage.tap.sent[begun:]
        assert provider.unseen == []
        return stage, answers

    return do


@pytest.mark.parametrize(("agent", "kind"), CELLS)
def test_an_agent_does_its_task(do_task, agent, kind):
    stage, answers = do_task(agent, kind)
    if (agent, kind) == ("codex", "responses"):
        # Claude Code leaves reasoning out of its later requests, and chat completions have none.
        assert stage.provider.thoughts == ["sig", "sig"]
    happened = stage.happened(len(answers))
    assert len(happened) == len(answers)
    decisions, outcomes = zip(*happened, strict=True)
    assert {one.sla for one in decisions} == {"gold"}
    # The title is in the same session as the turns, for the agents that ask for one.
    (session,) = {one.session for one in decisions}
    assert session
    assert session not in stage.sessions
    stage.sessions.add(session)
    # What an agent sends again is recognised: the turns of the task continue one another.
    prompts = {one.prefix for one in decisions}
    assert len(prompts) == len(decisions)
    assert sum(one.follows in prompts for one in decisions) == TURNS - 1
    assert [one.error for one in outcomes] == [None] * len(answers)
    assert all(one.first_token <= one.latency for one in outcomes)
    booked = [(o.input_tokens, o.cached_tokens, o.output_tokens, o.estimated) for o in outcomes]
    expected = [(a.prompt, a.cached, a.output, False) for a in answers]
    assert sorted(booked) == sorted(expected)
    costs = sorted(cost_of(answer, kind) for answer in answers)
    assert sorted(one.cost for one in outcomes) == pytest.approx(costs, rel=1e-12)


@pytest.mark.parametrize(
    ("agent", "kind"),
    [("claude-code", "anthropic"), ("claude-code", "openai"), ("codex", "responses")],
)
def test_another_model_goes_on_with_the_task_of_one_that_is_busy(do_task, agent, kind):
    stage, answers = do_task(agent, kind, failing={1})
    happened = stage.happened(len(answers) + 1)
    assert len({decision.session for decision, _ in happened}) == 1
    (failed,) = (decision for decision, outcome in happened if outcome.error is not None)
    (after,) = (decision for decision, _ in happened if decision.after == failed.id)
    assert after.model != failed.model


def base_url_only(agent, url, home):
    return {"ANTHROPIC_BASE_URL": url}


def test_claude_code_needs_only_the_base_url_where_aliases_know_its_models(do_task):
    stage, answers = do_task(
        "claude-code", "anthropic", settings=base_url_only, key_env="ANTHROPIC_API_KEY"
    )
    assert b'"claude-opus-' in stage.tap.sent
    happened = stage.happened(len(answers))
    assert {decision.sla for decision, _ in happened} == {"gold"}
