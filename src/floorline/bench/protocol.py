"""Parts of a suite that evaluate policies by PROTEUS's protocol, and train it if needed."""

from __future__ import annotations

import hashlib
import importlib.util
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from floorline._markdown import markdown_table
from floorline.bench.cache import RunCache
from floorline.bench.suite import Protocols
from floorline.datasets import RoutingTable
from floorline.encoders import Encoder
from floorline.errors import FloorlineError, MissingExtra
from floorline.estimators.proteus_checkpoint import read_metadata
from floorline.replay.data import prepare
from floorline.replay.progress import ReplayProgress
from floorline.replay.proteus.moving_floors import Tracking, track, tracking_table
from floorline.replay.proteus.protocol import Protocol, level_table, measure, summary_table
from floorline.report.plots import PERCENT, colour, save_figure
from floorline.training import Parts, TrainingSettings, split_parts, target_range
from floorline.training.train_checkpoint import train_checkpoint


class Evaluation(NamedTuple):
    """Results of PROTEUS's protocol.

    Parameters
    ----------
    protocols
        Metrics of every policy on every split.
    tracked
        Metrics of every policy with moving floors, on the first split.
    """

    protocols: list[Protocol]
    tracked: list[Tracking]


class _Split(msgspec.Struct):
    """Results of one split, as stored in the cache."""

    protocols: list[Protocol]
    tracked: list[Tracking]


def evaluate(
    part: Protocols,
    table: RoutingTable,
    encoder: Encoder,
    folder: Path,
    progress: ReplayProgress,
    shown: str,
) -> Evaluation:
    """Evaluate every policy of a part on every split.

    Trained networks and results are stored in ``folder`` and reused.

    Parameters
    ----------
    part
        The part of the suite.
    table
        The data.
    encoder
        Encoder of the prompts.
    folder
        Folder of the report.
    progress, shown
        Shows the splits, and what it calls them.

    Raises
    ------
    MissingExtra
        If a network must be trained and PyTorch is not installed.
    """
    cache = RunCache(folder / "runs", {"data": table.digest, "encoder": encoder.fingerprint})
    found: list[_Split] = []
    progress.begin(shown, ["split"] * part.splits, 1)
    for split in range(part.splits):
        key = {"part": part, "split": split}
        result = cache.find(key, _Split)
        if result is None:
            began = time.monotonic()
            result = _evaluate_split(part, table, encoder, folder / "checkpoints", split)
            cache.keep(key, result)
            progress.finished(split, time.monotonic() - began)
        else:
            progress.finished(split)
        found.append(result)
    return Evaluation(
        [protocol for one in found for protocol in one.protocols],
        [tracking for one in found for tracking in one.tracked],
    )


def _evaluate_split(
    part: Protocols, table: RoutingTable, encoder: Encoder, folder: Path, split: int
) -> _Split:
    parts = split_parts(table, seed=split)
    targets = target_range(parts.train)
    test = prepare(parts.test, encoder)
    past = prepare(RoutingTable.concat([parts.train, parts.validation], table.name), encoder)
    protocols, tracked = [], []
    for tested in part.policies:
        parameters = dict(tested.parameters)
        if tested.policy == "proteus":
            settings = TrainingSettings(targets=targets, seed=split, **parameters)
            checkpoint = _checkpoint(table, parts, encoder, settings, folder)
            parameters = {"checkpoint": str(checkpoint)}
        history = past if tested.history else None
        measured = measure(
            test, tested.policy, targets=targets, history=history, parameters=parameters, seed=split
        )
        protocols.append(msgspec.structs.replace(measured, policy=tested.shown))
        if part.moving and split == 0:
            # The oracle plans for a single floor, so it cannot follow floors that move.
            runs = (
                track(test, tested.policy, targets=targets, history=history, parameters=parameters)
                if tested.policy != "oracle"
                else []
            )
            tracked += [msgspec.structs.replace(run, policy=tested.shown) for run in runs]
    return _Split(protocols, tracked)


