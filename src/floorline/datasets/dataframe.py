"""Routing tables out of data frames of pandas or Polars."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from floorline._extras import needs
from floorline.errors import InvalidInput

with needs("data", "reading a data frame"):
    import polars as pl

from floorline.datasets.model_columns import ModelColumns, read_models
from floorline.datasets.reading import texts

_WHERE = "data frame"
_MODEL = "{model}"

Columns = str | Mapping[str, str]
"""Column of each model: a pattern such as ``"{model}_score"``, or a mapping from model name."""


def read_dataframe(
    df: Any,
    *,
    prompt: str,
    quality: Columns,
    cost: Columns,
    models: Sequence[str] | None,
    task: str | None,
    latency: Columns | None,
    tokens_out: Columns | None,
) -> dict[str, Any]:
    """Read a data frame as arguments of a ``RoutingTable``; see its ``from_dataframe``.

    Raises
    ------
    InvalidInput
        If ``df`` is no data frame, or an argument names columns that it lacks.
    DataError
        If a cell is no number, out of range or missing; names its row and column.
    """
    names = _column_names(df)
    if models is None:
        models = _models(quality, names)
    columns = {
        model: ModelColumns(
            quality=_column("quality", quality, model, names),
            cost=_column("cost", cost, model, names),
            latency=None if latency is None else _column("latency", latency, model, names),
            tokens_out=(
                None if tokens_out is None else _column("tokens_out", tokens_out, model, names)
            ),
        )
        for model in models
    }
    for field, name in (("prompt", prompt), ("task", task)):
        if name is not None and name not in names:
            raise InvalidInput(field, name, _known(names))
    wanted = {prompt: None, **({} if task is None else {task: None})}
    for one in columns.values():
        parts = (one.quality, one.cost, one.latency, one.tokens_out)
        wanted |= {part: None for part in parts if part is not None}
    frame = pl.DataFrame([_series(df, name) for name in wanted])
    found = read_models(_WHERE, frame, columns, task=task)
    return {"prompts": texts(_WHERE, frame, prompt), **found}


def _column_names(df: Any) -> list[str]:
    if not _is_pandas(df) and not isinstance(df, pl.DataFrame):
        raise InvalidInput("df", df, "give a DataFrame of pandas or Polars")
    names = list(df.columns)
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput("df.columns", name, "give every column its own name")
    return names


def _is_pandas(df: Any) -> bool:
    kind = type(df)
    return kind.__module__.partition(".")[0] == "pandas" and kind.__name__ == "DataFrame"


def _models(quality: Columns, names: Sequence[str]) -> list[str]:
    """Names of the models that have a quality column, in the order of the columns."""
    if not isinstance(quality, str):
        return list(quality)
    before, placeholder, after = quality.partition(_MODEL)
    if not placeholder or (before, after) == ("", ""):
        fix = f"write {_MODEL} and what precedes or follows it, such as '{_MODEL}_quality', or "
        raise InvalidInput("quality", quality, fix + "name the models")
    pattern = re.compile(re.escape(before) + "(.+)" + re.escape(after), re.DOTALL)
    matches = (pattern.fullmatch(name) for name in names if isinstance(name, str))
    found = [match[1] for match in matches if match]
    if not found:
        raise InvalidInput("quality", quality, _known(names))
    return found


def _column(field: str, columns: Columns, model: str, names: Sequence[str]) -> str:
    if isinstance(columns, str):
        name = columns.replace(_MODEL, model)
    elif model in columns:
        name = columns[model]
    else:
        raise InvalidInput(field, dict(columns), f"name the column of model {model!r}")
    if name not in names:
        raise InvalidInput(f"{field} of model {model!r}", name, _known(names))
    return name


def _known(names: Sequence[str]) -> str:
    shown = ", ".join(map(str, names[:20])) + (", …" if len(names) > 20 else "")
    return f"name columns of the data frame: {shown}"


def _series(df: Any, name: str) -> pl.Series:
    series = df[name]
    if isinstance(series, pl.Series):
        return series
    if series.dtype.kind in "biuf":
        return pl.Series(name, series.to_numpy(dtype="float64", na_value=float("nan")))
    # pandas has several marks of a missing value; Polars has one.
    values = series.astype(object).where(series.notna(), None).tolist()
    return pl.Series(name, values, strict=False)
