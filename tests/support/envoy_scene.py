"""Envoy with the example's configuration, before `floorline serve` and a provider of two models."""

import json
import os
import subprocess
from pathlib import Path

import httpx2 as httpx
import yaml

from floorline.events import Decision, Feedback, Outcome
from tests.support.live_gateway import wait_until
from tests.support.scripted_server import ScriptedServer
from tests.support.serving import Serving

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deploy" / "envoy" / "envoy.yaml"
NAMES = {"small": "llama3.2:3b", "medium": "llama3.1:8b", "large": "gpt-4o"}
"""What the providers of the example call its models."""
PRICES = {"small": (0.1, 0.4), "medium": (0.5, 2.0), "large": (2.0, 8.0)}
KEYS = {"LOCAL_KEY": "sk-local", "OPENAI_API_KEY": "sk-openai"}
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 4},
}
_PATIENCE = 120.0
"""Longest time for Envoy to start."""


def clusters(config):
    return {cluster["name"]: cluster for cluster in config["static_resources"]["clusters"]}


def routes(config):
    (listener,) = config["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return manager["route_config"]["virtual_hosts"][0]["routes"]


def filters(config):
    (listener,) = config["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return {one["name"].rpartition(".")[2]: one["typed_config"] for one in manager["http_filters"]}


def place(config, ports):
    """Let the example listen on any port, and have its clusters on ports of this machine."""
    (listener,) = config["static_resources"]["listeners"]
    listener["address"]["socket_address"]["port_value"] = 0
    for name, port in ports.items():
        cluster = clusters(config)[name]
        cluster.pop("transport_socket", None)
        (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        address = endpoint["endpoint"]["address"]["socket_address"]
        address["address"], address["port_value"] = "127.0.0.1", port
    filters(config)["lua"]["default_source_code"]["filename"] = str(
        EXAMPLE.parent / "floorline.lua"
    )
    config["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
    return config


class Envoy:
    """A process of Envoy that listens at ``url``."""

    def __init__(self, program, config, folder):
        path, admin = folder / "envoy.yaml", folder / "admin.txt"
        path.write_text(yaml.safe_dump(config))
        self._log = folder / "envoy.log"
        command = [program, "-c", path, "--admin-address-path", admin, "--use-dynamic-base-id"]
        command += ["--concurrency", "1", "-l", "warning"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=os.environ | KEYS, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            wait_until(lambda: self._is_up(admin), _PATIENCE)
            given = httpx.get(f"http://{admin.read_text()}/listeners?format=json").json()
            address = given["listener_statuses"][0]["local_address"]["socket_address"]
            self.url = f"http://127.0.0.1:{address['port_value']}"
        except BaseException:
            self.stop()
            raise

    def _is_up(self, admin):
        assert self._process.poll() is None, self._log.read_text()
        if not admin.exists() or not admin.read_text():
            return False
        try:
            return httpx.get(f"http://{admin.read_text()}/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def log(self):
        return self._log.read_text()

    def stop(self):
        self._process.kill()
        self._process.wait()


class EnvoyScene:
    """A provider, a gateway with keys, and Envoy before both.

    Parameters
    ----------
    program
        The program of Envoy.
    folder
        Where the files are.
    change
        Changes the example's configuration before Envoy starts; None for nothing.
    """

    def __init__(self, program, folder, change=None):
        self.answer = whole
        self.provider = ScriptedServer(lambda path, body: self.answer(path, body))
        self.provider.__enter__()
        models = [
            {
                "name": name,
                "endpoint": f"{self.provider.url}/v1",
                "input_price": given,
                "output_price": answered,
                "context_window": 100_000,
                "capabilities": ["tools"],
            }
            for name, (given, answered) in PRICES.items()
        ]
        settings = {
            "models": models,
            "slas": [
                {"name": "gold", "floor": 0.8},
                {"name": "small-only", "floor": 0.5, "models": ["small"]},
                {"name": "poor", "floor": 0.8, "budget": {"total": 1e-9, "period": "1d"}},
            ],
            "auth": "keys",
            "store": {"url": f"sqlite:///{folder}/log.db"},
        }
        self.serving = Serving(folder, json.dumps(settings))
        self.key = self.serving.create_key("envoy")
        self.serving.start()
        ports = dict.fromkeys(["local", "openai"], int(self.provider.url.rpartition(":")[2]))
        config = place(
            yaml.safe_load(EXAMPLE.read_text()), {"floorline": self.serving.port, **ports}
        )
        if change is not None:
            change(config)
        self.envoy = Envoy(program, config, folder)
        self.http = httpx.Client(
            base_url=self.envoy.url, timeout=120, headers={"authorization": f"Bearer {self.key}"}
        )

    def chat(self, model="floorline/gold", headers=None, **fields):
        body = {"model": model, "messages": [{"role": "user", "content": "Why?"}], **fields}
        return self.http.post("/v1/chat/completions", json=body, headers=headers)

    def events(self, kind):
        return [event for _, event in self.serving.log() if isinstance(event, kind)]

    def decisions(self):
        return self.events(Decision)

    def outcomes(self, count):
        """Outcomes, once there are so many."""
        wait_until(lambda: len(self.events(Outcome)) >= count)
        return self.events(Outcome)

    def feedback(self):
        return self.events(Feedback)

    def stop(self):
        self.http.close()
        self.envoy.stop()
        self.serving.kill()
        self.provider.__exit__()


def whole(path, body, id="chatcmpl-1"):
    """An answer in one piece, as OpenAI gives it."""
    message = {"role": "assistant", "content": 'It says "usage": {"prompt_tokens": 99}.'}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    about = {"id": id, "object": "chat.completion", "model": body["model"], "choices": [choice]}
    return 200, "application/json", [json.dumps({**about, "usage": USAGE}).encode()]


def chunk(text=None, **about):
    """One event of a stream."""
    choices = [] if text is None else [{"index": 0, "delta": {"content": text}}]
    data = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "choices": choices, **about}
    return b"data: " + json.dumps(data).encode() + b"\n\n"
