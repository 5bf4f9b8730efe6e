"""Tenants who send false labels: what the others then pay and get, and what the certificate says.

    python benchmarks/attack_poisoning.py [labels] [tenants] [task] --seeds 5

Ten honest tenants share one SLA with attackers; everybody's requests are drawn from one table: a
simulated one, and with ``FLOORLINE_DATA`` those named by ``--tables``. "before" counts every label
in full (``EveryLabelAlike``), "after" is the router as it is. All numbers but the attackers' are of
honest requests, and verdicts are judged by their true labels at every 100th request. ``task`` has
no attacker: one tenant in ten has a harder task. ``--markdown`` prints the tables of
docs/poisoning.md; one seed of ``labels`` on one table takes about two minutes.
"""

import argparse
from collections import Counter
from functools import cache
from typing import NamedTuple

import numpy as np

from floorline import SLA, Router
from floorline.datasets import load, simulate
from floorline.encoders import make_encoder
from floorline.events import RequestContext
from floorline.replay import prepare
from floorline.replay.environment import GivenFeatures
from sheet import Sheet

TENANTS = 10
"""Honest tenants, with equal shares of the honest requests."""
LOOK_EVERY = 100
"""Requests between two looks at the certificate."""
SIMULATED = ["sim-nano", "sim-medium", "sim-large", "sim-titan"]


class Stream(NamedTuple):
    """Table, floor, number of requests, and the model that targeted attacks are against."""

    table: str
    floor: float
    requests: int
    target: str


STREAMS = {
    "simulated": Stream("simulated", 0.80, 2000, "sim-medium"),
    "BoolQ": Stream("messplus/boolq", 0.80, 3270, "medium"),
    "RouterBench": Stream("routerbench", 0.80, 2200, "zero-one-ai/Yi-34B-Chat"),
}


class EveryLabelAlike(Router):
    """Router that counts every label in full, as before senders were weighed."""

    def _label_weights(self, decision, model):
        return 1.0, 1.0


KINDS = (EveryLabelAlike, Router)


class Answer(NamedTuple):
    """An answer that an attacker judges: at which share of the stream, by which model, and truly
    how satisfying.
    """

    progress: float
    targeted: bool
    truth: float


def all_bad(answer, rng):
    return 0.0


def all_good(answer, rng):
    return 1.0


def at_random(answer, rng):
    return float(rng.random() < 0.5)


def one_model_bad(answer, rng):
    return 0.0 if answer.targeted else answer.truth


def honest_first(answer, rng):
    return answer.truth if answer.progress < 0.5 else 0.0


def a_little_worse(answer, rng):
    return answer.truth if rng.random() < 0.9 else 0.0


ATTACKS = {
    "all bad": all_bad,
    "all good": all_good,
    "random": at_random,
    "one model bad": one_model_bad,
    "true for half, then bad": honest_first,
    "one in ten good ones bad": a_little_worse,
}


class Case(NamedTuple):
    """A stream under attack. ``spread`` is the number of tenants that attackers use."""

    stream: str
    attack: str | None = None
    share: float = 0.0
    rate: float = 1.0
    spread: int = 1


class Result(NamedTuple):
    """What honest users paid and got, what the certificate says, and whether it ever was false.

    ``weight`` is the attackers' share of the labels' weight.
    """

    cost: float
    satisfaction: float
    certified: float
    verdict: str
    false: bool
    weight: float


@cache
def data_of(name):
    """One table, encoded."""
    made = name == "simulated"
    table = simulate(8000, models=SIMULATED) if made else load(name, gaps="drop")
    return prepare(table, make_encoder("hashed"))


