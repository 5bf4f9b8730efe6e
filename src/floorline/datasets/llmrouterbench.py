"""LLMRouterBench (also OpenRouterBench): ``bench/<data set>/<split>/<model>/<time>.json``.

Each file is one run of one model: ``dataset_name``, ``split``, ``model_name``, ``demo`` and the
``records``, each with ``index``, ``origin_query``, ``prompt``, ``score``, ``prompt_tokens``,
``completion_tokens`` and ``cost`` (USD).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from floorline._bounded import parse_json
from floorline.datasets.files import SPLITS, open_unpacked
from floorline.datasets.folders import tree_files
from floorline.datasets.gaps import Gaps
from floorline.datasets.json_lines import frame_of
from floorline.datasets.long import Answers, LongColumns, long_table, read_answers
from floorline.datasets.prices import token_costs
from floorline.datasets.table import RoutingTable
from floorline.errors import DataError, listed

log = logging.getLogger("floorline.datasets")

_TIME = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)[T_ -]?(\d\d)[-:_]?(\d\d)[-:_]?(\d\d)")
_EPOCH = re.compile(r"1\d{9}")


class _Record(msgspec.Struct):
    """The fields of a record that a table needs; the answers, most of a file, are skipped."""

    index: Any = None
    origin_query: Any = None
    prompt: Any = None
    score: Any = None
    prompt_tokens: Any = None
    completion_tokens: Any = None
    cost: Any = None


class _File(msgspec.Struct):
    records: list[_Record]
    dataset_name: Any = None
    split: Any = None
    model_name: Any = None
    demo: Any = False


class _Run(NamedTuple):
    path: Path
    time: float
    file: _File


def load_llmrouterbench(
    path: str | Path, gaps: Gaps = "mask", prices: Mapping[str, Any] | None = None
) -> RoutingTable:
    """Read a file, or all files of a folder and of the folders inside.

    Of several runs of one model on one data set and split the newest counts, by the time in the
    file's name, else by the time of the file; runs with ``demo`` count only where there is no
    other. Both are logged. A record without a score is a gap.

    Parameters
    ----------
    path
        A file, or the folder of a model, a split, a data set or all data sets.
    prices
        USD per million tokens by model, instead of the costs of the files, which are 0 for models
        that the authors ran themselves.

    Raises
    ------
    DataError
        If a file is damaged, has another layout, or a value is not a number in its range.
    InvalidInput
        If a model has no price.
    """
    path = Path(path)
    files = tree_files(path) if path.is_dir() else [path]
    if not files:
        raise DataError(path, "no .json file in this folder or in the folders inside")
    runs: dict[tuple[str, str, str], list[_Run]] = {}
    for file in files:
        run = _Run(file, _time_of(file), _read(file))
        runs.setdefault(_identity(run), []).append(run)
    newest = {identity: _newest(several) for identity, several in runs.items()}
    older = [identity for identity, several in runs.items() if len(several) > 1]
    if older:
        example = newest[older[0]].path.name
        names = listed(["/".join(identity) for identity in older])
        log.warning(
            "%s: several runs of %s; the newest of each is read, such as %s", path, names, example
        )
    parts = [_answers(identity, run, prices) for identity, run in newest.items()]
    if prices is None and not any(np.nansum(part.cost) for part in parts):
        log.warning("%s: every call costs 0; give prices with --prices", path)
    return long_table(
        path,
        parts,
        name=path.name if path.is_dir() else "/".join(next(iter(newest))[:2]),
        source=f"LLMRouterBench layout, {path.name}",
        gaps=gaps,
    )


def _read(path: Path) -> _File:
    with open_unpacked(path) as stream:
        body = stream.read()
    try:
        return msgspec.json.decode(body, type=_File)
    except msgspec.DecodeError:
        # Python writes NaN and Infinity, which are no JSON.
        pass
    try:
        return msgspec.convert(parse_json(body), type=_File)
    except msgspec.ValidationError as error:
        problem = "not LLMRouterBench's layout: give an object with a list of objects, records"
        raise DataError(path, problem) from error
    except ValueError as error:
        raise DataError(path, "a damaged JSON file, or none at all") from error


def _identity(run: _Run) -> tuple[str, str, str]:
    """Return the data set, split and model of a run, from its file or else from its folders."""
    folders = [*("" for _ in range(3)), *(part.name for part in reversed(run.path.parents))][-3:]
    given = (run.file.dataset_name, run.file.split, run.file.model_name)
    dataset, split, model = (
        str(name) if name else folder for name, folder in zip(given, folders, strict=True)
    )
    return dataset, split, model or run.path.stem


def _newest(runs: list[_Run]) -> _Run:
    return max(runs, key=lambda run: (not run.file.demo, run.time))


def _time_of(path: Path) -> float:
    """Return the time in a file's name in seconds of Unix time, else the time of the file."""
    for match in reversed(list(_TIME.finditer(path.stem))):
        try:
            return datetime(*map(int, match.groups()), tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]
        except ValueError:
            continue
    if _EPOCH.fullmatch(path.stem):
        return float(path.stem)
    return path.stat().st_mtime


def _answers(
    identity: tuple[str, str, str], run: _Run, prices: Mapping[str, Any] | None
) -> Answers:
    dataset, split, model = identity
    if not run.file.records:
        raise DataError(run.path, "it has no records", column="records")
    rows = [msgspec.structs.asdict(record) for record in run.file.records]
    frame = frame_of({**row, "model": model, "task": dataset} for row in rows)
    prompt = (
        "prompt" if "prompt" in frame.columns and not _lacks(frame, "prompt") else "origin_query"
    )
    columns = LongColumns(
        prompt=prompt,
        model="model",
        quality="score",
        cost="cost" if prices is None else None,
        task="task",
        tokens_in="prompt_tokens",
        tokens_out="completion_tokens",
        # Another query under the same index is another prompt.
        key=("index", "origin_query") if "origin_query" in frame.columns else ("index", "prompt"),
    )
    answers = read_answers(run.path, frame, columns, split=SPLITS.get(split.lower(), ""))
    if prices is not None and answers.tokens_in is not None and answers.tokens_out is not None:
        paid = token_costs(answers.model, prices, answers.tokens_in, answers.tokens_out)
        answers = replace(answers, cost=paid)
    return replace(answers, key=[(dataset, split, part) for part in answers.key])


def _lacks(frame: Any, column: str) -> bool:
    return bool(frame[column].is_null().any())
