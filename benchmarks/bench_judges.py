"""What judges are worth who are not users: calibration, verdicts and learning.

``FLOORLINE_DATA=… python benchmarks/bench_judges.py [PART …] [--write docs/judges.md]``

``calibration`` and ``verdicts`` take three real judges of the same 672 answers of three models
(``paretobandit/cross_judge_*_val.jsonl``): one is the judge, another stands for the users, of whose
labels a share φ comes back. ``learning`` replays tables with φ = .02: users alone, with a judge
whose scores are corrected, and with one that is taken for users. The judge scores a tenth of the
responses; it is wrong about 15 % of them, and then too kind in nine of ten cases.
"""

import argparse
import os
from itertools import permutations
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from bench_zoos import load_tables
from floorline import SLA, Router
from floorline._markdown import markdown_table
from floorline.datasets import load
from floorline.encoders import make_encoder
from floorline.guarantees import betting_interval
from floorline.optimization.floor_lp import cheapest_mix
from floorline.replay import Spec, replay
from floorline.replay.environment import Environment, GivenFeatures
from floorline.replay.metrics import references, score
from floorline.replay.run import _empty_run, build_policy, history_of, stream_rows
from floorline.state.judge_calibration import JudgeCalibration
from floorline.state.judged_certificate import judged_certificates_of
from floorline.state.judged_labels import JudgedLabels
from written import write

JUDGES = ("r1", "claude", "gpt_mini")
SATISFIED = 0.9
"""Score of a real judge from which on it counts as satisfied, as in the data's own description."""
LABELLED, JUDGED = 0.05, 0.25
"""Shares of the responses with a label of a user, and drawn for the judge."""
STREAM, STREAMS = 4_000, 200
"""Requests of a stream, drawn with replacement from the 672 rows, and number of streams."""
WRONG, KIND = 0.15, 0.9
SHARE, RATE = 0.02, 0.1
"""Shares in ``learning``: of labels of users, and of responses that the judge scores."""
TABLES = ("paretobandit/val_k4", "routerbench/mbpp", "messplus/boolq", "manymodels/llmrouter")
VARIANTS = ("users alone", "with a judge", "judge as a user", "all labels of users")
REFERENCES = ("static_mix", "best_fixed", "random", "oracle")


def real_judges():
    """Return (672, 3) satisfied or not by judge, and the names of the models."""
    tables = {name: load(f"paretobandit/cross_judge_{name}_val") for name in JUDGES}
    first = tables[JUDGES[0]]
    assert all(table.prompts == first.prompts for table in tables.values())
    names = list(first.models)
    found = {
        name: np.asarray(table.quality)[:, [list(table.models).index(m) for m in names]]
        for name, table in tables.items()
    }
    return {name: (values >= SATISFIED).astype(float) for name, values in found.items()}, names


