"""Processor time per request of two checkouts of Floorline, measured in turn.

``python benchmarks/gateway_pair.py BEFORE [--rounds 6] [--seconds 3] [--concurrency 32]``

BEFORE is the folder of another checkout, such as one of ``git worktree add``. In each round the
gateway of both is started, called and stopped, in alternating order. The processor time of the
whole server is divided by the requests it answered; the table has medians over rounds, and the
median of the ratios within rounds, which a machine that other work shares disturbs least. Linux
only.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gateway import START_TIMEOUT, WARM_UP, _answers, _stats, cell
from gateway_contenders import Floorline
from gateway_process import cpu_seconds, free_port, running, wait_for

HERE = Path(__file__).parent


class Checkout(Floorline):
    """``floorline serve`` with the source of one checkout."""

    def __init__(self, root, model):
        self.source = str(root / "src")
        self.model = model

    def command(self, folder, port, upstream):
        """Return the command of a gateway that imports this checkout."""
        argv, environment = super().command(folder, port, upstream)
        return argv, environment | {"PYTHONPATH": self.source}


@contextlib.contextmanager
def serving(contender, cores):
    """Run a contender's gateway before the mock provider; yield its process and port."""
    with tempfile.TemporaryDirectory(prefix="floorline-bench-") as name:
        folder, upstream, port = Path(name), free_port(), free_port()
        mock = [sys.executable, str(HERE / "gateway_mock.py"), str(upstream)]
        with running(mock, [cores[-1]], folder / "mock.log") as provider:
            wait_for(provider, folder / "mock.log", partial(_stats, upstream), 10.0)
            argv, environment = contender.command(folder, port, f"http://127.0.0.1:{upstream}")
            log = folder / "server.log"
            with running(argv, [cores[0]], log, cwd=folder, environment=environment) as server:
                wait_for(server, log, partial(_answers, contender, port), START_TIMEOUT)
                yield server, port


def microseconds(checkout, seconds, concurrency, cores):
    """Return the processor time per request in µs, without and with streaming."""
    with serving(checkout, cores) as (server, port):
        load = partial(
            cell, checkout, port, concurrency=concurrency, core=cores[-1], seconds=seconds
        )
        found = []
        load(stream=False)
        for stream in (False, True):
            before = cpu_seconds(server.pid)
            one = load(stream=stream)
            assert not one["failed"], one["errors"]
            answered = one["per_second"] * (seconds + WARM_UP)
            found.append((cpu_seconds(server.pid) - before) / answered * 1e6)
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--model", default=Floorline.model, help="such as model-3, for no routing")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    roots = {"before": given.before.resolve(), "after": HERE.parent}
    checkouts = {name: Checkout(root, given.model) for name, root in roots.items()}
    found = {name: [] for name in checkouts}
    for number in range(given.rounds):
        for name in sorted(checkouts, reverse=bool(number % 2)):
            once = microseconds(checkouts[name], given.seconds, given.concurrency, cores)
            found[name].append(once)
    table = Table("answer", "before, µs", "after, µs", "ratio, median of rounds", "all ratios")
    for position, kind in enumerate(("whole", "streamed")):
        before, after = ([once[position] for once in found[name]] for name in ("before", "after"))
        ratios = [b / a for a, b in zip(before, after, strict=True)]
        table.add_row(
            kind,
            f"{statistics.median(before):,.0f}",
            f"{statistics.median(after):,.0f}",
            f"{statistics.median(ratios):.3f}",
            " ".join(f"{ratio:.2f}" for ratio in sorted(ratios)),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
