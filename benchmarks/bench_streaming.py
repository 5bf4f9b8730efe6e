"""Peak memory and speed of what-if and of retraining on logs of several lengths.

    python benchmarks/bench_streaming.py --events 100000 1000000
    python benchmarks/bench_streaming.py --events 10000000 --folder /var/tmp/logs

makes a log in SQLite for each length (kept in ``--folder``, and not made again), and measures in a
process of its own each:

- what-if: ``floorline whatif --policy cheapest``, two passes over the log and the estimates;
- retraining: the policy ``port`` learns the labels of its log, as a server with ``history: log``
  does at its start.

Peak memory is the most resident memory of the process (VmHWM). Compare it between lengths: it must
not grow with the log. Of the events, 45 % are decisions with the features of the default encoder,
45 % outcomes and 10 % labels; prompts have 20 words.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from floorline import SLA, Model, Router, Zoo
from floorline.events import Decision, Feedback, Outcome
from floorline.gateway.warm_start import warm_start
from floorline.stores import open_store
from floorline.stores.open_store import open_read_only
from floorline.stores.reading import LogReader

WORDS = ["explain", "how", "the", "river", "solves", "an", "equation", "of", "state", "why", "does"]
ZOO = Zoo([Model(f"model-{m}", call_price=1.0 + 4.0 * m) for m in range(4)])
QUALITY = 0.5, 0.6, 0.8, 0.9
SLAS = [SLA("gold", floor=0.8)]
TEMPLATES = 500
LABELLED = 2 / 9
"""Share of the decisions with a label."""


def write_log(path, count):
    """Write a log of ``count`` events: requests of a random policy, their outcomes and labels."""
    rng = np.random.default_rng(1)
    router = Router(ZOO, "random", SLAS, seed=1)
    made = [router.route(" ".join(rng.choice(WORDS, size=20)), at=1e9) for _ in range(TEMPLATES)]
    store = open_store(f"sqlite:///{path}", max_pending=50_000)
    written = number = 0
    while written < count:
        decision: Decision = made[number % TEMPLATES]
        at, id, index = 1e9 + number, f"d{number:x}", int(rng.integers(len(ZOO)))
        model = ZOO.names[index]
        cost = float(decision.cost_estimates[index]) * (0.5 + rng.random())
        events = [
            msgspec.structs.replace(
                decision, id=id, seq=number, model=model, called=(model,), index=index, at=at
            ),
            Outcome(decision=id, model=model, cost=cost, at=at),
        ]
        if rng.random() < LABELLED:
            score = float(rng.random() < QUALITY[index])
            events.append(Feedback(decision=id, model=model, score=score, at=at))
        for event in events[: count - written]:
            store.append(event)
        written += len(events)
        number += 1
        if number % 5000 == 0:
            store.flush(timeout=600.0)
    store.flush(timeout=600.0)
    store.close()


def what_if(path):
    """Run the command, as a user does."""
    from floorline.cli.app import main

    options = ["--log", str(path), "--policy", "cheapest", "--json"]
    return main(["whatif", *options])


def retrain(path):
    """Learn the labels of a log, as a server does at its start."""
    router = Router(ZOO, "port", SLAS, seed=1)
    with open_read_only(f"sqlite:///{path}") as engine:
        assert warm_start(router, LogReader(engine), "log", at=2e9)
    return 0


MEASURED = {"what-if": what_if, "retraining": retrain}


def peak_mebibytes():
    """Most resident memory of this process so far, without that of the process it came from."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def measured(what, path):
    """Measure in a new process; return seconds and MiB."""
    command = [sys.executable, __file__, "--measure", what, "--log", str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, nargs="+", default=[20_000, 80_000])
    parser.add_argument("--folder", type=Path, help="folder of the logs [default: a temporary one]")
    parser.add_argument("--only", choices=list(MEASURED), help="measure this one only")
    parser.add_argument("--measure", choices=list(MEASURED), help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        began = time.monotonic()
        code = MEASURED[given.measure](given.log)
        print(json.dumps([time.monotonic() - began, peak_mebibytes()]))
        return code
    with tempfile.TemporaryDirectory() as temporary:
        report(given.events, given.folder or Path(temporary), given.only)
    return 0


def report(sizes, folder, only):
    folder.mkdir(parents=True, exist_ok=True)
    table = Table("events", "store, MB", "what", "seconds", "events/s", "peak memory, MiB")
    for count in sizes:
        path = folder / f"log-{count}.db"
        if not path.exists():
            unfinished = folder / f"unfinished-{count}.db"
            for left in folder.glob(f"{unfinished.name}*"):
                left.unlink()
            write_log(unfinished, count)
            unfinished.rename(path)
        size = path.stat().st_size / 1e6
        for what in MEASURED if only is None else [only]:
            seconds, peak = measured(what, path)
            cells = (
                f"{count:,}",
                f"{size:,.0f}",
                what,
                f"{seconds:.1f}",
                f"{count / seconds:,.0f}",
            )
            table.add_row(*cells, f"{peak:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
