"""Throughput, latency and processor time of real replicas in a closed loop, setting by setting.

The provider is ``gateway_mock.py``, which answers at once, and the users are ``gateway_load.py``:
32 connections through the balancer, each of which sends the next request when its answer is
complete, then one alone for the latency without a queue. All settings run in turn, several times.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from gateway_process import ask, cpu_seconds, free_port, running, wait_for
from replica_cluster import cluster
from replica_world import GOLD, Setting, World
from sheet import Sheet

REPLICAS = (0, 1, 2, 4)
"""Numbers of replicas; 0 is a server with ``replicas.enabled: false``."""
CONNECTIONS, WARM_UP = 32, 1.5
ALONE_SECONDS = 3.0
HERE, PROMPTS = Path(__file__).parent, 1000


def rounds(number, seconds):
    """Return the cells of several rounds, as JSON can keep them; print each."""
    world = World(Setting(PROMPTS / 10.0, 10.0, {GOLD: 1.0}), seed=0)
    cells = []
    for _ in range(number):
        for replicas in REPLICAS:
            cells.append(asyncio.run(_cell(world, replicas, seconds)))
            print(json.dumps(cells[-1]), flush=True)
    return cells


async def _cell(world, replicas, seconds):
    upstream = free_port()
    with tempfile.TemporaryDirectory(prefix="mock-") as folder:
        command = [sys.executable, str(HERE / "gateway_mock.py"), str(upstream)]
        log = Path(folder) / "mock.log"
        with running(command, os.sched_getaffinity(0), log) as mock:
            wait_for(mock, log, partial(_served, upstream), 30.0)
            async with cluster(world, f"http://127.0.0.1:{upstream}", replicas) as servers:
                loaded = await _loaded(world, servers, mock, upstream, CONNECTIONS, seconds)
                alone = await _loaded(world, servers, mock, upstream, 1, ALONE_SECONDS)
    names = ("p50", "p95", "p99")
    return {
        "replicas": replicas,
        **loaded,
        **{f"alone {name}": alone[name] for name in names},
    }


def _served(port):
    """Number of requests that the provider got, plus one; 0 if it does not answer."""
    status, text = ask(port, "GET", "/stats")
    return json.loads(text)["requests"] + 1 if status == 200 else 0


async def _loaded(world, servers, mock, upstream, connections, seconds):
    """Return requests a second, percentiles in ms and µs of CPU a request by part."""
    bodies = [
        json.dumps({"model": f"floorline/{GOLD}", "messages": [{"role": "user", "content": text}]})
        for text in world.table.prompts
    ]
    plan = {
        "port": servers.port,
        "path": "/v1/chat/completions",
        "headers": {},
        "bodies": bodies,
        "concurrency": connections,
        "seconds": seconds,
        "warm_up": WARM_UP,
        "stream": False,
    }
    before, count = servers.cpu() | {"provider": cpu_seconds(mock.pid)}, _served(upstream)
    load = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "gateway_load.py"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await load.communicate(json.dumps(plan).encode())
    found = json.loads(said)
    after = servers.cpu() | {"provider": cpu_seconds(mock.pid)}
    count = _served(upstream) - count
    if found["failed"]:
        raise SystemExit(f"{found['failed']} requests failed: {found['errors']}")
    used = {name: 1e6 * (after[name] - before[name]) / count for name in after}
    used["users"] = 1e6 * found["cpu"] / count
    percentiles = 1e3 * np.percentile(found["times"], (50, 95, 99))
    return {
        "per second": len(found["times"]) / seconds,
        **dict(zip(("p50", "p95", "p99"), percentiles.tolist(), strict=True)),
        "cpu": used,
        "at": time.time(),
    }


def tables(cells, machine):
    """Return the table of throughput and the one of processor time."""
    rows, parts = [], []
    for replicas in sorted({cell["replicas"] for cell in cells}):
        mine = [cell for cell in cells if cell["replicas"] == replicas]
        name = f"{replicas}" if replicas else "one server, replicas.enabled: false"
        rates = np.array([cell["per second"] for cell in mine])
        names = ("p50", "p95", "p99", "alone p50", "alone p95", "alone p99")
        times = [f"{np.median([cell[key] for cell in mine]):,.1f}" for key in names]
        span = f"{np.median(rates):,.0f} ({rates.min():,.0f} to {rates.max():,.0f})"
        rows.append([name, span, *times])
        keys = ("servers", "learner", "PostgreSQL", "balancer", "provider", "users")
        used = [float(np.median([cell["cpu"][key] for cell in mine])) for key in keys]
        per_core = 1e6 / used[0] * max(1, replicas)
        parts.append([name, *(f"{u:,.0f}" for u in used), f"{sum(used):,.0f}", f"{per_core:,.0f}"])
    count = len({cell["at"] for cell in cells}) // len(rows)
    return [
        Sheet(
            f"Throughput of {CONNECTIONS} connections in a closed loop, {count} rounds on "
            f"{machine}, all processes on it: median (least to most), latency in ms, then latency "
            "of one connection alone",
            ["replicas", "requests a second", "p50", "p95", "p99", "alone: p50", "p95", "p99"],
            rows,
        ),
        Sheet(
            "Processor time of a request by part in µs, and what the servers alone would allow if "
            "each had a core of its own",
            [
                *("replicas", "servers", "learner", "PostgreSQL", "balancer", "provider"),
                *("users", "together", "requests a second with a core for each server"),
            ],
            parts,
        ),
    ]
