"""The flagship while something happens: drift, prices, joining models, poor feedback, bad prompts.

``FLOORLINE_DATA=… python benchmarks/bench_scenarios.py [drift] [price] [join] [feedback] [several]
[starts] [prompts]``, all by default; the folder needs ``messplus/*.csv`` and
``routerbench/*.csv``. ``--seeds 10`` are what docs/scenarios.md prints (``--markdown``), ``--plots
FOLDER`` draws its plots. All calls are counted; "served" feedback unless a row says otherwise.
"""

import argparse
import os
from collections import Counter
from pathlib import Path

import numpy as np

import scenarios_measure as scenes
import scenarios_plots as plots
from sheet import Sheet


def grouped(records):
    """Records by what was replayed, in order."""
    found = {}
    for record in records:
        found.setdefault(record.case, []).append(record)
    return found


def paired(records):
    """Runs of both variants by stream and scene."""
    pairs = {}
    for case, runs in grouped(records).items():
        pairs.setdefault((case.stream, case.scene), []).append(runs)
    return pairs


def soon(values):
    """Median number of requests until something; how often it came, unless always; – if never."""
    known = [value for value in values if not np.isnan(value)]
    came = [value for value in known if np.isfinite(value)]
    if not came:
        return "–"
    # Those in which it never came count as late as can be.
    middle = float(np.median(known)) if len(came) > len(known) / 2 else float("inf")
    share = "" if len(came) == len(values) else f" ({len(came)}/{len(values)})"
    return (f"{middle:,.0f}" if np.isfinite(middle) else "never") + share


def beside(cells):
    return " · ".join(cells)


def floor_of(case):
    return scenes.STREAMS[case.stream].floor


def judged(case, records, stretch):
    """Satisfaction less floor, requests missing at worst, cost / mix, over seeds."""
    parts = [record.stretches[stretch] for record in records]
    return [
        f"{np.mean([part.satisfaction for part in parts]) - floor_of(case):+.4f}",
        f"{np.mean([part.lowest for part in parts]):.0f}",
        f"{np.mean([part.cost_per_mix for part in parts]):.2f}",
    ]


def old_mix(case, records, stretch):
    """Satisfaction less floor and cost / mix of a mix that was told the means before."""
    points = [record.references[stretch] for record in records]
    above = np.mean([point["old mix"].satisfaction for point in points]) - floor_of(case)
    ratio = np.mean([point["old mix"].cost / point["static mix"].cost for point in points])
    return [f"{above:+.4f}", f"{ratio:.2f}"]


def met(case, records):
    """Seeds in which the whole stream's satisfaction reached the floor."""
    kept = sum(record.surplus[-1] >= -1e-9 for record in records)
    return f"{kept}/{len(records)}"


def first_after(record):
    """Requests from the first change to the first alarm after it."""
    change = record.changes[0]
    return min((step - change for step in record.detections if step >= change), default=np.inf)


def parts_of(case, records):
    """What the stretches after a change are called, with their numbers; the whole without one."""
    after = range(1, len(records[0].stretches))
    if len(after) < 2:
        return [(case.scene, len(after))]
    return [(f"{case.scene}: {word}", k) for k, word in zip(after, ("gone", "back"), strict=True)]


def drift(records):
    """Quality that changes and nobody says so; every cell with detection · without."""
    headers = ["scene", "alarm after", "halved after", "met", "above", "missing", "/ mix"]
    headers += ["old mix: above", "/ mix"]
    sheets = {}
    for (stream, _), (told, untold) in paired(records).items():
        case, both = told[0].case, (told, untold)
        title = f"{stream}, τ = {floor_of(case):g}"
        rows = sheets.setdefault(title, Sheet(title, headers)).rows
        for number, (label, stretch) in enumerate(parts_of(case, told)):
            alarm = halved = kept = ""
            if not told[0].changes:
                count = sum(len(run.detections) for run in told)
                alarm = f"{1000 * count / sum(run.requests for run in told):.2f} per 1,000"
            elif number == 0:
                alarm = soon([first_after(run) for run in told])
                halved = beside(soon([run.halved for run in runs]) for runs in both)
            if number == 0:
                kept = beside(met(case, runs) for runs in both)
            cells = zip(*(judged(case, runs, stretch) for runs in both), strict=True)
            old = old_mix(case, told, stretch) if told[0].changes else ["", ""]
            rows.append([label, alarm, halved, kept, *map(beside, cells), *old])
    return list(sheets.values())