def _checkpoint(
    table: RoutingTable, parts: Parts, encoder: Encoder, settings: TrainingSettings, folder: Path
) -> Path:
    """Return the folder of a trained network, which is trained first if it does not exist."""
    words = msgspec.json.encode([settings, parts.train.digest, encoder.fingerprint])
    path = folder / hashlib.sha256(words).hexdigest()[:16]
    try:
        read_metadata(path)
    except FloorlineError:
        if importlib.util.find_spec("torch") is None:
            raise MissingExtra("training PROTEUS for a suite", "train") from None
        train_checkpoint(table, parts, encoder, settings, path, resume=True)
    return path


def markdown(evaluation: Evaluation, cost_unit: str) -> Iterator[str]:
    """Yield tables of the means over splits, the floors of the first split and moving floors."""
    labels = list(dict.fromkeys(p.policy for p in evaluation.protocols))
    means = [average([p for p in evaluation.protocols if p.policy == label]) for label in labels]
    yield from ["### All splits", "", _markdown(summary_table(means)), ""]
    for label in labels:
        first = next(p for p in evaluation.protocols if p.policy == label)
        yield from [f"### {label}, each floor on the first split", ""]
        yield from [_markdown(level_table(first, cost_unit=cost_unit)), ""]
    if evaluation.tracked:
        yield from ["### Moving floors", ""]
        yield from [_markdown(tracking_table(evaluation.tracked, cost_unit=cost_unit)), ""]


def average(runs: Sequence[Protocol]) -> Protocol:
    """Return the means of the summary's metrics over splits, with the levels of the first split."""
    fields = ("compliance", "pearson", "spearman", "pearson_mu", "within_2", "within_5")
    means: dict[str, Any] = {}
    for field in (*fields, "cost_range", "gap"):
        values = [getattr(run, field) for run in runs if getattr(run, field) is not None]
        means[field] = float(np.mean(values)) if values else None
    return msgspec.structs.replace(runs[0], **means)


def response(evaluation: Evaluation, path: Path, title: str) -> Path:
    """Plot accuracy and mean μ against τ: one line per policy, and a faint one per split."""
    figure = Figure(figsize=(10.0, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    labels = list(dict.fromkeys(p.policy for p in evaluation.protocols))
    floors = [level.floor for p in evaluation.protocols for level in p.levels]
    ends = [min(floors), max(floors)]
    left.plot(ends, ends, "k--", linewidth=1.2, label="τ")
    for position, label in enumerate(labels):
        runs = [p for p in evaluation.protocols if p.policy == label]
        floor, accuracy = _levels(runs, "floor"), _levels(runs, "accuracy")
        line = colour(label, position)
        left.plot(floor.T, accuracy.T, color=line, alpha=0.2, linewidth=0.8)
        left.plot(floor.mean(axis=0), accuracy.mean(axis=0), marker="o", color=line, label=label)
        if all(level.mu is not None for run in runs for level in run.levels):
            right.plot(floor.mean(axis=0), _levels(runs, "mu").mean(axis=0), "o-", color=line)
    for axes, quantity in ((left, "accuracy"), (right, "mean preference μ")):
        axes.set_xlabel("τ")
        axes.set_ylabel(quantity)
        axes.grid(alpha=0.25)
        axes.xaxis.set_major_formatter(PERCENT)
    left.yaxis.set_major_formatter(PERCENT)
    return save_figure(figure, path, title, legend=left)


def _levels(runs: Sequence[Protocol], field: str) -> Any:
    """Return (splits, floors) values of a field of the levels."""
    return np.array([[getattr(level, field) for level in run.levels] for run in runs])


def _markdown(table: Table) -> str:
    """Return a rich table in Markdown."""
    header = [str(column.header) for column in table.columns]
    return markdown_table(header, zip(*(column.cells for column in table.columns), strict=True))
