"""Attack on budget periods: the system's clock is set while a gateway serves, and at restarts.

Run ``python benchmarks/attack_clock.py``; it takes about half a minute. A request comes every half
hour of true time for three days. Ten calls fit into each day's budget, so 10, 10 and 10 are right.

"running" sets the clock under a gateway that goes on. Its own clock follows the machine's monotonic
one, so nothing changes. "restarting" starts the gateway again after every step, so that it believes
the clock it finds: it then knows only the times in its log. A jump forward gives one budget early,
which the following days give back; a jump back withholds as many renewals as were given early.

Before, one stamp a year ahead starved a budget for the rest of the run, and 30 days forward and
back gave it twice.
"""

import sys
import tempfile
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.clock_steps import served_by_clocks

DAY = 86_400.0
HOURS = 72
STEPS = {
    "none": {},
    "a year ahead for an hour": {5: 365 * DAY, 6: -365 * DAY},
    "30 days forward and back, once": {5: 30 * DAY, 10: -30 * DAY},
    "30 days forward and back, ten times": {
        hour: 30 * DAY * (1 if hour % 2 else -1) for hour in range(1, 21)
    },
    "elsewhere in the future each time": {
        hour: (30 + hour - hour % 2) * DAY * (1 if hour % 2 == 0 else -1) for hour in range(2, 22)
    },
    "an hour back at each midnight": {24: -3600.0, 48: -3600.0},
    "two days back, for good": {5: -2 * DAY},
    "1970 for an hour": {5: -20_000 * DAY, 6: 20_000 * DAY},
}


def main():
    table = Table(box=SIMPLE)
    for column in ("steps of the clock", "budget of", "running", "restarting", "sum", ""):
        table.add_column(column, justify="left" if column.startswith("steps") else "right")
    broken = 0
    for name, steps in STEPS.items():
        for of in ("key", "sla"):
            found = []
            for restart in (False, True):
                with tempfile.TemporaryDirectory() as folder:
                    found.append(
                        served_by_clocks(
                            Path(folder), of=of, hours=HOURS, steps=steps, restart=restart
                        )
                    )
            running, restarting = found
            # Three days give three budgets at most, of which one may come early.
            kept = running == [10, 10, 10] and 20 <= sum(restarting) <= 30
            broken += not kept
            table.add_row(
                name,
                of,
                " ".join(map(str, running)),
                " ".join(map(str, restarting)),
                str(sum(restarting)),
                "kept" if kept else "BROKEN",
            )
    Console(width=120).print(table)
    return broken


if __name__ == "__main__":
    sys.exit(main())
