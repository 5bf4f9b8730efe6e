"""Run a suite: every replay that is not on disk yet, then the report."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from floorline.bench.cache import RunCache
from floorline.bench.protocol import Judged, judge
from floorline.bench.suite import Budgets, Floors, Part, Protocols, Suite
from floorline.datasets import RoutingTable, load, simulate
from floorline.encoders import make_encoder
from floorline.replay.compare import Result, as_finished, check
from floorline.replay.data import ReplayData, prepare
from floorline.replay.tables import Means

ENCODER = "hashed"


class ReportSection(NamedTuple):
    """What one part of a suite came to on one data set.

    ``settled`` are replays with their settings (``Cell``); ``judged`` is there for protocols.
    """

    part: Part
    data: str
    digest: str
    cost_unit: str
    simulated: bool
    means: Means
    settled: list[tuple[tuple[Any, ...], Result]]
    judged: Judged | None = None

    @property
    def results(self) -> list[Result]:
        """Results without their settings."""
        return [result for _, result in self.settled]


def run_suite(
    suite: Suite, folder: Path, *, jobs: int, progress: Callable[[str, int, int], object]
) -> list[ReportSection]:
    """Run what is missing; ``progress`` is told the data set, how many are done, of how many.

    Raises
    ------
    FloorlineError
        If a part breaks a rule or its data is not there; finished replays stay.
    """
    sections = []
    for part in suite.parts:
        for name in part.data:
            table = _table(part, name)
            means = (table.mean_quality, table.mean_cost)
            section = ReportSection(
                part, name, table.digest, table.cost_unit, table.simulated, means, []
            )
            encoder = make_encoder(ENCODER)
            shown = f"{part.name}: {name}"
            if isinstance(part, Protocols):
                judged = judge(part, table, encoder, folder, partial(progress, shown))
                section = section._replace(judged=judged)
            else:
                data = prepare(table, encoder)
                settled = _replays(
                    part, name, data, table.digest, folder, jobs, partial(progress, shown)
                )
                section = section._replace(settled=settled)
            sections.append(section)
    return sections


def _table(part: Part, name: str) -> RoutingTable:
    if name == "simulated" and part.rows is not None:
        return simulate(part.rows, seed=0)
    return load(name)


def _replays(
    part: Floors | Budgets,
    name: str,
    data: ReplayData,
    digest: str,
    folder: Path,
    jobs: int,
    progress: Callable[[int, int], object],
) -> list[tuple[tuple[Any, ...], Result]]:
    cells = list(part.cells(name, data))
    specs = [cell.spec for cell in cells]
    check(data, specs)
    cache = RunCache(folder / "runs", {"data": digest, "encoder": data.encoder})
    found: dict[int, Result] = {}
    for number, spec in enumerate(specs):
        known = cache.find(spec, Result)
        if known is not None:
            found[number] = known
    progress(len(found), len(specs))
    missing = [number for number in range(len(specs)) if number not in found]
    for position, result in as_finished(data, [specs[n] for n in missing], jobs=jobs):
        cache.keep(result.spec, result)
        found[missing[position]] = result
        progress(len(found), len(specs))
    return [
        (cell.setting, found[number]._replace(label=cell.label))
        for number, cell in enumerate(cells)
    ]
