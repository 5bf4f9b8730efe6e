"""Latency and throughput of Floorline, LiteLLM's proxy and Portkey's gateway with the same mock.

``python benchmarks/gateway.py [--out FOLDER] [--rounds 5] [--seconds 4] [--skip litellm]``

In every round the mock itself and then each gateway is started, called at 1, 8 and 32 connections
with and without streaming, and stopped. Tables contain medians over rounds. The server has one core
of its own; load and mock share another one. So the machine should be idle and have at least two
cores. Linux only. docs/benchmarks-gateway.md explains the numbers.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from floorline.datasets.simulated_prompts import make_prompts
from gateway_contenders import CHAT, chosen, default_cache
from gateway_mock import WORDS
from gateway_process import (
    DidNotStart,
    ask,
    cpu_seconds,
    free_port,
    peak_memory,
    pinned,
    running,
    wait_for,
)
from gateway_tables import markdown

HERE = Path(__file__).parent
CONCURRENCIES = (1, 8, 32)
PROMPTS = 256
WARM_UP = 0.5
"""Seconds of load before each measurement."""
FIRST_WARM_UP = 1.5
"""Seconds of load before the first measurement of a server."""
START_TIMEOUT = 90.0
"""Seconds within which a server must answer."""


def bodies(model, stream):
    """Return request bodies with different texts."""
    extra = {"stream": True} if stream else {}
    return [
        json.dumps({"model": model, "messages": [{"role": "user", "content": text}]} | extra)
        for text in make_prompts(PROMPTS, seed=0).texts
    ]


def cell(contender, port, *, concurrency, stream, seconds, core):
    """Load a server for some seconds; return the metrics."""
    plan = {
        "port": port,
        "path": CHAT,
        "headers": dict(contender.headers),
        "bodies": bodies(contender.model, stream),
        "concurrency": concurrency,
        "seconds": seconds,
        "warm_up": WARM_UP,
        "stream": stream,
    }
    done = subprocess.run(
        pinned([sys.executable, str(HERE / "gateway_load.py")], [core]),
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        timeout=seconds + 120,
        check=True,
    )
    measured = json.loads(done.stdout)
    times, first = (np.array(measured[key]) * 1e3 for key in ("times", "first"))
    return {
        "concurrency": concurrency,
        "stream": stream,
        "requests": len(times),
        "per_second": len(times) / seconds,
        **_percentiles("ms", times),
        **_percentiles("ttfb", first),
        "failed": measured["failed"],
        "errors": measured["errors"],
        "load_cpu": measured["cpu"] / (seconds + WARM_UP),
    }


def _percentiles(name, values):
    points = np.percentile(values, (50, 95, 99)) if len(values) else [float("nan")] * 3
    return {f"{name}_p{q}": float(v) for q, v in zip((50, 95, 99), points, strict=True)}


def cells(contender, port, pid, seconds, core):
    """Measure all cells of one visit; processor time per request is that of the whole server."""
    for stream in (False, True):
        cell(contender, port, concurrency=8, stream=stream, seconds=FIRST_WARM_UP, core=core)
    found = []
    for concurrency in CONCURRENCIES:
        for stream in (False, True):
            before = cpu_seconds(pid)
            one = cell(
                contender,
                port,
                concurrency=concurrency,
                stream=stream,
                seconds=seconds,
                core=core,
            )
            # The processor time includes that of the warm-up, so its requests are counted too.
            answered = max(1.0, one["per_second"] * (seconds + WARM_UP))
            one["cpu_us"] = (cpu_seconds(pid) - before) / answered * 1e6
            found.append(one)
    return found


def visit(contender, seconds, server_core, load_core):
    """Start a contender, measure all its cells, stop it and count the connections left open."""
    with tempfile.TemporaryDirectory(prefix="floorline-bench-") as name:
        folder = Path(name)
        direct = not hasattr(contender, "command")
        upstream = free_port()
        mock = [sys.executable, str(HERE / "gateway_mock.py"), str(upstream)]
        with running(mock, [server_core if direct else load_core], folder / "mock.log") as provider:
            wait_for(provider, folder / "mock.log", partial(_stats, upstream), 10.0)
            if direct:
                found = {"cells": cells(contender, upstream, provider.pid, seconds, load_core)}
            else:
                found = _through(contender, folder, upstream, seconds, server_core, load_core)
            return found | {"left_open": _left_open(upstream)}


def _through(contender, folder, upstream, seconds, server_core, load_core):
    port = free_port()
    argv, environment = contender.command(folder, port, f"http://127.0.0.1:{upstream}")
    log = folder / "server.log"
    started = time.perf_counter()
    with running(argv, [server_core], log, cwd=folder, environment=environment) as server:
        wait_for(server, log, partial(_answers, contender, port), START_TIMEOUT)
        first = time.perf_counter() - started
        measured = cells(contender, port, server.pid, seconds, load_core)
        memory = peak_memory(server.pid)
    return {"start_s": first, "memory_mib": memory, "cells": measured}


def _answers(contender, port):
    headers = {"content-type": "application/json", **contender.headers}
    body = bodies(contender.model, stream=False)[0]
    status, answer = ask(port, "POST", CHAT, body=body, headers=headers)
    return status == 200 and WORDS[-1].strip().encode() in answer


def _stats(port):
    status, answer = ask(port, "GET", "/stats")
    return json.loads(answer) if status == 200 else None


def _left_open(port):
    """Return the number of connections to the mock that stay open for 5 seconds."""
    for _ in range(50):
        # One of them is that of this query.
        still_open = _stats(port)["open"] - 1
        if not still_open:
            break
        time.sleep(0.1)
    return still_open


def measure(contenders, rounds, seconds, server_core, load_core):
    """Visit all contenders in every round."""
    visits = []
    for number in range(rounds):
        for contender in contenders:
            one = {"round": number, "contender": contender.name, "label": contender.label}
            try:
                one |= visit(contender, seconds, server_core, load_core)
            except DidNotStart as error:
                one["error"] = str(error)
            visits.append(one)
            rate = max((c["per_second"] for c in one.get("cells", ())), default=0.0)
            result = one.get("error", f"up to {rate:,.0f} requests per second")
            print(f"round {number + 1}, {contender.label}: {result}", file=sys.stderr, flush=True)
    return visits


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each cell")
    parser.add_argument("--skip", action="append", default=[], metavar="NAME")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="for peers' packages")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    server_core, load_core = cores[0], cores[-1]
    result = {
        "machine": {
            "cores": len(cores),
            "python": platform.python_version(),
            "load_before": os.getloadavg()[0],
        },
        "settings": {"rounds": given.rounds, "seconds": given.seconds},
        "visits": measure(
            chosen(given.skip, given.cache.absolute()),
            given.rounds,
            given.seconds,
            server_core,
            load_core,
        ),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "gateway.json").write_text(json.dumps(result, indent=1) + "\n")
    text = markdown(result)
    (given.out / "gateway.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
