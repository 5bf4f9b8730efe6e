"""Send mutated requests to every endpoint of a gateway, with a key that may do everything.

Run ``python benchmarks/attack_fuzz.py``; 50,000 requests take about two minutes. The gateway is a
real ``floorline serve`` process in front of a fake provider. It must answer no request by a 5xx of
its own, stay alive, and serve an honest request at the end.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

import httpx2 as httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.fuzzing import fuzz
from tests.support.live_gateway import ZOO, InThread, http_server, write_settings
from tests.support.serving import Serving

from floorline.demo.fake_provider import FakeProvider
from floorline.stores.sql import SqlStore

_MOST_MEMORY = 150
"""MiB by which the resident set may grow: decisions, sessions and metrics fill their bounds."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    provider = InThread(http_server(FakeProvider(ZOO).app()))
    with tempfile.TemporaryDirectory() as folder:
        slas = [
            {"name": "gold", "floor": 0.85, "models": ["sim-nano", "sim-medium", "sim-titan"]},
            {"name": "silver", "floor": 0.6},
        ]
        allowed = {"endpoints": [{"url": provider.value}]}
        text = write_settings(provider.value, auth="keys", slas=slas, runtime_models=allowed)
        store = SqlStore(f"sqlite:///{folder}/log.db")
        secret = store.keys.create("admin", ["chat", "feedback", "admin"])[1]
        store.close()
        serving = Serving(folder, text).start()
        try:
            with httpx.Client(base_url=serving.url, timeout=30) as honest:
                honest.headers["authorization"] = f"Bearer {secret}"
                ask(honest)
                before = serving.memory()
                begun = time.monotonic()
                found = asyncio.run(
                    fuzz(
                        serving.url,
                        secret,
                        provider.value,
                        given.requests,
                        seed=given.seed,
                        clients=given.clients,
                    )
                )
                seconds = time.monotonic() - begun
                ask(honest)
            report(found, seconds, before, serving)
            assert serving.stop() == 0, "the gateway did not stop cleanly"
        finally:
            serving.kill()
    provider.stop()


def ask(http):
    """Ask for a chat, which must be answered."""
    body = {"model": "floorline/gold", "messages": [{"role": "user", "content": "Why?"}]}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, (answer.status_code, answer.text)


def report(found, seconds, before, serving):
    """Print what came of it, and fail if it was wrong."""
    memory = serving.memory()
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(found.statuses.items()))
    print(f"{found.requests:,} requests in {seconds:.0f} s; answers by status: {statuses}")
    print(
        f"{found.reached:,} ({found.reached / found.requests:.0%}) reached their endpoint; "
        f"{found.upstream:,} answers of 5xx say that a provider failed; "
        f"RSS {before:.0f} -> {memory:.0f} MiB"
    )
    for failure in found.failures[:10]:
        print("FAILURE", failure)
    assert not found.failures, f"{len(found.failures)} failures"
    assert found.reached >= found.requests / 2
    assert memory - before < _MOST_MEMORY
    assert "Traceback" not in serving.said.read_text(), serving.said.read_text()[-3000:]


if __name__ == "__main__":
    main()
