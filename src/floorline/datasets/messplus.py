"""The logged inference runs behind MESS+ (arXiv 2505.19947): energy in joules, not money.

Per model ``m``: ``label_m`` (satisfied, 0/1), ``energy_consumption_m`` (J) and
``inference_time_m`` (s); ``input_text`` is the question and ``benchmark_name`` the task.
"""

from __future__ import annotations

import logging
from pathlib import Path

import polars as pl

from floorline.datasets.delimited import read_csv
from floorline.datasets.files import data_name, kind_of
from floorline.datasets.gaps import Gaps
from floorline.datasets.model_columns import ModelColumns
from floorline.datasets.reading import read_parquet, texts
from floorline.datasets.table import RoutingTable
from floorline.datasets.wide import wide_table
from floorline.errors import DataError

log = logging.getLogger("floorline.datasets")

LABEL, ENERGY, TIME = "label_", "energy_consumption_", "inference_time_"
"""Prefixes of a model's columns."""


def load_messplus(path: str | Path, gaps: Gaps = "mask") -> RoutingTable:
    """Read one .csv or .parquet file; costs are in J, latency in s.

    Of several rows with one ``doc_id`` of one benchmark the first counts; the number of the others
    is logged as a warning.

    Raises
    ------
    DataError
        If the file is damaged, has another layout, or a cell is not a number in its range.
    """
    path = Path(path)
    frame = read_parquet(path) if kind_of(path) == "parquet" else read_csv(path)
    frame = _once(path, frame)
    names = [name.removeprefix(LABEL) for name in frame.columns if name.startswith(LABEL)]
    if not names:
        raise DataError(path, f"not the layout of MESS+ logs: no column starts with {LABEL!r}")
    timed = all(TIME + name in frame.columns for name in names)
    models = {
        name: ModelColumns(LABEL + name, ENERGY + name, TIME + name if timed else None)
        for name in names
    }
    return wide_table(
        path,
        frame,
        models,
        prompts=texts(path, frame, "input_text"),
        task="benchmark_name" if "benchmark_name" in frame.columns else None,
        cost_unit="J",
        name=data_name(path),
        source=f"MESS+ inference log, {path.name}",
        gaps=gaps,
    )


def _once(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    """Leave out rows that repeat a question, so that none counts twice."""
    if "doc_id" not in frame.columns:
        return frame
    key = [name for name in ("benchmark_name", "doc_id") if name in frame.columns]
    again = frame.select(pl.struct(key).is_first_distinct().not_()).to_series()
    # Rows without a doc_id are not told apart by it.
    again &= frame["doc_id"].is_not_null()
    if not again.any():
        return frame
    log.warning(
        "%s: %s of %s rows repeat the doc_id of another row: left out",
        path,
        f"{int(again.sum()):,}",
        f"{frame.height:,}",
    )
    return frame.filter(~again)