@cache
def play(case, kind, seed):
    """Serve a stream; with the same seed, honest tenants and prompts are the same under attack."""
    stream = STREAMS[case.stream]
    data = data_of(stream.table)
    router = kind(
        data.zoo,
        slas=[SLA("shared", floor=stream.floor)],
        encoder=GivenFeatures(data.features.shape[1], data.encoder),
        seed=seed,
        id_prefix="a",
    )
    rows = np.random.default_rng([seed, 0]).permutation(data.rows)[: stream.requests].tolist()
    rng, lies = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    draws = rng.random((len(rows), 3))
    tenants = rng.integers(0, TENANTS, len(rows)).tolist()
    honest = draws[:, 0] >= case.share
    cost, served = np.zeros(len(rows)), np.zeros(len(rows))
    false = False
    for step, row in enumerate(rows):
        at = float(step)
        attacker = f"attacker {int(draws[step, 1] * case.spread)}"
        name = f"tenant {tenants[step]}" if honest[step] else attacker
        decision = router.route(
            features=data.features[row],
            input_tokens=int(data.input_tokens[row]),
            at=at,
            context=RequestContext(tenant=name),
        )
        cost[step] = data.cost[row, decision.index]
        served[step] = data.quality[row, decision.index]
        router.outcome(decision.id, cost=float(cost[step]), at=at)
        if honest[step]:
            if draws[step, 2] < case.rate:
                router.feedback(decision.id, score=served[step], at=at)
        elif case.attack:
            answer = Answer(step / len(rows), decision.model == stream.target, served[step])
            router.feedback(decision.id, score=ATTACKS[case.attack](answer, lies), at=at)
        if step % LOOK_EVERY == LOOK_EVERY - 1:
            met = served[: step + 1][honest[: step + 1]].mean() >= stream.floor
            false |= router.certificate().verdict == ("broken" if met else "kept")
    certificate = router.certificate()
    # Attackers with few requests may be listed together, tenants never are.
    listed = router.status().senders
    weight = sum(sender.weight for sender in listed if "tenant:tenant" not in sender.sender)
    return Result(
        float(cost[honest].mean()),
        float(served[honest].mean()),
        certificate.satisfaction or float("nan"),
        certificate.verdict,
        bool(false),
        weight / (certificate.weight or 1.0),
    )


def both(cell, case, seeds):
    """A cell for before and after."""
    return " · ".join(cell([play(case, kind, seed) for seed in range(seeds)]) for kind in KINDS)


def mean(field, digits=3):
    return lambda runs: f"{np.mean([getattr(run, field) for run in runs]):.{digits}f}"


def verdicts(runs):
    counts = Counter(run.verdict for run in runs).most_common()
    return ", ".join(f"{count} {verdict}" for verdict, count in counts)


def false(runs):
    return f"{sum(run.false for run in runs)}"


def cost_ratio(case, seeds):
    """Geometric mean over seeds of the cost to that without attackers, with its standard error."""
    cells = []
    for kind in KINDS:
        calm = case._replace(attack=None, share=0.0)
        pairs = [(play(case, kind, s).cost, play(calm, kind, s).cost) for s in range(seeds)]
        logs = np.log([attacked / alone for attacked, alone in pairs])
        error = logs.std(ddof=1) / len(logs) ** 0.5 if len(logs) > 1 else np.nan
        cells.append(f"{np.exp(logs.mean()):.2f} ±{np.exp(logs.mean()) * error:.2f}")
    return " · ".join(cells)


HEADERS = [
    "attack",
    "share",
    "label rate",
    "cost",
    "satisfied",
    "certified",
    "verdict",
    "ever false",
]


def row(case, seeds):
    return [
        case.attack or "none",
        f"{case.share:.0%}",
        f"{case.rate:.0%}",
        cost_ratio(case, seeds) if case.attack else "1",
        both(mean("satisfaction"), case, seeds),
        both(mean("certified"), case, seeds),
        both(verdicts, case, seeds),
        both(false, case, seeds),
    ]


def labels(options):
    """Kinds of false labels, by share of the requests."""
    for stream in options.tables:
        sheet = Sheet(f"{stream}, τ = {STREAMS[stream].floor:g}, before · after", HEADERS)
        for rate in options.rates:
            sheet.add_row(*row(Case(stream, rate=rate), options.seeds))
            for attack in options.attacks:
                for share in options.shares:
                    sheet.add_row(*row(Case(stream, attack, share, rate), options.seeds))
        sheet.show()


def tenants(options):
    """Attackers who spread over many tenants."""
    for stream in options.tables:
        title = f"{stream}, 20 % of the requests by attackers with several tenants, before · after"
        sheet = Sheet(title, ["tenants", *HEADERS])
        for spread in (1, 10, 100, 1000):
            for attack in ("all bad", "random"):
                case = Case(stream, attack, 0.2, 0.1, spread)
                sheet.add_row(f"{spread}", *row(case, options.seeds))
        sheet.show()


