"""CSV and Parquet files of any layout; the user names the columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from floorline._bounded import parse_json
from floorline.datasets.gaps import Gaps
from floorline.datasets.model_columns import ModelColumns
from floorline.datasets.reading import read_csv, read_parquet, texts
from floorline.datasets.table import RoutingTable
from floorline.datasets.wide import wide_table
from floorline.errors import DataError, InvalidInput

_FIX = (
    "write 'model:quality_column:cost_column,...' or JSON like "
    '{"prompt": "text", "models": {"small": {"quality": "s_ok", "cost": "s_usd"}}}'
)
_KEYS = {"prompt", "task", "cost_unit", "models"}
_MODEL_KEYS = {"quality", "cost", "latency", "tokens_out"}


def load_columns(
    path: str | Path, columns: str | Mapping[str, Any], gaps: Gaps = "mask"
) -> RoutingTable:
    """Read a .csv or .parquet file with one row per prompt.

    Parameters
    ----------
    columns
        A mapping (or the same as JSON) with ``models``: name → ``{"quality", "cost"}`` and
        optionally ``"latency"`` (s) and ``"tokens_out"``; and optionally ``prompt`` (the column
        of the prompts, "prompt" if not given), ``task`` and ``cost_unit`` ("USD" or "J"). Or in
        short ``"model:quality_column:cost_column,..."``.

    Raises
    ------
    InvalidInput
        If ``columns`` is neither of them.
    DataError
        If the file is damaged, lacks a column, or a cell is not a number in its range.
    """
    path = Path(path)
    chosen = parse_columns(columns)
    if path.suffix == ".parquet":
        frame = read_parquet(path)
    elif path.suffix == ".csv":
        frame = read_csv(path)
    else:
        raise DataError(path, "naming columns works for .csv and .parquet files")
    return wide_table(
        path,
        frame,
        chosen["models"],
        prompts=texts(path, frame, chosen["prompt"]),
        task=chosen["task"],
        cost_unit=chosen["cost_unit"],
        name=path.stem,
        source=f"{path.name}, columns named by the user",
        gaps=gaps,
    )


def parse_columns(columns: str | Mapping[str, Any]) -> dict[str, Any]:
    """Check a column mapping and add the defaults.

    Raises
    ------
    InvalidInput
        If the columns of a model's quality or cost are missing.

    Examples
    --------
    >>> parse_columns("small:s_ok:s_usd")["models"]["small"].cost
    's_usd'
    """
    given: Any = columns
    if isinstance(columns, str):
        given = _parse_text(columns)
    if not isinstance(given, Mapping) or not set(given) <= _KEYS or not given.get("models"):
        raise InvalidInput("columns", columns, _FIX)
    models = given["models"]
    if not isinstance(models, Mapping):
        raise InvalidInput("columns", columns, _FIX)
    found = {}
    for name, parts in models.items():
        usable = isinstance(parts, Mapping) and {"quality", "cost"} <= set(parts) <= _MODEL_KEYS
        if not usable or not all(isinstance(part, str) for part in parts.values()):
            raise InvalidInput(f"columns of model {name!r}", parts, _FIX)
        found[str(name)] = ModelColumns(**parts)
    prompt, task = given.get("prompt", "prompt"), given.get("task")
    if not isinstance(prompt, str) or not isinstance(task, str | None):
        raise InvalidInput("columns", columns, _FIX)
    unit = given.get("cost_unit", "USD")
    return {"prompt": prompt, "task": task, "cost_unit": unit, "models": found}


def _parse_text(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return parse_json(text)
        except ValueError as error:
            raise InvalidInput("columns", text, f"not valid JSON; {_FIX}") from error
    models = {}
    for entry in text.split(","):
        parts = [part.strip() for part in entry.rsplit(":", 2)]
        if len(parts) != 3 or not all(parts) or parts[0] in models:
            raise InvalidInput("columns", text, _FIX)
        models[parts[0]] = {"quality": parts[1], "cost": parts[2]}
    return {"models": models}
