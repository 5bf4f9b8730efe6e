"""Plots of bench_scenarios.py: one PNG per part, means over seeds."""

import numpy as np
from matplotlib.figure import Figure

from floorline.report.plots import save_docs_picture
from scenarios_measure import STREAMS

COLOURS = ("#8c8c8c", "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#e69f00")


def picked(records, **wanted):
    """Records of these cases."""
    return [r for r in records if all(getattr(r.case, k) == v for k, v in wanted.items())]


def distinct(records, field):
    return list(dict.fromkeys(getattr(record.case, field) for record in records))


def over_time(records, path, title, scenes):
    """Surplus over the floor, and the share of the model that it happens to: a column a stream."""
    streams, variants = distinct(records, "stream"), distinct(records, "variant")
    figure = Figure(figsize=(3.1 * len(streams) + 1.9, 5.2), layout="constrained")
    grid = figure.subplots(2, len(streams), squeeze=False, sharex="col")
    for column, stream in enumerate(streams):
        upper, lower = grid[:, column]
        for scene in scenes:
            colour = COLOURS[0] if scene == "steady" else COLOURS[1 + scenes.index(scene) % 5]
            for line, variant in zip(("-", ":"), variants, strict=False):
                runs = picked(records, stream=stream, scene=scene, variant=variant)
                if not runs:
                    continue
                label = scene if len(variants) == 1 else f"{scene}, {variant}"
                style = {"color": colour, "linestyle": line, "linewidth": 1.4, "label": label}
                marks = runs[0].marks
                upper.plot(marks, np.mean([run.surplus for run in runs], axis=0), **style)
                # Nothing happens to a model where the stream is steady.
                if runs[0].changes:
                    lower.plot(marks, np.mean([run.share for run in runs], axis=0), **style)
        for axes in (upper, lower):
            axes.axvline(STREAMS[stream].at, color="black", linewidth=0.8, alpha=0.5)
            axes.grid(alpha=0.25)
        upper.axhline(0.0, color="black", linestyle="--", linewidth=1.0)
        upper.set_title(f"{stream}, τ = {STREAMS[stream].floor:g}", fontsize=10)
        lower.set_ylim(-0.02, 1.02)
        lower.set_xlabel("requests")
    grid[0][0].set_ylabel("Σ (s − τ)")
    grid[1][0].set_ylabel("share of the model")
    save_docs_picture(figure, path, title, legend=grid[0][0])


def drift(records, path):
    title = "Quality drops silently at the line: surplus, and share of that model"
    over_time(records, path, title, ("steady", "drop 15 %", "drop 30 %", "slide 30 %"))


def price(records, path):
    title = "A price changes at the line: surplus, and share of that model"
    over_time(records, path, title, distinct(records, "scene"))


def join(records, path):
    title = "A model joins or leaves at the line: surplus, and its share"
    over_time(records, path, title, distinct(records, "scene"))


def dots(grid, groups, values, *, shift=0.0, colour, label):
    """A point a seed and a bar at the mean, for every group and every axes."""
    for axes, of in zip(grid, values, strict=True):
        for x, runs in groups:
            y = [of(run) for run in runs]
            axes.scatter(np.full(len(y), x + shift), y, s=9, color=colour, alpha=0.45, linewidth=0)
            axes.plot([x + shift - 0.14, x + shift + 0.14], [np.mean(y)] * 2, color=colour, lw=2)
        axes.plot([], [], color=colour, lw=2, label=label)


def above(run):
    return run.stretches[-1].satisfaction - STREAMS[run.case.stream].floor


def per_mix(run):
    return run.stretches[-1].cost_per_mix


def laid_out(width, labels, *, unit=1.0):
    """Two panels on the same groups: satisfaction less floor, and cost over the mix's."""
    figure = Figure(figsize=(width, 5.6), layout="constrained")
    grid = figure.subplots(2, 1, sharex=True)
    for axes, line, name in zip(grid, (0.0, unit), ("satisfaction − τ", "cost / mix"), strict=True):
        axes.axhline(line, color="black", linestyle="--", linewidth=1.0)
        axes.set_ylabel(name)
        axes.grid(alpha=0.25, axis="y")
    grid[1].set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    return figure, grid


