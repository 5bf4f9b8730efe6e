"""Chaos: servers and learners of one log, to which things happen, and rules that must hold.

Run ``python benchmarks/chaos.py``; it takes about 20 minutes. A real PostgreSQL server, three
servers and two learners, each with its own way to the database, stand behind HAProxy, or behind a
small balancer where HAProxy is not installed. Clients ask, judge the answers and keep a journal.
Servers and learners are killed, stopped, ended and upgraded; PostgreSQL is restarted; connections
to it are cut, held and delayed; clocks are set; models fail. In the end the rules are checked
against the log and the journal. The exit code is 1 if one of them is broken.

The faults and the requests follow from the seed, which is printed: the same seed and arguments do
the same again, as far as the machine's timing allows. ``--plan`` prints the faults and ends.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.chaos.faults import KINDS, PARTITION
from tests.support.chaos.namespaces import not_permitted
from tests.support.chaos.run import Given, run


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--minutes", type=float, default=16.0, help="Time with faults.")
    parser.add_argument("--rate", type=float, default=20.0, help="Requests a second.")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--learners", type=int, default=2)
    parser.add_argument(
        "--kind", action="append", choices=[*KINDS, *PARTITION, "upgrade"], help="Only these."
    )
    parser.add_argument(
        "--namespaces",
        action="store_true",
        help="Give each process a network namespace, and drop its packets to the database; root "
        "only.",
    )
    parser.add_argument("--folder", type=Path, help="Keeps the journal and what processes said.")
    parser.add_argument("--plan", action="store_true", help="Print the faults and end.")
    given = parser.parse_args()
    kinds = tuple(given.kind) if given.kind else None
    asked = Given(
        given.seed,
        60.0 * given.minutes,
        given.rate,
        given.replicas,
        given.learners,
        kinds,
        given.namespaces,
    )
    if given.plan:
        for fault in asked.plan():
            print(*fault)
        return 0
    if given.namespaces and (why := not_permitted()):
        parser.error(f"--namespaces cannot be used here: {why}")
    print(f"{asked}; began {time.strftime('%F %T')}", flush=True)
    # So that SIGTERM ends the processes of the run, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        parser.error(f"--folder {folder} is not empty: give another one")
    found = asyncio.run(run(asked, folder, say=lambda line: print(line, flush=True)))
    for line in found.lines:
        print("  " + line)
    for rule in found.rules:
        print(rule)
    print(f"seed {given.seed}: {len(found.broken)} of {len(found.rules)} rules broken")
    print(f"journal and output: {folder}")
    return int(bool(found.broken))


if __name__ == "__main__":
    sys.exit(main())
