"""RouterBench (Hu et al. 2024, arXiv 2403.12031) in its own column layout.

``sample_id, prompt, eval_name``, then per model its score (0–1), ``<model>|model_response`` and
``<model>|total_cost`` (USD); the whole data set adds ``oracle_model_to_route_to``. Prompts are
written as Python lists of texts.
"""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

import polars as pl

from floorline.datasets.delimited import read_csv
from floorline.datasets.files import check_file, data_name, kind_of
from floorline.datasets.gaps import Gaps
from floorline.datasets.model_columns import ModelColumns
from floorline.datasets.pickles import read_pickled_frame
from floorline.datasets.reading import read_parquet, texts
from floorline.datasets.table import RoutingTable
from floorline.datasets.wide import wide_table
from floorline.errors import DataError

COST = "|total_cost"
"""Suffix of the name of a model's cost column."""

RESPONSE = "|model_response"
"""Suffix of the name of the column of a model's responses."""
SUFFIXES = (".csv", ".parquet", ".pkl", ".pickle")
"""Files this loader reads."""


def load_routerbench(path: str | Path, gaps: Gaps = "mask") -> RoutingTable:
    """Read one file.

    Parameters
    ----------
    path
        A .csv, .parquet or .pkl file; pickles need the extra ``fetch``.
    gaps
        "mask" keeps rows in which a score is missing, "drop" leaves them out; either way their
        number is logged as a warning.

    Raises
    ------
    DataError
        If the file is damaged, has another layout, or a cell is not a number in its range.
    MissingExtra
        If a pickle is to be read without pandas.
    """
    path = Path(path)
    frame = _read(path)
    models = _find_models(path, frame)
    return wide_table(
        path,
        frame,
        models,
        prompts=plain_prompts(texts(path, frame, "prompt")),
        task="eval_name" if "eval_name" in frame.columns else None,
        cost_unit="USD",
        name=data_name(path),
        source=f"RouterBench layout, {path.name}",
        gaps=gaps,
    )


def plain_prompts(written: list[str]) -> list[str]:
    r"""Turn prompts written as Python lists of texts into plain texts; leave others as they are.

    Examples
    --------
    >>> plain_prompts(["['Hello.', 'How are you?']", "[not a list"])
    ['Hello.\nHow are you?', '[not a list']
    """
    with warnings.catch_warnings():
        # Python warns about some backslash sequences that prompts contain.
        warnings.simplefilter("ignore")
        return [_plain(text) for text in written]


def _plain(text: str) -> str:
    if not text.startswith("["):
        return text
    try:
        turns = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    if isinstance(turns, list) and turns and all(isinstance(turn, str) for turn in turns):
        return "\n".join(turns)
    return text


def _read(path: Path) -> pl.DataFrame:
    def wanted(name: str) -> bool:
        return not name.endswith(RESPONSE)

    kind = kind_of(path)
    if kind == "pickle":
        return read_pickled_frame(path, wanted)
    if kind == "parquet":
        return read_parquet(path, wanted)
    if kind == "csv":
        return read_csv(path, wanted)
    check_file(path)
    raise DataError(path, "RouterBench comes as " + ", ".join(SUFFIXES))


def _find_models(path: Path, frame: pl.DataFrame) -> dict[str, ModelColumns]:
    named = [name.removesuffix(COST) for name in frame.columns if name.endswith(COST)]
    if not named:
        raise DataError(path, f"not RouterBench's layout: no column ends in {COST!r}")
    for name in named:
        if name not in frame.columns:
            raise DataError(path, "there is a cost but no score column", column=name)
    # The order of the score columns is the same in all files; that of the cost columns is not.
    ordered = [name for name in frame.columns if name in set(named)]
    return {name: ModelColumns(name, name + COST) for name in ordered}