def changed(records):
    """Changes that are known at once: prices, models that join or leave."""
    headers = ["stream", "scene", "settled after", "met", "above", "missing", "/ mix"]
    headers += ["old mix: above", "/ mix"]
    rows = [
        [
            case.stream,
            case.scene,
            soon([run.settled for run in runs]),
            met(case, runs),
            *judged(case, runs, 1),
            *old_mix(case, runs, 1),
        ]
        for case, runs in grouped(records).items()
    ]
    return [Sheet("After the change", headers, rows)]


def feedback(records):
    """Poor feedback of every kind."""
    headers = ["feedback", "policy", "met", "above", "missing", "/ mix", "alarms"]
    rows = [
        [
            case.scene,
            case.policy if case.variant == case.policy else f"{case.policy}, {case.variant}",
            met(case, runs),
            *judged(case, runs, 0),
            f"{np.mean([len(run.detections) for run in runs]):.1f}",
        ]
        for case, runs in grouped(records).items()
    ]
    rows.sort(key=lambda row: list(scenes.HEARD).index(row[0]))
    return [Sheet("8,000 simulated requests, cold, τ = 0.8", headers, rows)]


def several(records):
    """Several SLAs on one router, and each alone."""
    headers = [
        "SLA",
        "router",
        "requests",
        "met",
        "above",
        "worst seed",
        "/ own mix",
        "certificates",
    ]
    groups = {}
    for record in (one for found in records for one in found):
        groups.setdefault((record.name, record.variant), []).append(record)
    rows = []
    for (name, variant), runs in sorted(groups.items(), key=lambda item: item[0][0]):
        verdicts = Counter(run.verdict for run in runs)
        rows.append(
            [
                f"{name}, τ = {runs[0].floor:g}",
                variant,
                f"{np.mean([run.requests for run in runs]):,.0f}",
                f"{sum(run.above >= -1e-9 for run in runs)}/{len(runs)}",
                f"{np.mean([run.above for run in runs]):+.4f}",
                f"{min(run.above for run in runs):+.4f}",
                f"{np.mean([run.per_mix for run in runs]):.2f}",
                ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()),
            ]
        )
    return [Sheet("8,000 simulated requests, cold", headers, rows)]


def starts(records):
    """How much a history saves."""
    headers = ["stream", "history", "met", "above", "missing", "/ mix"]
    rows = [
        [case.stream, case.scene, met(case, runs), *judged(case, runs, 0)]
        for case, runs in grouped(records).items()
    ]
    return [Sheet("Labelled requests before the first", headers, rows)]


def prompts(records):
    """What prompts that tell, tell nothing or lie do, paired by seed with the same mix alone."""
    headers = ["stream", "prompts", "above", "no prompts", "difference", "worst"]
    headers += ["/ mix", "no prompts", "difference", "worst"]
    rows = []
    for (stream, scene), (by, without) in paired(records).items():
        stretch = len(by[0].stretches) - 1
        floor = scenes.STREAMS[stream].floor
        cells = []
        for field, worst, shown in (("satisfaction", min, ".4f"), ("cost_per_mix", max, ".2f")):
            a, b = (
                np.array([getattr(r.stretches[stretch], field) for r in runs])
                for runs in (by, without)
            )
            base = floor if field == "satisfaction" else 0.0
            sign = "+" if base else ""
            cells += [format(a.mean() - base, sign + shown), format(b.mean() - base, sign + shown)]
            cells += [format((a - b).mean(), "+" + shown), format(worst(a - b), "+" + shown)]
        rows.append([stream, scene, *cells])
    return [Sheet("By prompts and without, paired by seed", headers, rows)]


PARTS = {
    "drift": (scenes.DRIFT, drift, plots.drift),
    "price": (scenes.PRICE, changed, plots.price),
    "join": (scenes.JOIN, changed, plots.join),
    "feedback": (scenes.FEEDBACK, feedback, plots.feedback),
    "several": (scenes.SEVERAL, several, plots.several),
    "starts": (scenes.STARTS, starts, plots.starts),
    "prompts": (scenes.PROMPTS, prompts, plots.prompts),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[], help=", ".join(PARTS))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plots", type=Path, help="folder to write a plot per part to")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    given = parser.parse_args()
    Sheet.markdown = given.markdown
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder that holds messplus/*.csv")
        return
    seeds = range(given.first, given.first + given.seeds)
    for part in given.parts or PARTS:
        cases, tabled, drawn = PARTS[part]
        one = scenes.measure_slas if part == "several" else scenes.measure
        records = scenes.run_cases(cases, seeds, given.jobs, one)
        for sheet in tabled(records):
            sheet.show()
        if given.plots:
            drawn(records, given.plots / f"{part}.png")


if __name__ == "__main__":
    main()