class Hard(NamedTuple):
    """A tenant with a harder task among ten: what it and the others get, and what it weighs."""

    own: float
    others: float
    certified: float
    weight: float
    cost: float


@cache
def play_hard(name, lower, apart, kind, seed):
    """Answers to one tenant, with a tenth of the requests, fail by ``lower`` more often."""
    stream = STREAMS[name]
    data = data_of(stream.table)
    slas = [SLA("shared", floor=stream.floor)]
    slas += [SLA("own", floor=max(stream.floor - lower, 0.0))] if apart else []
    encoder = GivenFeatures(data.features.shape[1], data.encoder)
    router = kind(data.zoo, slas=slas, encoder=encoder, seed=seed, id_prefix="a")
    rows = np.random.default_rng([seed, 0]).permutation(data.rows)[: stream.requests].tolist()
    rng = np.random.default_rng([seed, 1])
    hard = rng.random(len(rows)) < 0.1
    tenants, draws = rng.integers(0, TENANTS, len(rows)).tolist(), rng.random((len(rows), 2))
    cost, served = np.zeros(len(rows)), np.zeros(len(rows))
    for step, row in enumerate(rows):
        at, mine = float(step), bool(hard[step])
        decision = router.route(
            features=data.features[row],
            sla="own" if mine and apart else "shared",
            input_tokens=int(data.input_tokens[row]),
            at=at,
            context=RequestContext(tenant="hard" if mine else f"tenant {tenants[step]}"),
        )
        cost[step] = data.cost[row, decision.index]
        lost = mine and draws[step, 0] < lower
        served[step] = 0.0 if lost else data.quality[row, decision.index]
        router.outcome(decision.id, cost=float(cost[step]), at=at)
        if draws[step, 1] < 0.3:
            router.feedback(decision.id, score=served[step], at=at)
    status = router.status("own" if apart else "shared")
    row = next(each for each in status.senders if each.sender == "tenant:hard")
    return Hard(
        float(served[hard].mean()),
        float(served[~hard].mean()),
        status.satisfaction or float("nan"),
        row.weight / max(row.labels, 1),
        float(cost[~hard].mean()),
    )


def task(options):
    """An honest tenant whose answers satisfy less, with a shared SLA and with its own."""
    headers = ["SLA", "harder by", "it gets", "others get", "certified", "weight of its labels"]
    for stream in options.tables:
        title = f"{stream}, one honest tenant in ten with a harder task, label rate 30 %"
        sheet = Sheet(f"{title}, before · after", [*headers, "others' cost"])
        for apart in (False, True):
            for lower in (0.0, 0.1, 0.2, 0.4):
                runs = [
                    [play_hard(stream, lower, apart, kind, s) for s in range(options.seeds)]
                    for kind in KINDS
                ]
                alone = [play_hard(stream, 0.0, apart, KINDS[0], s) for s in range(options.seeds)]
                cells = [
                    " · ".join(mean(field, digits)(each) for each in runs)
                    for field, digits in (
                        ("own", 3), ("others", 3), ("certified", 3), ("weight", 2)
                    )
                ]  # fmt: skip
                usual = np.mean([run.cost for run in alone])
                ratio = " · ".join(
                    f"{np.mean([r.cost for r in each]) / usual:.2f}" for each in runs
                )
                sheet.add_row("its own" if apart else "shared", f"{lower:g}", *cells, ratio)
        sheet.show()


PARTS = {"labels": labels, "tenants": tenants, "task": task}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--tables", nargs="*", default=["simulated"], choices=list(STREAMS))
    parser.add_argument("--attacks", nargs="*", default=list(ATTACKS), choices=list(ATTACKS))
    parser.add_argument("--shares", nargs="*", type=float, default=[0.01, 0.05, 0.20])
    parser.add_argument("--rates", nargs="*", type=float, default=[0.1, 1.0])
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    Sheet.markdown = options.markdown
    for part in options.parts:
        PARTS[part](options)


if __name__ == "__main__":
    main()
