"""The parts of a gateway without HTTP, for tests of one part at a time."""

import json
import time
from types import SimpleNamespace

from floorline.config import load_text
from floorline.gateway.auth import Auth
from floorline.gateway.call_recorder import CallRecorder
from floorline.gateway.chat_request import read_chat
from floorline.gateway.decision_lookup import DecisionLookup
from floorline.gateway.observability.metrics import Metrics
from floorline.gateway.observability.spans import NoTelemetry
from floorline.gateway.readiness import Readiness
from floorline.gateway.service import ChatService
from floorline.gateway.upstream_config import all_upstream_settings
from floorline.gateway.upstreams import Answer, Health
from floorline.gateway.upstreams.completions import read_completion
from floorline.gateway.upstreams.findings import Findings
from floorline.gateway.upstreams.learned_windows import LearnedWindows
from floorline.gateway.usage_check import UsageCheck
from floorline.router import Router
from floorline.stores.sql import SqlStore

SETTINGS = {
    "models": [
        {"name": "small", "endpoint": "http://127.0.0.1:1/v1", "output_price": 1.0},
        {
            "name": "large",
            "model": "their-large",
            "endpoint": "http://127.0.0.1:1/v1",
            "output_price": 9.0,
            "context_window": 100,
        },
    ],
    "slas": [{"name": "gold", "floor": 0.9}, {"name": "silver", "floor": 0.5}],
    "policy": "cheapest",
    "auth": "none",
}


class StubUpstreams:
    """Gives the planned answers or raises the planned errors."""

    def __init__(self):
        self.blocked_models = []
        self.windows = LearnedWindows(time.monotonic)
        self.planned = []
        self.requests = []

    def blocked(self, needed=0):
        return self.blocked_models

    def suspected(self):
        return set()

    def health(self):
        return {name: Health("closed", 0, 0) for name in ("small", "large")}

    async def call(self, model, body, *, stream, headers, **about):
        self.requests.append((model, json.loads(body)))
        answer = self.planned.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class RecordingSpan:
    """Notes how a call ended."""

    def __init__(self):
        self.headers = {}
        self.noted = None
        self.ended = None

    def answered(self, **about):
        self.noted = about

    def end(self, error=None, reason=""):
        self.ended = (error, reason)


class Parts:
    """Real parts around stubbed providers; ``settings`` change those above."""

    def __init__(self, folder, keys=None, clock=time.time, **settings):
        self.settings = load_text(json.dumps({**SETTINGS, **settings}), folder=folder, environ={})
        self.store = SqlStore(f"sqlite:///{folder}/log.db")
        self.router = Router(
            self.settings.as_zoo(),
            self.settings.policy.build(),
            self.settings.as_slas(),
            log=self.store,
            memory=self.settings.memory,
            clock=clock,
        )
        self.router.apply(self.store.read())
        self.upstreams = StubUpstreams()
        self.auth = Auth(keys, self._costs, clock=clock)
        self.metrics = Metrics(router=self.router)
        self.config = SimpleNamespace(
            settings=self.settings, calls=all_upstream_settings(self.settings)
        )
        self.decisions = DecisionLookup(
            self.router,
            self.store,
            lambda: self.config.settings.feedback.max_age,
            clock=clock,
        )
        self.usage_check = UsageCheck(self.metrics)
        self.recorder = CallRecorder(
            self.router, self.auth, self.decisions, self.metrics, self.usage_check
        )
        self.readiness = Readiness(self.router, self.store, self.upstreams, None)
        self.chat = ChatService(
            self.config,
            self.router,
            self.store,
            self.upstreams,
            self.auth,
            self.recorder,
            self.metrics,
            NoTelemetry(),
            self.readiness,
        )

    def _costs(self, key):
        self.store.flush()
        return self.store.costs(key)

    def answered(self, decision, answer, span=None, result="ok", *, chat=None, **about):
        """Measure and record an answer to a chat request, by default the usual one."""
        measured = self.recorder.measure(decision, chat or chat_request(), answer)
        self.recorder.answered(decision, answer, measured, span or RecordingSpan(), result, **about)

    def events(self, kind):
        """Events of a kind in the log so far."""
        return [event for event in self.store.read() if isinstance(event, kind)]

    def count(self, sample, **labels):
        """Value of a metric; None if it has not been counted."""
        # As a scrape does.
        self.metrics._fold()
        return self.metrics.registry.get_sample_value(sample, labels)


def chat_request(model="floorline/gold", text="Why is the sky blue?", **fields):
    """A chat request as the endpoint reads it."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
    return read_chat(json.dumps(body).encode(), {})


def whole_answer(*, text="word", tokens=None, prompt_tokens=5):
    """An answer of the provider of the model "small"; without ``tokens`` it does not count them."""
    body = {
        "id": "c-1",
        "choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}],
    }
    if tokens is not None:
        body["usage"] = {"prompt_tokens": prompt_tokens, "completion_tokens": tokens}
    data = json.dumps(body).encode()
    found = Findings()
    found.add(read_completion(data))
    return Answer("small", 200, {}, data, found)
