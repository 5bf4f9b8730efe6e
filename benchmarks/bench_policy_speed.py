"""Time of policies per request with the features of the default encoder: p50 and p99 in µs.

``python benchmarks/bench_policy_speed.py [policy …]``; by default ``primal_dual``, ``mess_plus``
and ``sla_router``. The streams are those of simulated zoos of 3 and of 11 models, or ``boolq`` (3)
and RouterBench (11) if the folder FLOORLINE_DATA contains ``messplus/boolq.csv`` and
``routerbench/*.csv``. Every served response gets a label. Cold streams start untrained, warm ones
after a labelled half.

With ``--conversations`` every stream is measured once more, as conversations of 10 turns with
models that have prices of cached tokens.

"decide" is the time of the policy's decision. "route" is everything except the encoder: checks,
log, ledgers and ``on_decision``.
"""

import argparse
import itertools
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from floorline import SLA, Router, Zoo
from floorline.datasets import load
from floorline.datasets.simulated import MODELS, SimulatedZoo
from floorline.encoders import make_encoder
from floorline.events import NO_CONTEXT, RequestContext
from floorline.replay import prepare
from floorline.replay.environment import GivenFeatures
from floorline.replay.run import history_of

POLICIES = ("primal_dual", "mess_plus", "sla_router")
METHODS = ("decide", "on_decision", "on_outcome", "on_feedback")
TURNS = 10
REAL = {"messplus/boolq.csv": 0.7, "routerbench": 0.8}
SIMULATED_FLOOR = 0.7


def streams(rows):
    """Yield data and floor of the streams, for M = 3 and 11."""
    encoder = make_encoder("hashed")
    folder = Path(os.environ.get("FLOORLINE_DATA") or "/nonexistent")
    if all((folder / name).exists() for name in REAL):
        for name, floor in REAL.items():
            yield prepare(load(folder / name), encoder), floor
        return
    more = [replace(model, name=f"{model.name}-twin") for model in MODELS[:3]]
    for models in (MODELS[:3], [*MODELS, *more]):
        yield prepare(SimulatedZoo(rows, seed=1, models=models).table(), encoder), SIMULATED_FLOOR


def timed(function, spent):
    def call(*args):
        started = time.perf_counter()
        result = function(*args)
        spent.append(time.perf_counter() - started)
        return result

    return call


def turn_of(number):
    """Context and tokens of a request as one turn of a conversation of ``TURNS`` turns."""
    conversation, turn = divmod(number, TURNS)
    prefixes = tuple(f"{conversation}-{n}" for n in range(2 * turn + 1))
    context = RequestContext(prefixes=("head", *prefixes), head_tokens=1500)
    return context, 2000 + 500 * turn


def with_caches(zoo):
    """Models with a price of cached tokens."""
    changed = {"input_price": 1.0, "cached_input_price": 0.1}
    return Zoo([msgspec.structs.replace(m, **changed) for m in zoo.models], zoo.cost_unit)


def measure(data, floor, policy, *, warm, rows, conversations=False):
    """Return the seconds of each call by method, over the second half of a shuffled table."""
    order = np.random.default_rng(0).permutation(data.rows)[:rows]
    past, stream = np.array_split(order, 2)
    encoder = GivenFeatures(data.features.shape[1], data.encoder)
    zoo = with_caches(data.zoo) if conversations else data.zoo
    router = Router(zoo, policy, [SLA("stream", floor=floor)], encoder=encoder, seed=1)
    if warm:
        router.policy.warm_start(history_of(data, past))
    spent = {method: [] for method in ("route", *METHODS)}
    for method in METHODS:
        setattr(router.policy, method, timed(getattr(router.policy, method), spent[method]))
    for number, row in enumerate(stream.tolist()):
        x = data.features[row]
        x.flags.writeable = False
        gaps = np.flatnonzero(np.isnan(data.quality[row])).tolist()
        excluded = [data.zoo.names[m] for m in gaps]
        context, tokens = NO_CONTEXT, int(data.input_tokens[row])
        if conversations:
            context, tokens = turn_of(number)
        ask = partial(router.route, features=x, input_tokens=tokens, exclude=excluded)
        route = timed(partial(ask, context=context, at=10.0 * number), spent["route"])
        decision = route()
        for name in decision.called:
            model = data.zoo.index(name)
            cost = float(data.cost[row, model])
            router.outcome(decision.id, model=name, cost=cost, at=10.0 * number)
            router.feedback(decision.id, model=name, score=float(data.quality[row, model]))
    return spent


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("policies", nargs="*", default=[], help="names of policies")
    parser.add_argument("--rows", type=int, default=4000, help="rows of each table, at most")
    parser.add_argument("--conversations", action="store_true", help="measure these as well")
    given = parser.parse_args()
    kinds = (False, True) if given.conversations else (False,)
    table = Table(title="µs per call: p50 / p99", title_justify="left")
    table.add_column("policy, stream", no_wrap=True)
    for method in ("route", *METHODS):
        table.add_column(method, justify="right", no_wrap=True)
    for data, floor in streams(given.rows):
        for policy in given.policies or POLICIES:
            for warm, talks in itertools.product((False, True), kinds):
                spent = measure(
                    data, floor, policy, warm=warm, rows=given.rows, conversations=talks
                )
                name = f"{policy}, {data.name} ({len(data.zoo)}), {'warm' if warm else 'cold'}"
                name += ", conversations" if talks else ""
                cells = [np.percentile(times, (50, 99)) * 1e6 for times in spent.values()]
                table.add_row(name, *(f"{p50:.0f} / {p99:.0f}" for p50, p99 in cells))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
