"""Execution of a suite: every replay whose result is not stored yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from floorline.bench.cache import RunCache
from floorline.bench.protocol import Evaluation, evaluate
from floorline.bench.suite import Budgets, Floors, Part, Protocols, Suite
from floorline.datasets import RoutingTable, load, simulate
from floorline.encoders import make_encoder
from floorline.replay.compare import Failure, ReplaysFailed, as_finished, check, kind_of
from floorline.replay.data import ReplayData, prepare
from floorline.replay.engines import Engine
from floorline.replay.progress import ReplayProgress
from floorline.replay.results import Result
from floorline.replay.tables import Means

ENCODER = "hashed"
"""Encoder of all suites; it needs no fitting and no download."""


class ReportSection(NamedTuple):
    """Results of one part of a suite on one data set.

    Parameters
    ----------
    part
        The part of the suite.
    data, digest, simulated
        Name and digest of the data set, and whether it is simulated.
    cost_unit
        Unit of its costs.
    means
        (M,) mean quality and (M,) mean cost of its models.
    settled
        Results of the replays with their settings (``Cell.setting``).
    evaluation
        Results of PROTEUS's protocol; None for other parts.
    """

    part: Part
    data: str
    digest: str
    cost_unit: str
    simulated: bool
    means: Means
    settled: list[tuple[tuple[Any, ...], Result]]
    evaluation: Evaluation | None = None

    @property
    def results(self) -> list[Result]:
        """Results of the replays without their settings."""
        return [result for _, result in self.settled]


def run_suite(
    suite: Suite, folder: Path, *, engine: Engine, progress: ReplayProgress
) -> list[ReportSection]:
    """Run all replays of a suite whose results are not stored in the folder.

    Parameters
    ----------
    suite
        The suite.
    folder
        Folder of the report.
    engine
        Where the replays run. Those of PROTEUS's protocol run in this process, because they train
        networks and write them to the folder.
    progress
        Shows the replays of each part and data set.

    Returns
    -------
    One section per part and data set

    Raises
    ------
    FloorlineError
        If a part breaks a rule or its data is missing. Finished replays stay stored.
    ReplaysFailed
        At the end, if replays failed. All others finished and are stored.
    """
    sections: list[ReportSection] = []
    failures: list[Failure] = []
    count = sum(len(part.data) for part in suite.parts)
    for part in suite.parts:
        for name in part.data:
            table = _table(part, name)
            means = (table.mean_quality, table.mean_cost)
            section = ReportSection(
                part, name, table.digest, table.cost_unit, table.simulated, means, []
            )
            encoder = make_encoder(ENCODER)
            shown = f"{len(sections) + 1}/{count} {part.name}: {name}"
            if isinstance(part, Protocols):
                evaluation = evaluate(part, table, encoder, folder, progress, shown)
                section = section._replace(evaluation=evaluation)
            else:
                data = prepare(table, encoder)
                try:
                    settled = _replays(
                        part, name, data, table.digest, folder, engine, progress, shown
                    )
                except ReplaysFailed as error:
                    failures += error.failures
                else:
                    section = section._replace(settled=settled)
            sections.append(section)
    if failures:
        raise ReplaysFailed(failures)
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
    engine: Engine,
    progress: ReplayProgress,
    shown: str,
) -> list[tuple[tuple[Any, ...], Result]]:
    cells = list(part.cells(name, data))
    specs = [cell.spec for cell in cells]
    check(data, specs)
    cache = RunCache(folder / "runs", {"data": digest, "encoder": data.encoder})
    progress.begin(shown, [kind_of(spec) for spec in specs], engine.slots)
    found: dict[int, Result] = {}
    for number, spec in enumerate(specs):
        result = cache.find(spec, Result)
        if result is not None:
            found[number] = result
            progress.finished(number)
    missing = [number for number in range(len(specs)) if number not in found]
    for done in as_finished(data, [specs[n] for n in missing], engine=engine):
        cache.keep(done.result.spec, done.result)
        found[missing[done.number]] = done.result
        progress.finished(missing[done.number], done.seconds)
    return [
        (cell.setting, found[number]._replace(label=cell.label))
        for number, cell in enumerate(cells)
    ]
