"""A replay's decisions as a submission to RouterArena."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from floorline.cli.terminal import console
from floorline.datasets import RoutingTable
from floorline.datasets.folders import format_of
from floorline.datasets.registry import locate
from floorline.errors import InvalidInput
from floorline.replay.data import ReplayData
from floorline.replay.run import replay
from floorline.replay.spec import Spec

if TYPE_CHECKING:
    from floorline.datasets.routerarena import Submission


def check_whole(path: Path, policies: list[str], floors: list[float], **parts: object) -> None:
    """Check that a replay gives one submission of all rows, before it starts.

    Parameters
    ----------
    path
        The file to write.
    parts
        Options that leave requests out, by name; each must be 0 or None.

    Raises
    ------
    InvalidInput
        If it does not, or there is no folder to write into.
    """
    if not path.parent.is_dir():
        raise InvalidInput("--submission", str(path), f"there is no folder {path.parent}")
    for option, given in (("--policy", policies), ("--floor", floors)):
        if len(given) != 1:
            raise InvalidInput(option, given, "with --submission give one")
    for name, value in parts.items():
        if value:
            fix = "a submission decides every request of the data: leave it out"
            raise InvalidInput(f"--{name}", value, fix)


def row_indices(data: str, table: RoutingTable) -> list[str]:
    """Return the ``global_index`` of each row of a table that was loaded from ``data``.

    Raises
    ------
    InvalidInput
        If the data are not RouterArena's.
    """
    # Polars, which this module needs, is an extra.
    from floorline.datasets.routerarena import global_indices

    path = locate(data) if data != "simulated" else None
    if path is None or format_of(path) != "routerarena":
        fix = "--submission needs a folder of RouterArena's cached results"
        raise InvalidInput("--data", data, fix)
    return global_indices(path, table)


def export(
    data: ReplayData, table: RoutingTable, indices: list[str], spec: Spec, path: Path
) -> Submission:
    """Replay one specification, write its submission and print its score.

    Raises
    ------
    InvalidInput
        If the replay does not serve every row of the table.
    DataError
        If the file cannot be written.
    """
    from floorline.datasets.routerarena import make_submission, write_submission

    run = replay(data, spec)
    submission = make_submission(table, indices, run.row, run.model, name=path.stem)
    for written in write_submission(submission, path):
        console.print(f"wrote {written}", highlight=False, soft_wrap=True)
    console.print(
        f"RouterArena score of seed {spec.seed}: {submission.score:.4f} (accuracy "
        f"{submission.accuracy:.4f}, ${submission.cost_per_1000:.4f} per 1,000 requests)",
        highlight=False,
        soft_wrap=True,
    )
    extra = float((run.cost - run.served_cost).sum()) / len(run.row) * 1000
    if extra > 0:
        console.print(
            f"The calls of exploration cost ${extra:.4f} more per 1,000 requests; RouterArena does "
            "not count them.",
            highlight=False,
            soft_wrap=True,
        )
    return submission
