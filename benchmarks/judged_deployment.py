"""A gateway with a judge, over HTTP: 2 % of labels, a budget for judging, a floor to keep.

``python benchmarks/judged_deployment.py [--requests 6000] [--seeds 3] [--write docs/judges.md]``

A scripted provider answers well or badly, by model and question; users label 2 % of the answers and
the judge, a model of the provider, is wrong about a tenth of them. Each seed runs once without a
judge and once with one. Printed are what users think of all answers (which the gateway does not
see), what the certificates say, and what serving and judging cost.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.judging_provider import JudgingProvider, is_good
from tests.support.live_gateway import InThread, Live, http_server

from floorline._markdown import markdown_table
from floorline.events import Outcome
from floorline.optimization.floor_lp import cheapest_mix
from written import write

CASES = {
    "small": {"small": 0.88, "medium": 0.92, "large": 0.96},
    "mix": {"small": 0.7, "medium": 0.86, "large": 0.95},
}
"""Share of good answers by model: the small model keeps the floor, or only a mix does."""
PRICES = {"small": 1.0, "medium": 4.0, "large": 20.0, "judge": 1.0}
FLOOR, LABELLED, RATE, WRONG = 0.8, 0.02, 0.3, 0.1
CAP = 0.4
"""Budget of the judge, in dollars: less than it would cost to judge all that is drawn."""


def fraction(*parts):
    """Number from 0 to 1 that follows from some texts."""
    digest = hashlib.blake2b("\n".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2.0**64


def judge_says(shown):
    """Reply of a judge that is wrong about a tenth of what it sees, mostly too kind."""
    score = float("[good]" in shown)
    text = shown.split("]", 1)[1].rsplit("[", 1)[0].split("response]")[0]
    if fraction("wrong", text) < WRONG:
        score = float(fraction("kind", text) < 0.8)
    return json.dumps({"reason": "as it seems", "score": score})


def run(requests, seed, case, folder, *, judged):
    """Serve a stream of requests; return one row's numbers."""
    share = CASES[case]
    provider = JudgingProvider(share, judge_says)
    served = InThread(http_server(provider.app()))
    models = [
        {"name": name, "endpoint": f"{served.value}/v1", "input_price": p, "output_price": p}
        for name, p in PRICES.items()
    ]
    judge = {"name": "strict", "model": "judge", "rate": RATE, "boost": 1}
    settings = {
        "models": models,
        "slas": [{"name": "gold", "floor": FLOOR, "models": list(share)}],
        "auth": "none",
        "seed": seed,
        "store": {"url": "sqlite:///log.db"},
        "judges": [{**judge, "budget": {"total": CAP, "period": None}}] if judged else [],
    }
    live, satisfied, cost = Live(json.dumps(settings), folder), [], []
    try:
        for number in range(requests):
            question = f"Question {number} of stream {seed}: why?"
            answer = live.chat(question)
            model = answer.headers["x-floorline-model"]
            good = is_good(model, question, share)
            satisfied.append(good)
            cost.append(float(answer.headers["x-floorline-cost"]))
            if fraction("label", seed, number) < LABELLED:
                label = {"decision": answer.headers["x-floorline-decision"], "satisfied": good}
                live.http.post("/v1/feedback", json=label).raise_for_status()
        live.call(live.gateway.judging.idle)
        found = live.call(lambda: live.gateway.router.certificate("gold"))
        log = live.call(lambda: list(live.gateway.router.log.read()))
    finally:
        live.stop()
        served.stop()
    spent = sum(e.cost for e in log if isinstance(e, Outcome) and e.key == "judge:strict")
    quality = np.array(list(share.values()))
    price = np.array([PRICES[name] for name in share])
    mix = float(cheapest_mix(quality, price, FLOOR) @ price)
    return {
        "satisfied": float(np.mean(satisfied)),
        "cost": float(np.mean(cost)) / (mix * dollars_per_price(log)),
        "spent": spent,
        "share": spent / sum(cost),
        "found": found,
    }


def dollars_per_price(log):
    """Cost of a served call per unit of its model's price: all have about as many tokens."""
    prices = [e.cost / PRICES[e.model] for e in log if isinstance(e, Outcome) and not e.key]
    return float(np.mean(prices))


def bounds(found):
    """Bounds and verdict in a cell."""
    return f"{found.verdict}: {found.lower:.3f} to {found.upper:.3f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=6000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="page that the table is written into")
    given = parser.parse_args()
    rows = []
    for case, seed, judged in product(CASES, range(given.seeds), (False, True)):
        with tempfile.TemporaryDirectory() as folder:
            one = run(given.requests, seed, case, folder, judged=judged)
        judge = one["found"].judged[0] if judged else None
        rows.append(
            [
                case,
                str(seed),
                "with a judge" if judged else "users alone",
                f"{one['satisfied']:.3f}",
                f"{one['cost']:.2f}",
                bounds(one["found"]),
                bounds(judge.by_judge) if judge else "–",
                bounds(judge.with_users) if judge else "–",
                f"{one['spent']:.3f} of {CAP:g} ({one['share']:.0%})" if judged else "–",
            ]
        )
        print(rows[-1], flush=True)
    headers = [
        "case",
        "seed",
        "labels",
        "satisfied (hidden)",
        "cost / static mix",
        "by users' labels",
    ]
    headers += ["by the judge", "users with the judge", "judging, $ (of serving)"]
    text = (
        f"{given.requests:,} requests, floor {FLOOR:g}, users label {LABELLED:.0%}, the judge is "
        f"asked about {RATE:.0%} and the labelled ones:\n\n{markdown_table(headers, rows)}"
    )
    print(text)
    if given.write is not None:
        write(given.write, "judged_deployment.py", text)


if __name__ == "__main__":
    main()
