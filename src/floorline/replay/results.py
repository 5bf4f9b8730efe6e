"""Results of replays, and how a notebook shows them."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.core.display import html_grid, html_table, show_number, show_ratio
from floorline.core.drawing import Line, line_chart
from floorline.policies import REFERENCE_POINTS
from floorline.replay.metrics import Scores, mean_and_interval
from floorline.replay.spec import Spec
from floorline.state.verdicts import Verdict

_MOST_CHARTS = 4
"""Most floors that a notebook gets a chart of; the table has all."""


class Curves(NamedTuple):
    """A run over time, at up to ``POINTS`` requests.

    Parameters
    ----------
    request
        Numbers of the requests, from 1.
    satisfaction, cost
        Running means up to and including these requests.
    """

    request: NDArray[np.int64]
    satisfaction: NDArray[np.float64]
    cost: NDArray[np.float64]


class Result(NamedTuple):
    """Summary of one run.

    Parameters
    ----------
    data
        Name of the table.
    spec
        Specification of the replay.
    scores
        Metrics.
    calls
        Share of the requests that each model served, by name.
    curves
        The run over time.
    decide_us, learn_us
        Median times of a decision and of the learning after it, in microseconds.
    label
        Name of the policy in tables and plots. Default: the name of the policy.
    verdict
        Verdict of the certificate at the end.
    """

    data: str
    spec: Spec
    scores: Scores
    calls: dict[str, float]
    curves: Curves
    decide_us: float
    learn_us: float
    label: str = ""
    verdict: Verdict = "unknown"

    def __repr__(self) -> str:
        scores = self.scores
        return (
            f"Result({self.shown!r} on {self.data!r}, seed {self.spec.seed}: "
            f"satisfaction {show_number(scores.satisfaction)} at floor {self.spec.floor:g}, "
            f"cost {show_number(scores.cost_per_static_mix)} of the static mix)"
        )

    def _repr_html_(self) -> str:
        spec = self.spec
        rows = [("floor", f"{spec.floor:g}"), ("feedback", spec.feedback), ("seed", f"{spec.seed}")]
        rows.append(("verdict", self.verdict))
        for name, value in msgspec.structs.asdict(self.scores).items():
            rows.append((name.replace("_", " "), show_number(value)))
        for name, share in self.calls.items():
            rows.append((f"served by {name}", f"{share:.1%}"))
        rows.append(
            ("median decision, learning", f"{self.decide_us:.0f} µs, {self.learn_us:.0f} µs")
        )
        curves = self.curves
        line = Line(self.shown, curves.request.tolist(), curves.satisfaction.tolist())
        table = html_table(f"{self.shown} on {self.data}", rows)
        return table + line_chart([line], spec.floor, "requests", "mean satisfaction so far")

    @property
    def shown(self) -> str:
        """Name of the policy in tables and plots."""
        return self.label or self.spec.policy


class Comparison(list[Result]):
    """Results of several replays, in order; a notebook shows them as a table and as charts."""

    def _repr_html_(self) -> str:
        if not self:
            return html_grid("No results", ["policy"], [])
        header = ["floor", "policy", "satisfaction", "floor met", "cost / static mix"]
        rows, charts = [], []
        for floor, block in groupby(self, key=lambda result: result.spec.floor):
            lines = []
            for shown, group in groupby(block, key=lambda result: result.shown):
                runs = list(group)
                rows.append([f"{floor:g}", shown, *_cells(runs)])
                lines.append(_mean_line(shown, runs))
            charts.append(line_chart(lines, floor, "requests", f"satisfaction, floor {floor:g},"))
        title = f"{self[0].data}, feedback {self[0].spec.feedback}"
        table = html_grid(title, [*header, "cost / oracle", "saved"], rows, texts=2)
        return table + "".join(charts[:_MOST_CHARTS])


def _cells(runs: list[Result]) -> list[str]:
    """Means over seeds of one policy at one floor."""
    scores = [run.scores for run in runs]
    mean, half = mean_and_interval([score.satisfaction for score in scores])
    return [
        f"{mean:.3f}" + ("" if np.isnan(half) else f"\xa0±{half:.3f}"),
        f"{sum(score.floor_met for score in scores):.0f}/{len(scores)}",
        show_ratio(float(np.mean([score.cost_per_static_mix for score in scores]))),
        show_ratio(float(np.mean([score.cost_per_oracle for score in scores]))),
        # Adding 0 takes the sign from a negative zero.
        show_ratio(round(float(np.mean([s.savings for s in scores])), 2) + 0.0, ".0%"),
    ]


def _mean_line(shown: str, runs: list[Result]) -> Line:
    satisfaction = np.mean([run.curves.satisfaction for run in runs], axis=0)
    tested = runs[0].spec.policy not in REFERENCE_POINTS
    return Line(shown, runs[0].curves.request.tolist(), satisfaction.tolist(), tested)