def calibration(seeds):
    """Bias of each judge against each other one, and what 5 % of labels say of it."""
    labels, names = real_judges()
    rows = []
    for judge, users in permutations(JUDGES, 2):
        truth = labels[judge] - labels[users]
        covered, before, after = 0, [], []
        for seed in range(STREAMS * seeds // 5):
            rng, known = np.random.default_rng([seed, 1]), JudgeCalibration()
            drawn = rng.integers(len(truth), size=STREAM)
            models = rng.integers(len(names), size=STREAM)
            labelled = rng.random(STREAM) < LABELLED
            seen = labelled | (rng.random(STREAM) < JUDGED)
            for row, model, pair in zip(
                drawn[seen], models[seen], labelled[seen].tolist(), strict=True
            ):
                said = float(labels[judge][row, model])
                known.judge(names[model], said)
                if pair:
                    user = float(labels[users][row, model])
                    known.pair(names[model], user=user, judge=said, weight=1.0)
            found = known.agreement(judge)
            covered += found.bias_lower <= truth.mean() <= found.bias_upper
            for model, name in enumerate(names):
                mean = known.judged_[name][1] / known.judged_[name][0]
                satisfied = labels[users][:, model].mean()
                before.append(abs(mean - satisfied))
                after.append(abs(known.expected(name, mean) - satisfied))
        rows.append(
            [
                judge,
                users,
                *(f"{bias:+.3f}" for bias in truth.mean(axis=0)),
                f"{truth.mean():+.3f}",
                f"{covered / len(range(STREAMS * seeds // 5)):.1%}",
                f"{np.mean(before):.3f}",
                f"{np.mean(after):.3f}",
            ]
        )
    short = [name.rpartition("/")[2] for name in names]
    headers = ["judge", "users", *(f"bias, {name}" for name in short), "bias, all"]
    headers += ["within the bounds", "error of a model's mean, judge", "corrected"]
    text = (
        f"{STREAM:,} requests evenly over the models, {STREAMS * seeds // 5} streams, the users "
        f"label {LABELLED:.0%}, the judge sees these and {JUDGED:.0%} of the others:"
    )
    return f"{text}\n\n{markdown_table(headers, rows)}"


def verdicts(seeds):
    """How often a floor is called kept that users do not think is kept."""
    labels, names = real_judges()
    rows = []
    for judge, users in permutations(JUDGES, 2):
        counts = {kind: [0, 0, 0, 0] for kind in ("alone", "by judge", "with judge")}
        cases = [0, 0]
        for model in range(len(names)):
            truth = labels[users][:, model].mean()
            for distance in (-0.1, -0.05, 0.02, 0.05):
                sla = SLA("s", floor=float(np.clip(truth + distance, 0.01, 0.99)))
                held = bool(sla.floor <= truth)
                for seed in range(STREAMS * seeds // 20):
                    cases[held] += 1
                    found = _stream(labels, judge, users, model, sla, seed)
                    for kind, lower in found.items():
                        counts[kind][2 * held] += lower >= sla.floor
        rows.append(
            [
                judge,
                users,
                *(f"{counts[kind][0] / cases[False]:.1%}" for kind in counts),
                *(f"{counts[kind][2] / cases[True]:.1%}" for kind in counts),
            ]
        )
    said = ("users alone", "the judge alone", "users with the judge")
    headers = ["judge", "users", *(f"wrongly kept: {kind}" for kind in said)]
    headers += [f"rightly kept: {kind}" for kind in said]
    text = (
        f"Floors .02 and .05 above users' mean satisfaction with a model, which are not kept, and "
        f".05 and .1 below it; {STREAM:,} requests, {LABELLED:.0%} labelled, {JUDGED:.0%} judged, "
        "confidence .95:"
    )
    return f"{text}\n\n{markdown_table(headers, rows)}"


def _stream(labels, judge, users, model, sla, seed):
    """Lower bounds of a stream of one model: by users, by the judge, and by both."""
    rng, judged = np.random.default_rng([seed, 2]), JudgedLabels()
    known, sums = JudgeCalibration(), [0.0, 0.0]
    drawn = rng.integers(len(labels[judge]), size=STREAM)
    labelled, seen = rng.random(STREAM) < LABELLED, rng.random(STREAM) < JUDGED
    either = labelled | seen
    for row, pair, random in zip(
        drawn[either].tolist(), labelled[either].tolist(), seen[either].tolist(), strict=True
    ):
        said, user = float(labels[judge][row, model]), float(labels[users][row, model])
        if random:
            judged.draw(said, sla.floor, JUDGED)
        known.judge("m", said)
        if pair:
            sums = [sums[0] + 1.0, sums[1] + user]
            judged.pair(user, said, slope=known.slope, weight=1.0)
            known.pair("m", user=user, judge=said, weight=1.0)
    [found] = judged_certificates_of(sla, {judge: judged}, tuple(sums))
    return {
        "alone": betting_interval(*sums, 1.0 - sla.confidence).lower,
        "by judge": found.by_judge.lower,
        "with judge": found.with_users.lower,
    }


def judge_says(label, rng):
    """Score of the simulated judge of a response with this label."""
    if rng.random() >= WRONG:
        return label
    return 1.0 if rng.random() < KIND else 0.0


def judged_replay(data, spec, variant):
    """Replay our policy where a judge sees a tenth of the responses."""
    _, stream = stream_rows(data, spec)
    encoder = GivenFeatures(data.features.shape[1], data.encoder)
    slas = (SLA("stream", floor=spec.floor),)
    router = Router(
        data.zoo, build_policy(data, spec), slas, encoder=encoder, seed=spec.seed, clock=lambda: 0.0
    )
    environment, run = Environment(data, spec, router), _empty_run(spec, stream)
    rng = np.random.default_rng([spec.seed, 3])
    for step, row in enumerate(stream.tolist()):
        [made] = router.decide([environment.request(row, at=float(step))], at=float(step))
        environment.answer(run, step, row, made)
        drawn, said = rng.random() < RATE, judge_says(run.satisfied[step], rng)
        labelled = run.labels[step] > 0
        if variant == "with a judge" and (drawn or labelled):
            rate = RATE if drawn else None
            router.judgement(made.id, "judge", said, rate=rate, at=float(step))
        elif variant == "judge as a user" and drawn and not labelled:
            router.feedback(made.id, score=said, source="judge", at=float(step))
    return run


def learn(data, floor, variant, seed):
    """Scores of one replay."""
    with threadpool_limits(1):
        if variant in REFERENCES:
            spec = Spec(variant, floor, "full", seed)
            run = replay(data, spec)
        elif variant == "told the means":
            spec = Spec("primal_dual", floor, f"full+sparse:{SHARE:g}", seed, {"prompts": False})
            run = replay(data, spec, past=history_of(data))
        else:
            labels = "full" if variant == "all labels of users" else f"full+sparse:{SHARE:g}"
            spec = Spec("primal_dual", floor, labels, seed)
            run = judged_replay(data, spec, variant)
        return score(run, references(data, run))


def learning(seeds):
    """Floors kept and cost with 2 % of labels, with and without a judge."""
    tables = load_tables(list(TABLES), make_encoder("hashed"))
    tables = {name: data for name, data in tables.items() if name in TABLES}
    names = (*VARIANTS, "told the means", *REFERENCES)
    rows = []
    for name, data in tables.items():
        means, costs = data.quality.mean(axis=0), data.cost.mean(axis=0)
        low, best = float(np.median(means)), float(means.max())
        floor = round(low + 0.6 * (best - low), 3)
        assert cheapest_mix(means, costs, floor).sum() > 0.0
        for variant in names:
            runs = Parallel(n_jobs=2)(
                delayed(learn)(data, floor, variant, seed) for seed in range(seeds)
            )
            rows.append(
                [
                    f"{name} ({data.rows:,} × {len(data.zoo)})",
                    f"{floor:g}",
                    variant,
                    f"{np.mean([r.satisfaction for r in runs]):.3f}",
                    f"{sum(r.floor_met for r in runs):.0f} of {seeds}",
                    f"{np.mean([r.cost_per_static_mix for r in runs]):.2f}",
                ]
            )
    headers = ["table", "floor", "labels", "satisfied", "floors kept", "cost / static mix"]
    text = (
        f"φ = {SHARE:g}, the judge sees {RATE:.0%} and is wrong about {WRONG:.0%}; {seeds} seeds:"
    )
    return f"{text}\n\n{markdown_table(headers, rows)}"


PARTS = {"calibration": calibration, "verdicts": verdicts, "learning": learning}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--write", type=Path, help="page that the parts are written into")
    given = parser.parse_args()
    if "FLOORLINE_DATA" not in os.environ:
        parser.error("set FLOORLINE_DATA to the folder with the data")
    for part in given.parts:
        text = PARTS[part](given.seeds)
        print(f"{text}\n", flush=True)
        if given.write is not None:
            write(given.write, f"bench_judges.py {part}", text)


if __name__ == "__main__":
    main()
