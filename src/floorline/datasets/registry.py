"""Routing data by name or by path, one file or the mix of a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from floorline._extras import needs
from floorline.datasets.files import SUFFIXES, data_files, data_name, kind_of
from floorline.datasets.folders import FOLDER_FORMATS, folder_format, named_parts
from floorline.datasets.gaps import Gaps, quiet
from floorline.datasets.simulated import MODELS, simulate
from floorline.datasets.table import RoutingTable
from floorline.errors import DataError, InvalidInput, did_you_mean, listed

FOLDER_VARIABLE = "FLOORLINE_DATA"
"""Environment variable that names the folder of the named data sets."""


@dataclass(frozen=True)
class Available:
    """A data set that ``load`` finds by ``name``; ``problem`` says why not, if it cannot."""

    name: str
    rows: int
    models: int
    problem: str = ""


def load(
    spec: str | Path,
    *,
    format: str | None = None,
    columns: str | Mapping[str, Any] | None = None,
    gaps: Gaps = "mask",
    prices: Mapping[str, Any] | None = None,
) -> RoutingTable:
    """Load routing data by name or path.

    The files of a folder are mixed into one table if they have the same models, the same cost
    unit and different prompts. A folder of LLMRouterBench or RouterArena, whose files have the
    answers of one model each, is one table.

    Parameters
    ----------
    spec
        "simulated", a name inside the folder that ``FLOORLINE_DATA`` names ("messplus/boolq";
        "messplus" for all of it), or the path of a file or folder.
    format
        One of ``formats.FORMATS``; told from each file if not given. The pool of RouterEval and the
        score of MixInstruct may follow, as in "routereval:hard/10/strong_to_weak" and
        "mixinstruct:bartscore".
    columns
        Which columns of a file of another layout hold what, see ``load_columns``; guessed from
        their names, and the guess logged, if not given.
    gaps
        "mask" or "drop" rows in which scores are missing.
    prices
        For formats that hold tokens or texts instead of costs: USD per million tokens by model.

    Raises
    ------
    InvalidInput
        If there is no such data set, format or column mapping, or the files of a folder cannot be
        mixed.
    DataError
        If the data is damaged.

    Examples
    --------
    >>> load("simulated")
    RoutingTable('simulated', 10,000 × 8, simulated)
    """
    if str(spec) == "simulated" and format is None:
        return simulate()
    with needs("data", "reading routing data"):
        from floorline.datasets.formats import load_file

    path = locate(spec)
    # Named columns are those of each file.
    if path.is_dir() and columns is None and (whole := _whole(path, format)):
        return load_file(path, format=whole, gaps=gaps, prices=prices)
    files = _files(path)
    if not files:
        raise DataError(path, "no file of routing data in this folder: " + ", ".join(SUFFIXES))
    tables = [
        load_file(file, format=format, columns=columns, gaps=gaps, prices=prices) for file in files
    ]
    if not path.is_dir():
        return tables[0]
    reason = _obstacle(tables)
    if reason:
        named = {file: name for name, file in _names().items()}
        choices = ", ".join(named.get(file, str(file)) for file in files)
        raise InvalidInput("data set", str(spec), f"{reason}; name one of {choices}")
    return _mix(tables, path.name)


def locate(spec: str | Path) -> Path:
    """Return the file or folder of a path or of a name inside the folder of data.

    Raises
    ------
    InvalidInput
        If there is none.
    """
    return Path(spec) if _exists(spec) else _find(str(spec))


def available() -> list[Available]:
    """List the simulated zoo and the contents of the folder that ``FLOORLINE_DATA`` names.

    A folder is listed if its files can be mixed; its files always are.

    Examples
    --------
    >>> available()[0]
    Available(name='simulated', rows=10000, models=8, problem='')
    """
    found = [Available("simulated", 10_000, len(MODELS))]
    names = _names()
    if not names:
        return found
    with needs("data", "reading routing data"):
        from floorline.datasets.formats import load_file

    parts_of = {name: _parts(path) for name, path in names.items()}
    tables: dict[Path, RoutingTable] = {}
    problems: dict[Path, str] = {}
    with quiet():
        for path in dict.fromkeys(part for parts in parts_of.values() for part in parts):
            try:
                tables[path] = load_file(path, format=_whole(path, None) or None)
            except (DataError, InvalidInput, ImportError) as error:
                problems[path] = str(error)
    for name, path in names.items():
        parts = [tables[part] for part in parts_of[name] if part in tables]
        if path in problems:
            found.append(Available(name, 0, 0, problems[path]))
        elif len(parts) == len(parts_of[name]) and (_whole(path, None) or not _obstacle(parts)):
            models = {model for part in parts for model in part.models}
            found.append(Available(name, sum(map(len, parts)), len(models)))
    return found


def data_folder() -> Path | None:
    """Return the folder that ``FLOORLINE_DATA`` names, None if it names none."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named and Path(named).is_dir() else None


