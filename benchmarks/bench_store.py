"""Rate and delay of the durable store, and the effect of omitting zero bytes from decisions.

Run ``python benchmarks/bench_store.py``. Targets: ``append``, which serialises the event, takes at
most 15 µs. A server with 1,500 decisions and 1,500 outcomes per second uses at most a tenth of a
core for storing them.
"""

import asyncio
import os
import resource
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from floorline import SLA, Model, Router, Zoo
from floorline.events import Outcome, encode_event
from floorline.stores import open_store
from floorline.stores.packing import drop_zeros, restore_zeros

WORDS = ["explain", "how", "the", "river", "solves", "an", "equation", "of", "state", "why", "does"]
EVENTS = 20_000


def decisions(words, count=200):
    rng = np.random.default_rng(1)
    zoo = Zoo([Model(f"model-{m}", call_price=1.0 + m) for m in range(5)])
    router = Router(zoo, "mess_plus", [SLA("gold", floor=0.8)], seed=1)
    return [router.route(" ".join(rng.choice(WORDS, size=words)), at=1e9) for _ in range(count)]


def each(call, items):
    """Return the time per item in µs and the results of the calls."""
    started = time.perf_counter()
    results = [call(item) for item in items]
    return (time.perf_counter() - started) / len(items) * 1e6, results


def sizes(console):
    table = Table(
        "words", "encode", "drop zeros", "restore", "zlib −1", "bytes", "no zeros", "zlib −1",
        title="A decision with 1,024 features: µs, then bytes",
    )  # fmt: skip
    for words in (5, 20, 200):
        encode, bodies = each(encode_event, decisions(words))
        drop, packed = each(drop_zeros, bodies)
        restore, _ = each(restore_zeros, packed)
        compress, compressed = each(lambda body: zlib.compress(body, 1), bodies)
        groups = (bodies, packed, compressed)
        means = [f"{np.mean([len(body) for body in group]):,.0f}" for group in groups]
        times = [f"{value:.1f}" for value in (encode, drop, restore, compress)]
        table.add_row(str(words), *times, *means)
    console.print(table)


def throughput(folder, made):
    """Append without pauses; return committed events/s, µs per append, CPU µs, bytes per event."""
    store = open_store(f"sqlite:///{folder / 'fast.db'}", max_pending=2 * EVENTS)
    outcome = Outcome(decision="d1", model="model-1", cost=0.01, completion="chatcmpl-1")
    cpu = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    started = time.perf_counter()
    for step in range(EVENTS // 2):
        store.append(made[step % len(made)])
        store.append(outcome)
    appended = time.perf_counter() - started
    store.flush(timeout=60.0)
    elapsed = time.perf_counter() - started
    cpu = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - cpu
    store.close()
    size = (folder / "fast.db").stat().st_size / EVENTS
    return EVENTS / elapsed, appended / EVENTS * 1e6, cpu / EVENTS * 1e6, size


async def serve(store, made, clients, seconds=3.0):
    """Run clients that append a decision, wait 5 ms, append an outcome and await its commit."""
    waits, until = [], time.perf_counter() + seconds

    async def client(number):
        step = 0
        while time.perf_counter() < until:
            decision = made[(step * clients + number) % len(made)]
            store.append(decision)
            await asyncio.sleep(0.005)
            store.append(Outcome(decision=decision.id, model=decision.model, cost=0.01))
            before = time.perf_counter()
            await store.committed()
            waits.append(time.perf_counter() - before)
            step += 1

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client(number) for number in range(clients)))
    elapsed = time.perf_counter() - started
    busy = (time.process_time() - cpu) / elapsed
    return len(waits) / elapsed, *(np.percentile(waits, q) * 1e3 for q in (50, 99)), busy


def main():
    console = Console(width=110)
    sizes(console)
    made = decisions(20)
    with tempfile.TemporaryDirectory(dir=os.environ.get("FLOORLINE_BENCH_DIR")) as name:
        folder = Path(name)
        rate, append, cpu, size = throughput(folder, made)
        console.print(
            f"SQLite without pauses: {rate:,.0f} events/s committed, append {append:.1f} µs, "
            f"CPU {cpu:.1f} µs and {size:,.0f} bytes per event"
        )
        table = Table(
            "clients", "requests/s", "wait p50", "wait p99", "CPU",
            title="Two events per request, the second one is awaited: ms, then share of a core",
        )  # fmt: skip
        for clients in (1, 8, 32):
            store = open_store(f"sqlite:///{folder / f'served-{clients}.db'}")
            row = asyncio.run(serve(store, made, clients))
            store.close()
            formats = (",.0f", ".2f", ".2f", ".0%")
            table.add_row(str(clients), *(format(v, f) for v, f in zip(row, formats, strict=True)))
        console.print(table)


if __name__ == "__main__":
    main()
