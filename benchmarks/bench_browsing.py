"""Time of the searches that the dashboard makes in a log of a million events.

Run ``python benchmarks/bench_browsing.py [URL]``; by default a new SQLite file is filled, which
takes a minute. Target: no search takes more than 2.5 s, and none on an index more than 50 ms.
"""

import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from bench_store import decisions as made_decisions
from floorline.events import Feedback, Outcome, SlaChange
from floorline.sla import SLA
from floorline.stores import open_store
from floorline.stores.browsing import LogBrowser, Wanted

REQUESTS = 400_000
"""With an outcome each and a label for half of them: a million events."""
PER_SECOND = 5.0
"""Requests per second of the log, which so has 22 hours."""
REPEATS = 5


def fill(store):
    """Append a million events: 40 keys of 20 tenants, one key that is rare, sessions of 8 turns."""
    made = made_decisions(20)
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 40, REQUESTS).tolist()
    for number in range(REQUESTS):
        at = 1e9 + number / PER_SECOND
        key = "rare" if number in (1000, 2000) else f"k{keys[number]}"
        tenant = "" if key == "rare" else f"tenant-{keys[number] // 2}"
        one = msgspec.structs.replace(
            made[number % len(made)],
            id=f"d{number}",
            seq=number + 1,
            at=at,
            key=key,
            tenant=tenant,
            session=f"s{number // 8}",
        )
        store.append(one)
        owner = {"tenant": tenant, "key": "" if tenant else key}
        about = {"completion": f"chatcmpl-{number}", "latency": 0.5, "output_tokens": 100, **owner}
        store.append(Outcome(decision=one.id, model=one.model, cost=0.01, at=at, **about))
        if number % 2:
            store.append(Feedback(decision=one.id, model=one.model, score=1.0, at=at))
        if number % 4000 == 0:
            store.append(SlaChange(sla=SLA("gold", floor=0.8), at=at))
        if number % 5000 == 0:
            store.flush(timeout=60.0)
    store.flush(timeout=60.0)
    if store.engine.dialect.name == "postgresql":
        with store.engine.begin() as connection:
            # Autovacuum does so within a minute.
            connection.exec_driver_sql("ANALYZE")


def searches(browser):
    """Name and function of each search."""
    end = 1e9 + REQUESTS / PER_SECOND
    some = browser.decisions(Wanted(), most=50).decisions
    return {
        "latest decisions": lambda: browser.decisions(Wanted()),
        "a page in the middle": lambda: browser.decisions(Wanted(), before=500_000),
        "of an SLA that nothing uses": lambda: browser.decisions(Wanted(sla="none")),
        "of a model that never served": lambda: browser.decisions(Wanted(model="none")),
        "of a rare key": lambda: browser.decisions(Wanted(key="rare")),
        "of a frequent key": lambda: browser.decisions(Wanted(key="k3")),
        "of a tenant by its keys": lambda: browser.decisions(
            Wanted(tenant="tenant-1", keys=("k2", "k3"))
        ),
        "of a tenant of unknown keys": lambda: browser.decisions(Wanted(tenant="none")),
        "since an hour": lambda: browser.decisions(Wanted(since=end - 3600.0)),
        "by a decision's id": lambda: browser.named("d1234", Wanted()),
        "by a completion's id": lambda: browser.named("chatcmpl-1234", Wanted()),
        "by a session": lambda: browser.named("s1234", Wanted(tenant="tenant-3")),
        "turns of a session": lambda: browser.session("s1234", Wanted()),
        "what became of 50": lambda: browser.calls([decision for _, decision in some]),
        "changes": browser.changes,
        "uses of 40 keys": lambda: browser.uses([f"k{key}" for key in range(40)], end - 3600.0),
        "sessions of 2,000 decisions": lambda: browser.decisions(Wanted(), most=2000),
    }


def main():
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'log.db'}"
        store = open_store(url, max_pending=100_000, patience=120.0)
        if not len(store):
            fill(store)
        console.print(f"{len(store):,} events, {store.engine.dialect.name}")
        table = Table("search", "found", "median ms", "longest ms")
        for name, search in searches(LogBrowser(store)).items():
            times = []
            for _ in range(REPEATS):
                began = time.perf_counter()
                result = search()
                times.append(1000 * (time.perf_counter() - began))
            found = getattr(result, "decisions", result)
            table.add_row(name, str(len(found)), f"{np.median(times):.1f}", f"{max(times):.1f}")
        console.print(table)
        store.close()


if __name__ == "__main__":
    main()
