"""Files of any layout; the columns are named by the user, or guessed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from floorline._bounded import parse_json
from floorline.datasets.files import data_name, split_of
from floorline.datasets.gaps import Gaps
from floorline.datasets.guess import Guess, LongGuess, guess_columns
from floorline.datasets.long import LongColumns, long_table, read_answers
from floorline.datasets.model_columns import ModelColumns
from floorline.datasets.reading import read_frame, texts
from floorline.datasets.table import RoutingTable
from floorline.datasets.wide import wide_table
from floorline.errors import DataError, InvalidInput, listed

log = logging.getLogger("floorline.datasets")

_FIX = (
    "write 'prompt=COLUMN,model:quality_column:cost_column,...' or JSON like "
    '{"prompt": "text", "models": {"small": {"quality": "s_ok", "cost": "s_usd"}}}; for one row '
    "per answer 'prompt=COLUMN,model=COLUMN,quality=COLUMN,cost=COLUMN'"
)
_KEYS = {"prompt", "task", "cost_unit", "models"}
_LONG_KEYS = {
    *("prompt", "task", "cost_unit", "model", "quality", "cost", "latency"),
    *("tokens_in", "tokens_out", "key"),
}
_MODEL_KEYS = {"quality", "cost", "latency", "tokens_out"}


def load_columns(
    path: str | Path, columns: str | Mapping[str, Any] | None = None, gaps: Gaps = "mask"
) -> RoutingTable:
    """Read a CSV, TSV, JSON or Parquet file with one row per prompt or one per answer.

    Parameters
    ----------
    columns
        A mapping (or the same as JSON) with ``models``: name → ``{"quality", "cost"}`` and
        optionally ``"latency"`` (s) and ``"tokens_out"``; and optionally ``prompt`` (the column
        of the prompts, "prompt" if not given), ``task`` and ``cost_unit`` ("USD" or "J"). A model
        without ``cost`` costs nothing. Or in short
        ``"prompt=COLUMN,model:quality_column:cost_column,..."``. For a file with one row per answer
        ``model`` (the column of the models' names), ``quality``, ``prompt`` and optionally
        ``cost``, ``task``, ``latency``, ``tokens_in``, ``tokens_out``, ``cost_unit`` and ``key``
        (the column that identifies a prompt, if its text does not). If None, the columns are
        guessed from their names, and the guess is logged.

    Raises
    ------
    InvalidInput
        If ``columns`` is neither of them.
    DataError
        If the file is damaged, lacks a column, a cell is not a number in its range, or no columns
        can be guessed.
    """
    path = Path(path)
    named = None if columns is None else parse_columns(columns)
    frame = read_frame(path)
    chosen = _guess(path, frame.columns) if named is None else named
    if isinstance(chosen, LongGuess):
        if chosen.columns.cost is None:
            log.warning("%s: without a column of costs, each call costs 0", path)
        return long_table(
            path,
            [read_answers(path, frame, chosen.columns, split=split_of(path))],
            name=data_name(path),
            source=_source(path, named),
            gaps=gaps,
            cost_unit=chosen.cost_unit,
        )
    free = [name for name, one in chosen.models.items() if one.cost is None]
    if free:
        log.warning("%s: without a column of costs, each call costs 0: %s", path, listed(free))
    return wide_table(
        path,
        frame,
        chosen.models,
        prompts=texts(path, frame, chosen.prompt),
        task=chosen.task,
        cost_unit=chosen.cost_unit,
        name=data_name(path),
        source=_source(path, named),
        gaps=gaps,
    )


def _source(path: Path, named: object) -> str:
    return f"{path.name}, columns {'guessed' if named is None else 'named by the user'}"


def _guess(path: Path, names: Sequence[str]) -> Guess | LongGuess:
    guess = guess_columns(names)
    if isinstance(guess, str):
        raise DataError(
            path,
            f"not a known layout, and {guess}. Name the columns with --columns (columns= in "
            f"Python): prompt=COLUMN,MODEL:QUALITY:COST,..., or for one row per answer "
            f"prompt=COLUMN,model=COLUMN,quality=COLUMN,cost=COLUMN; there are "
            f"{listed([repr(name) for name in names])}",
        )
    log.warning("%s: columns by their names: --columns '%s'", path, guess.option)
    return guess


def parse_columns(columns: str | Mapping[str, Any]) -> Guess | LongGuess:
    """Check a column mapping and add the defaults.

    Raises
    ------
    InvalidInput
        If the columns of a model's quality or cost are missing.

    Examples
    --------
    >>> parse_columns("prompt=text,small:s_ok:s_usd").models["small"].cost
    's_usd'
    >>> parse_columns("prompt=text,model=llm,quality=ok,cost=usd").columns.model
    'llm'
    """
    given: Any = columns
    if isinstance(columns, str):
        given = _parse_text(columns)
    if isinstance(given, Mapping) and "model" in given and "models" not in given:
        return _parse_long(columns, given)
    if not isinstance(given, Mapping) or not set(given) <= _KEYS or not given.get("models"):
        raise InvalidInput("columns", columns, _FIX)
    models = given["models"]
    if not isinstance(models, Mapping):
        raise InvalidInput("columns", columns, _FIX)
    found = {}
    for name, parts in models.items():
        usable = isinstance(parts, Mapping) and {"quality"} <= set(parts) <= _MODEL_KEYS
        if not usable or not all(isinstance(part, str) for part in parts.values()):
            raise InvalidInput(f"columns of model {name!r}", parts, _FIX)
        found[str(name)] = ModelColumns(**parts)
    prompt, task = given.get("prompt", "prompt"), given.get("task")
    if not isinstance(prompt, str) or not isinstance(task, str | None):
        raise InvalidInput("columns", columns, _FIX)
    return Guess(prompt, task, found, _unit(given.get("cost_unit", "USD")))


def _parse_long(columns: object, given: Mapping[str, Any]) -> LongGuess:
    usable = {"model", "quality"} <= set(given) <= _LONG_KEYS
    if not usable or not all(isinstance(value, str) and value for value in given.values()):
        raise InvalidInput("columns", columns, _FIX)
    parts = dict(given)
    unit, key = _unit(parts.pop("cost_unit", "USD")), parts.pop("key", None)
    prompt = parts.pop("prompt", "prompt")
    return LongGuess(LongColumns(prompt, **parts, key=() if key is None else (key,)), unit)


def _unit(given: object) -> str:
    if given not in ("USD", "J"):
        raise InvalidInput("cost_unit of the columns", given, "give USD or J")
    return str(given)


def _parse_text(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return parse_json(text)
        except ValueError as error:
            raise InvalidInput("columns", text, f"not valid JSON; {_FIX}") from error
    models: dict[str, dict[str, str]] = {}
    others: dict[str, str] = {}
    for entry in text.split(","):
        key, equals, value = (part.strip() for part in entry.partition("="))
        if equals and key in (_KEYS | _LONG_KEYS) - {"models", *others} and value:
            others[key] = value
            continue
        parts = [part.strip() for part in entry.rsplit(":", 2)]
        if len(parts) == 2:
            parts.append("")
        name, quality, cost = parts if len(parts) == 3 else ("", "", "")
        if not name or not quality or name in models:
            raise InvalidInput("columns", text, _FIX)
        models[name] = {"quality": quality, **({"cost": cost} if cost else {})}
    return {**others, "models": models} if models or "model" not in others else others
