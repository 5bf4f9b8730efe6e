"""Instructions per request of a real gateway, which other work on the machine does not disturb.

``python benchmarks/gateway_instructions.py [CHECKOUT ...] [--requests 320] [--python]``

For every checkout, by default this one, ``floorline serve`` runs under ``valgrind
--tool=callgrind`` with the provider of ``gateway_mock.py`` on loopback. Requests for a name of a
model ("direct") and for an SLA ("routed") are counted in one process, each after a warm-up. Counts
include all threads of the server and not the kernel. The first table has the instructions per
request, by groups of functions of C.

``--python`` adds a table of a run without valgrind: the share of the server's processor time in
each part of the package, and in the packages that it calls, from samples of the stack. It needs
more requests (``--samples``), and its shares are rough.

Linux and valgrind only.
"""

import argparse
import collections
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gateway import START_TIMEOUT, _answers, _stats, bodies
from gateway_contenders import CHAT, Floorline
from gateway_process import free_port, running, wait_for

HERE = Path(__file__).parent
MODES = {"direct": "model-3", "routed": "floorline/gold"}
"""Name of the model in the requests of each mode."""
CONNECTIONS = 8
WARM_UP = 64
"""Requests of each mode before its instructions are counted."""
SLOWER = 10
"""Factor by which a server below valgrind may start later."""
COUNTER = (
    "valgrind",
    "--tool=callgrind",
    "--instr-atstart=no",
    "--callgrind-out-file=counts",
)

GROUPS = (
    ("NumPy, BLAS and SciPy", r"numpy|openblas|scipy|_multiarray|_simd", ""),
    ("uvloop and libuv", r"uvloop", ""),
    ("parsers and URLs of HTTP", r"httptools|aiohttp|yarl|multidict|frozenlist|propcache", ""),
    ("JSON and structs", r"msgspec|orjson|_json", ""),
    ("SQLite", r"sqlite", ""),
    ("tasks and futures of asyncio", r"_asyncio", ""),
    ("garbage collection", "", r"gc_collect|gc_alloc|visit_|_traverse|subtract_refs|move_unreach"),
    ("regular expressions", "", r"^sre_|^_sre|SRE"),
    ("memory and reference counts", "", r"dealloc|[Aa]lloc|[Ff]ree|_clear|PyObject_GC"),
    ("attributes, dictionaries and types", "", r"[Aa]ttr|[Dd]ict|lookdict|_PyType|MRO|set_"),
    ("strings and bytes", "", r"[Uu]nicode|[Bb]ytes|string|ascii|utf8|mem(cpy|move|set|chr|cmp)"),
    ("frames and calls of the interpreter", "", r"_PyEval|[Cc]all|_PyFrame|gen_|method_|PyObject"),
)
"""Name of each group, and patterns of its libraries and of its functions; the first one counts."""

PARTS = (
    ("aiohttp: calls of the provider", r"> (aiohttp|yarl|multidict|_weakrefset|weakref)$"),
    ("event loop, timers, context managers", r"> (asyncio|contextlib|uvloop)$"),
    ("connections of clients", r"^gateway\.http|> (uvicorn|httptools)$"),
    ("encoding of the prompt", r"^encoders"),
    ("policy and estimators", r"^(policies|estimators|optimization|guarantees)"),
    ("events, fold and state", r"^(state|events|router|zoo|core|sla|errors)"),
    ("log: queue and commit", r"^stores"),
    ("metrics and traces", r"^gateway\.observability"),
    ("upstream layers without aiohttp", r"^gateway\.upstreams"),
    ("rest of the gateway", r"^gateway"),
)
"""Name of each part of the server, and pattern of its module and of the package that it calls."""

SAMPLER = """
import collections, json, runpy, signal, sys
found = collections.Counter()
def sample(number, frame):
    names = []
    while frame is not None:
        names.append(frame.f_globals.get("__name__", "?") + ":" + frame.f_code.co_name)
        frame = frame.f_back
    found[";".join(names)] += 1
signal.signal(signal.SIGPROF, sample)
signal.setitimer(signal.ITIMER_PROF, 0.002, 0.002)
path, sys.argv = sys.argv[1], ["floorline", *sys.argv[2:]]
try:
    runpy.run_module("floorline", run_name="__main__")
finally:
    signal.setitimer(signal.ITIMER_PROF, 0)
    json.dump(found, open(path, "w"))
"""
"""Program that runs ``floorline`` and writes how often each stack was found."""


class Checkout(Floorline):
    """``floorline serve`` of one checkout, below another program."""

    def __init__(self, root, mode="routed", below=(), sampled=False):
        self.root, self.below, self.sampled = root, below, sampled
        self.model = MODES[mode]

    def command(self, folder, port, upstream):
        """Return the command and its environment."""
        (python, *options), environment = super().command(folder, port, upstream)
        if self.sampled:
            options = ["-c", SAMPLER, str(folder / "stacks.json"), *options[2:]]
        fixed = {"PYTHONPATH": str(self.root / "src"), "PYTHONHASHSEED": "0"}
        return [*self.below, python, *options], environment | fixed


@contextlib.contextmanager
def served(checkout, folder):
    """Run the provider and the server; yields its port and its process."""
    cores = sorted(os.sched_getaffinity(0))
    upstream, port = free_port(), free_port()
    mock = [sys.executable, str(HERE / "gateway_mock.py"), str(upstream)]
    with running(mock, cores, folder / "mock.log") as provider:
        wait_for(provider, folder / "mock.log", partial(_stats, upstream), 10.0)
        argv, environment = checkout.command(folder, port, f"http://127.0.0.1:{upstream}")
        log = folder / "server.log"
        with running(argv, cores, log, cwd=folder, environment=environment) as server:
            wait_for(server, log, partial(_answers, checkout, port), START_TIMEOUT * SLOWER)
            yield port, server