def _no_folder() -> str:
    """Say why there are no named data sets but the simulated one."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return f"{FOLDER_VARIABLE} is {named!r}, which is no folder"
    return f"set {FOLDER_VARIABLE} to a folder of data for more"


def _obstacle(tables: Sequence[RoutingTable]) -> str:
    """Return why these tables cannot be mixed, an empty text if they can."""
    first = tables[0]
    for table in tables:
        for has, lacks in ((first, table), (table, first)):
            missing = [name for name in has.models if name not in lacks.models]
            if missing:
                which = f"{has.name} has {missing[0]}, {lacks.name} does not"
                return f"its files hold different models ({which})"
        if table.cost_unit != first.cost_unit:
            return f"its files hold costs in {first.cost_unit} and in {table.cost_unit}"
    seen: dict[frozenset[str], str] = {}
    for table in tables:
        prompts = frozenset(table.prompts)
        if prompts in seen:
            return f"its files {seen[prompts]} and {table.name} hold the same prompts"
        seen[prompts] = table.name
    return ""


def _mix(tables: Sequence[RoutingTable], name: str) -> RoutingTable:
    models = tables[0].models
    return RoutingTable.concat([table.select_models(models) for table in tables], name)


def _files(path: Path) -> list[Path]:
    return data_files(path) if path.is_dir() else [path]


def _parts(path: Path) -> list[Path]:
    """Return the files or folders that hold the rows of a data set, each a table of its own."""
    whole = _whole(path, None)
    if not whole:
        return _files(path)
    return [part for part in named_parts(path, whole).values() if part != path] or [path]


def _whole(path: Path, format: str | None) -> str:
    """Return the format of a folder that is one table, "" if its files are tables."""
    if format is None:
        return folder_format(path) if path.is_dir() else ""
    return format if format in FOLDER_FORMATS else ""


def _names() -> dict[str, Path]:
    root = data_folder()
    if root is None:
        return {}
    names = {}
    for folder in sorted(p for p in root.iterdir() if p.is_dir()):
        files = data_files(folder)
        whole = folder_format(folder)
        if files or whole:
            names[folder.name] = folder
        for part, inside in named_parts(folder, whole).items():
            names[f"{folder.name}/{part}"] = inside
        for file in [] if whole else files:
            names.setdefault(f"{folder.name}/{data_name(file)}", file)
    return names


def _exists(spec: str | Path) -> bool:
    """Whether there is such a file or folder; a text that can name none is no path."""
    try:
        return str(spec) != "" and Path(spec).exists()
    except (OSError, ValueError):
        return False


def _find(name: str) -> Path:
    names = _names()
    if name in names:
        return names[name]
    known = ["simulated", *names]
    near = did_you_mean(name, known)
    parent = Path(name).parent
    if kind_of(Path(name)) and _exists(parent) and parent.is_dir():
        files = [str(file) for file in data_files(parent)]
        near = did_you_mean(name, files) or near
        if files and not near:
            near = f"there are {listed(files)} beside it; "
    hint = "" if data_folder() else f"; {_no_folder()}"
    fix = f"no such file or name; {near}known: {', '.join(known)}{hint}"
    raise InvalidInput("data set", name, fix)
