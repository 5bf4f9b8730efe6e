"""What a server remembers, how much memory each of it takes, and where it ends.

``python benchmarks/size_memory.py [--write]``; ``--write`` puts the table into docs/sizing.md.
Events of simulated requests (an outcome each, labels for a fifth) go through a store's encoding
into each structure that grows with requests, and tracemalloc says by how many bytes it grows.
"""

import argparse
import tracemalloc
from contextlib import suppress
from pathlib import Path

from threadpoolctl import threadpool_limits

from floorline import SLA, Router
from floorline.config import Settings
from floorline.datasets import simulate
from floorline.encoders.hashed import HashedNgrams
from floorline.errors import UnknownDecision
from floorline.events import Decision, Owner, decode_event, encode_event
from floorline.gateway.completion_ids import _CAPACITY as IDS
from floorline.gateway.completion_ids import CompletionIds
from floorline.policies import make_policy
from floorline.replay.data import zoo_of
from floorline.replication.replica_router import _OWN_PER_REMEMBERED as OWN
from floorline.state.event_log import MemoryLog
from floorline.state.fold import Fold
from floorline.state.time_series import MAX_CELLS, TimeSeries
from sheet import Sheet
from written import write

PAGE = Path(__file__).parents[1] / "docs" / "sizing.md"
MODELS = ("sim-nano", "sim-mini", "sim-small", "sim-titan")
GOLD = SLA("gold", floor=0.8)
LABELLED = 5
"""Every fifth answer gets a label."""
MEMORY = Settings.model_fields["memory"].default
SEED = 1


def make_events(requests):
    """Events as bytes, and the zoo."""
    table = simulate(requests, SEED, MODELS)
    zoo, log = zoo_of(table), MemoryLog()
    router = Router(zoo, slas=[GOLD], seed=SEED, log=log)
    for number, prompt in enumerate(table.prompts):
        made = router.route(prompt, "gold", at=float(number))
        model = table.models.index(made.model)
        cost = float(table.cost[number, model])
        router.outcome(made.id, cost=cost, latency=0.8, completion=f"chatcmpl-{number:026d}")
        if number % LABELLED == 0:
            router.feedback(made.id, satisfied=bool(table.quality[number, model] > 0.5))
    return [encode_event(event) for event in log.read()], zoo


def grown_by(fill):
    """Bytes by which memory grew while ``fill`` ran, without what it freed."""
    tracemalloc.start()
    before, kept = tracemalloc.get_traced_memory()[0], fill()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    del kept
    return grown


def measure(requests):
    """Bytes of one thing of each kind."""
    written, zoo = make_events(requests)
    made = [event for event in map(decode_event, written) if isinstance(event, Decision)]
    names = [(f"chatcmpl-{number:026d}", decision.id) for number, decision in enumerate(made)]
    minutes = requests / 60.0

    def folded(memory):
        dim = HashedNgrams().dim
        fold = Fold(make_policy("primal_dual"), zoo, [GOLD], dim, memory=memory)
        for event in map(decode_event, written):
            with suppress(UnknownDecision):
                fold.apply(event)
        return fold

    def counted(memory):
        series = TimeSeries(memory=memory)
        for event in map(decode_event, written):
            series.fold(event)
        return series

    def noted():
        ids = CompletionIds(requests, requests)
        for completion, decision in names:
            # Each server reads them from an answer, so that they are its own copies.
            ids.note(Owner(), f"{completion} "[:-1], f"{decision} "[:-1])
        return ids

    def remembered(fill):
        return (grown_by(lambda: fill(requests)) - grown_by(lambda: fill(1))) / requests

    cells = len(MODELS) * minutes
    return {
        "decision": remembered(folded),
        "history": remembered(counted),
        "event": grown_by(lambda: [decode_event(event) for event in written]) / len(written),
        "id": grown_by(noted) / requests,
        "cell": grown_by(lambda: counted(1)) / cells,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3_000)
    parser.add_argument("--write", action="store_true", help="Write the table into the page.")
    given = parser.parse_args()
    with threadpool_limits(1):
        size = measure(given.requests)
    rows = [
        ("decision with its outcome and label", size["decision"], "`memory`", MEMORY),
        ("the same in the dashboard's history", size["history"], "`memory`", MEMORY),
        (
            "own event that no state has yet",
            size["event"],
            f"{OWN} × `memory`, reached only while no learner is at work",
            OWN * MEMORY,
        ),
        ("id of a completion", size["id"], f"{IDS:,}, 5,000 of one owner", IDS),
        (
            "minute or hour of an SLA, a tenant and a model in the dashboard's history",
            size["cell"],
            f"{MAX_CELLS:,} minutes of a day and {MAX_CELLS:,} hours of 30 days",
            2 * MAX_CELLS,
        ),
    ]
    sheet = Sheet("Memory of a server", ["what is remembered", "bytes", "at most", "MiB then"])
    for what, each, bound, most in rows:
        sheet.add_row(what, f"{each:,.0f}", bound, f"{each * most / 2**20:.1f}")
    sheet.show()
    if given.write:
        write(PAGE, "size_memory.py", sheet.text())


if __name__ == "__main__":
    main()
