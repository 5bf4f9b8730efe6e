"""Attack on a stored log: flipped bits, cut files and missing events, and what a start does then.

Run ``python benchmarks/attack_bit_flips.py``; it takes about three minutes. A real log with two
snapshots is damaged in one place at a time: in rows, in raw bytes of the database, of its
write-ahead log and of its witness. Then a start recovers the state, which is compared byte by byte
with that of the undamaged log. The exit code is 1 if one state differs silently.
"""

import argparse
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.bit_flips import (
    CRASHED,
    FELL_BACK,
    HARMLESS,
    REFUSED,
    REPORTED,
    SILENT,
    Store,
    flips,
    losses,
    run,
)

ENDS = {
    HARMLESS: "harmless",
    FELL_BACK: "reported",
    REFUSED: "refused",
    REPORTED: "lost, reported",
    SILENT: "SILENT",
    CRASHED: "CRASHED",
}
"""How a start ends, and the column of that."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=1200, help="Number of flipped bits.")
    parser.add_argument("--losses", type=int, default=10, help="Number of each kind of loss.")
    parser.add_argument("--seed", type=int, default=2026)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    console = Console(width=130)
    bad = []
    for title, cases, count in (
        (f"{given.flips} flipped bits", flips, given.flips),
        ("Files and rows that are cut, missing or replaced", losses, given.losses),
    ):
        started, rng = time.monotonic(), random.Random(given.seed)
        counts = {}
        # Half of the attacks on a log whose first events were deleted by retention.
        for deleted in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                store = Store(folder, deleted=deleted)
                found, worse = run(store, cases(store, rng, count // 2))
            bad += worse
            for kind, ends in found.items():
                counts.setdefault(kind, Counter()).update(ends)
        table = Table("place", *ENDS.values(), title=title)
        for kind, ends in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
            table.add_row(kind, *(str(ends[end]) for end in ENDS))
        console.print(table)
        console.print(f"{time.monotonic() - started:.0f} s")
    for case in bad:
        console.print(case)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