def feedback(records, path):
    labels = distinct(records, "scene")
    figure, grid = laid_out(10.5, labels)
    for number, variant in enumerate(distinct(records, "variant")):
        groups = [(x, picked(records, scene=s, variant=variant)) for x, s in enumerate(labels)]
        groups = [(x, runs) for x, runs in groups if runs]
        dots(
            grid,
            groups,
            (above, per_mix),
            shift=0.27 * (number - 1),
            colour=COLOURS[(1, 5, 3)[number]],
            label=variant,
        )
    save_docs_picture(figure, path, "Poor feedback on 8,000 simulated requests", legend=grid[0])


def starts(records, path):
    streams, labels = distinct(records, "stream"), distinct(records, "scene")
    figure, grid = laid_out(7.5, labels)
    for number, stream in enumerate(streams):
        groups = [(x, picked(records, stream=stream, scene=s)) for x, s in enumerate(labels)]
        shift, colour = 0.27 * (number - 1), COLOURS[number + 1]
        dots(grid, groups, (above, per_mix), shift=shift, colour=colour, label=stream)
    title = "Cost and satisfaction by the number of labelled requests before the first"
    save_docs_picture(figure, path, title, legend=grid[0])


def prompts(records, path):
    """Differences of every seed between deciding by prompts and not."""
    streams, kinds = distinct(records, "stream"), distinct(records, "scene")
    figure, grid = laid_out(9.0, streams, unit=0.0)
    for axes, name in zip(grid, ("satisfaction", "cost / mix"), strict=True):
        axes.set_ylabel(f"{name}: with − without")
    for number, kind in enumerate(kinds):
        groups = []
        for x, stream in enumerate(streams):
            runs = picked(records, stream=stream, scene=kind)
            half = len(runs) // 2
            groups.append((x, list(zip(runs[:half], runs[half:], strict=True))))
        values = [lambda pair, of=of: of(pair[0]) - of(pair[1]) for of in (above, per_mix)]
        shift, colour = 0.27 * (number - 1), COLOURS[(3, 0, 2)[number]]
        dots(grid, groups, values, shift=shift, colour=colour, label=kind)
    title = "Informative, useless and misleading prompts: difference from deciding without prompts"
    save_docs_picture(figure, path, title, legend=grid[0])


def several(records, path):
    """Surplus of every SLA, shared and alone, and the span of all seeds."""
    found = [one for part in records for one in part]
    names = list(dict.fromkeys(one.name for one in found))
    figure = Figure(figsize=(3.3 * len(names) + 1.6, 3.2), layout="constrained")
    grid = figure.subplots(1, len(names), squeeze=False)
    for axes, name in zip(grid[0], names, strict=True):
        for colour, variant in zip(COLOURS[1:3], ("shared", "alone"), strict=True):
            runs = [one for one in found if (one.name, one.variant) == (name, variant)]
            # Seeds differ in their numbers of requests.
            marks = np.mean([run.marks for run in runs], axis=0)
            surplus = np.array([run.surplus for run in runs])
            span = surplus.min(axis=0), surplus.max(axis=0)
            axes.fill_between(marks, *span, color=colour, alpha=0.15, linewidth=0)
            axes.plot(marks, surplus.mean(axis=0), color=colour, lw=1.8, label=variant)
        axes.axhline(0.0, color="black", linestyle="--", linewidth=1.0)
        axes.set_title(f"{name}, τ = {runs[0].floor:g}", fontsize=10)
        axes.set_xlabel("its requests")
        axes.grid(alpha=0.25)
    grid[0][0].set_ylabel("Σ (s − τ)")
    save_docs_picture(figure, path, "Three SLAs on one router, and each alone", legend=grid[0][0])