def ask_many(mode, port, count):
    """Send requests over several connections, each after the last answer on its own."""
    texts = bodies(MODES[mode], stream=False)

    def ask_some(number):
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        for turn in range(number, count, CONNECTIONS):
            body = texts[turn % len(texts)]
            connection.request("POST", CHAT, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
        connection.close()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(ask_some, range(CONNECTIONS)))


def counted(root, count):
    """Return, for each mode, the instructions per request of each library and function."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="floorline-bench-") as name:
        folder = Path(name)
        with served(Checkout(root, below=COUNTER), folder) as (port, server):

            def control(option):
                command = ["callgrind_control", option, str(server.pid)]
                subprocess.run(command, check=True, capture_output=True, timeout=120)

            for mode in MODES:
                ask_many(mode, port, WARM_UP)
                control("--instr=on")
                ask_many(mode, port, WARM_UP)  # The counter has no code before it has seen it.
                control("--zero")
                ask_many(mode, port, count)
                before = set(folder.glob("counts.*"))
                control("--dump")
                control("--instr=off")
                (written,) = set(folder.glob("counts.*")) - before
                costs = self_costs(written.read_text().splitlines())
                found[mode] = {key: cost / count for key, cost in costs.items()}
    return found


def self_costs(lines):
    """Return the instructions of each (library, function) in the format of callgrind."""
    names = {"ob": {}, "fn": {}}
    now = {"ob": "", "fn": ""}
    costs = collections.Counter()
    call = False
    for line in lines:
        key, equals, value = line.partition("=")
        if line and line[0] in "0123456789+-*":
            _, *cost = line.split()  # A cost of zero is omitted.
            if cost and not call:
                costs[now["ob"], now["fn"]] += int(cost[0])
            call = False
        elif equals and key in ("ob", "fn", "cob", "cfn"):
            kind = key[-2:]
            number, _, name = value.partition(" ")
            name = names[kind].setdefault(number, name)
            if key in now:
                now[key] = name
        elif key == "calls":
            call = True
    return costs


def group_of(library, function):
    """Return the name of the group of a function."""
    file = library.rsplit("site-packages/", 1)[-1]
    for name, libraries, functions in GROUPS:
        if (libraries and re.search(libraries, file)) or (
            functions and re.search(functions, function)
        ):
            return name
    return "other"


def stacks(root, mode, count):
    """Return how often each stack of Python was found."""
    with tempfile.TemporaryDirectory(prefix="floorline-bench-") as name:
        folder = Path(name)
        with served(Checkout(root, mode, sampled=True), folder) as (port, _):
            ask_many(mode, port, count)
        return json.loads((folder / "stacks.json").read_text())


def part_of(stack):
    """Return the name of the part of the server whose time a stack is."""
    frames = [frame.split(":")[0] for frame in stack.split(";")]
    inner = frames[0].split(".")[0]
    own = next((module for module in frames if module.startswith("floorline.")), inner)
    path = own.removeprefix("floorline.") + ("" if inner == "floorline" else f" > {inner}")
    return next((name for name, pattern in PARTS if re.search(pattern, path)), "other")


def show(roots, found, title, keys):
    """Print a table of each checkout and mode."""
    columns = [f"{root.name}, {mode}" for root in roots for mode in MODES]
    table = Table(title, *columns)
    for row in keys:
        values = [found[root][mode].get(row, 0.0) for root in roots for mode in MODES]
        table.add_row(row, *(f"{value:,.1f}" for value in values))
    Console(width=max(100, 30 * len(columns) + 40)).print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkouts", type=Path, nargs="*", default=[HERE.parent])
    parser.add_argument("--requests", type=int, default=320)
    parser.add_argument("--functions", type=int, default=0, help="number of functions to show")
    parser.add_argument("--python", action="store_true")
    parser.add_argument("--samples", type=int, default=6000, help="requests of --python")
    given = parser.parse_args()
    roots = [root.resolve() for root in given.checkouts]
    groups, functions = {}, {}
    for root in roots:
        groups[root], functions[root] = {}, {}
        for mode, costs in counted(root, given.requests).items():
            sums = collections.Counter()
            for (library, function), cost in costs.items():
                sums[group_of(library, function)] += cost / 1e3
            groups[root][mode] = sums | {"sum": sum(sums.values())}
            functions[root][mode] = {
                f"{key[1][:60]} ({Path(key[0]).name[:24]})": cost / 1e3
                for key, cost in costs.items()
            }
    title = "thousands of instructions a request"
    rows = sorted(groups[roots[-1]]["routed"], key=lambda row: -groups[roots[-1]]["routed"][row])
    show(roots, groups, title, rows)
    if given.functions:
        last = functions[roots[-1]]["routed"]
        show(roots, functions, title, sorted(last, key=lambda row: -last[row])[: given.functions])
    if given.python:
        shares = {root: {} for root in roots}
        for root in roots:
            for mode in MODES:
                samples = collections.Counter()
                for stack, number in stacks(root, mode, given.samples).items():
                    if "asyncio.runners:run" in stack and "importlib" not in stack:
                        samples[part_of(stack)] += number
                total = samples.total()
                shares[root][mode] = {row: 100 * n / total for row, n in samples.items()}
        last = shares[roots[-1]]["routed"]
        show(roots, shares, "share of samples, %", sorted(last, key=lambda row: -last[row]))


if __name__ == "__main__":
    main()
