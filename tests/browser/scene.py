"""A gateway with everything that its dashboard shows, in a process of its own."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2 as httpx
from tests.browser.past import PRICE_CUT, write_past
from tests.browser.provider import DRAWN, ZOO, ScriptedProvider
from tests.support.live_gateway import NO_AUTHORITIES, InThread, http_server
from tests.support.serving import Serving

from floorline.stores.engine import open_engine
from floorline.stores.keys import KeyStore
from floorline.stores.sql import SqlStore

KEYS = {
    "acme": ("acme app", ["chat", "feedback"], {"tenant": "acme"}),
    "globex": ("globex app", ["chat", "feedback"], {"tenant": "globex"}),
    "shared": ("batch jobs", ["chat", "feedback"], {}),
    "contractor": (
        "acme contractor",
        ["chat"],
        {"tenant": "acme", "budget": 0.000_1, "period": 86_400.0},
    ),
    "operator": ("operator", ["admin", "metrics", "chat", "feedback"], {}),
    "acme viewer": ("acme dashboard", ["view"], {"tenant": "acme"}),
    "globex viewer": ("globex dashboard", ["view"], {"tenant": "globex"}),
    "viewer": ("wall display", ["view"], {}),
}
"""Keys by the name that the tests use: their own name, their scopes and their limits."""
LIVE_REQUESTS = 32
BEFORE = {}
AT_START = {"steady": PRICE_CUT}
NOW = {**AT_START, "summit": 1.25}
"""Factors of output prices: in the past, when the gateway starts, and once it has run a while."""
ECONOMY_BUDGET = 0.1
"""USD a day; more than the cheapest mix that keeps the floor costs."""
_OLD_PROMPTS = 7000
"""Prompts from here on are sent while the gateway runs."""


def configuration(provider, factors, **changed):
    """Text of the configuration; ``factors`` are those of output prices, by model."""
    models = [
        {
            "name": model.name,
            "endpoint": f"{provider}/v1",
            "input_price": model.input_price,
            "output_price": round(model.output_price * factors.get(model.name, 1.0), 6),
            "cached_input_price": model.input_price / 10,
            "capabilities": ["tools", "json"],
            "max_output_tokens": 2000,
            "retries": 0,
        }
        for model in ZOO.models
    ]
    day = "1d"
    slas = [
        {
            "name": "gold",
            "floor": 0.85,
            "guarded": True,
            "per_tenant": True,
            "ttft": {"p50": "500ms", "p95": "1s"},
        },
        {"name": "silver", "floor": 0.7},
        {"name": "economy", "floor": 0.6, "budget": {"total": ECONOMY_BUDGET, "period": day}},
        {"name": "trial", "floor": 0.5, "budget": {"total": 0.000_01, "period": day}},
    ]
    written = {
        "models": models,
        "slas": slas,
        "auth": "keys",
        "store": {"url": "sqlite:///log.db", "store_prompts": True},
        "dashboard": {"playground": True},
        **changed,
    }
    return json.dumps(written)


class Scene:
    """The provider, the gateway before it, its keys, and clients that use them.

    Attributes
    ----------
    url
        Address of the gateway.
    secrets, keys
        Secrets of the keys, and the keys, by the names of ``KEYS``.
    decisions
        Ids of the decisions made while the gateway runs, by the name of the key.
    """

    def __init__(self, folder, **changed):
        self.folder = folder
        self.provider = ScriptedProvider()
        self._served = InThread(http_server(self.provider.app))
        self._changed = changed
        self.store_url = f"sqlite:///{folder}/log.db"
        self.serving = Serving(folder, self._configuration(AT_START))
        self.secrets, self.keys, self.decisions = {}, {}, {}
        self._make_keys()
        owners = [
            ("acme", self.keys["acme"].id, "gold"),
            ("globex", self.keys["globex"].id, "gold"),
            ("", self.keys["shared"].id, "silver"),
            ("acme", self.keys["acme"].id, "silver"),
            ("", self.keys["shared"].id, "economy"),
        ]
        write_past(self._configuration(BEFORE), folder, owners, time.time() - 60.0)
        self.serving.start()
        self.url = self.serving.url
        self.http = httpx.Client(base_url=self.url, timeout=60, verify=NO_AUTHORITIES)

    def _make_keys(self):
        store = SqlStore(self.store_url)
        try:
            for name, (shown, scopes, limits) in KEYS.items():
                self.keys[name], self.secrets[name] = store.keys.create(shown, scopes, **limits)
            store.keys.revoke(store.keys.create("old laptop", ["chat"])[0].id)
        finally:
            store.close()

    def create_key(self, name, scopes, **limits):
        """Create a key while the gateway runs, which knows it within two seconds."""
        return self._with_keys(lambda keys: keys.create(name, scopes, **limits))

    def revoke(self, id):
        """Revoke a key while the gateway runs."""
        self._with_keys(lambda keys: keys.revoke(id))

    def headers(self, key):
        return {"authorization": f"Bearer {self.secrets[key]}"}

    def chat(self, key, text, model="floorline/gold", *, session="", before=(), **fields):
        """Send a request with a key; the answer."""
        headers = self.headers(key) | ({"x-floorline-session": session} if session else {})
        messages = [*before, {"role": "user", "content": text}]
        answer = self.http.post(
            "/v1/chat/completions",
            headers=headers,
            json={"model": model, "messages": messages, "max_tokens": 500, **fields},
        )
        decision = answer.headers.get("x-floorline-decision")
        if decision is not None:
            self.decisions.setdefault(key, []).append(decision)
        return answer

    def judge(self, key, answer, text):
        """Send what the user of an answer thinks of it."""
        decision, model = (answer.headers[f"x-floorline-{name}"] for name in ("decision", "model"))
        satisfied = DRAWN.answer(text, model).satisfied
        body = {"decision": decision, "satisfied": satisfied}
        judged = self.http.post("/v1/feedback", headers=self.headers(key), json=body)
        assert judged.status_code == 200, judged.text

    def api(self, path, key="operator"):
        """What the gateway says at a path, decoded."""
        answer = self.http.get(path, headers=self.headers(key))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def live(self):
        """Traffic while the gateway runs: labels, sessions, fallbacks, refusals, a new price."""
        texts = iter(ZOO.prompts[_OLD_PROMPTS:])
        senders = [
            ("acme", "gold"),
            ("globex", "gold"),
            ("shared", "silver"),
            ("shared", "economy"),
        ]
        jobs = [(*senders[n % 4], next(texts), n) for n in range(LIVE_REQUESTS)]
        self.provider.failing.add("relay")
        for _ in range(3):
            assert self.chat("shared", next(texts), "relay").status_code >= 500
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._live_request, jobs))
        self.provider.failing.clear()
        self._conversation("acme", [next(texts) for _ in range(3)])
        self._conversation("globex", [next(texts) for _ in range(3)])
        assert self.chat("contractor", next(texts)).status_code == 429
        assert self.chat("shared", next(texts), "floorline/trial").status_code == 429
        self.change(NOW)

    def change(self, factors, **changed):
        """Write a new configuration and wait until it is in force."""
        before = self._reloads()
        self.serving.path.write_text(self._configuration(factors, **changed))
        deadline = time.monotonic() + 60
        while self._reloads() == before:
            assert time.monotonic() < deadline, self.serving.said.read_text()
            time.sleep(0.05)

    def stop(self):
        self.http.close()
        self.serving.stop()
        self._served.stop()

    def _configuration(self, factors, **changed):
        return configuration(self._served.value, factors, **self._changed | changed)

    def _reloads(self):
        text = self.http.get("/metrics", headers=self.headers("operator")).text
        return next(
            line for line in text.splitlines() if line.startswith("floorline_config_reloads_total")
        )

    def _live_request(self, job):
        key, sla, text, number = job
        answer = self.chat(key, text, f"floorline/{sla}", stream=number % 3 == 0)
        assert answer.status_code == 200, answer.text
        if number % 2:
            self.judge(key, answer, text)

    def _conversation(self, key, texts):
        messages = []
        for text in texts:
            answer = self.chat(key, text, session=f"{key}-support-7", before=messages)
            assert answer.status_code == 200, answer.text
            said = answer.json()["choices"][0]["message"]
            messages += [{"role": "user", "content": text}, said]
            self.judge(key, answer, text)

    def _with_keys(self, act):
        # Only the gateway has the log open; keys are written beside it, as 'floorline keys' does.
        engine = open_engine(self.store_url)
        try:
            return act(KeyStore(engine))
        finally:
            engine.dispose()
