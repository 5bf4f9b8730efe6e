"""Export of the log as a table for other programs: JSON lines or Parquet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from floorline._extras import needs
from floorline._files import writing_whole
from floorline.core.features import dense
from floorline.errors import InvalidInput
from floorline.events import Decision, Event, Recall, SlaChange, ZooChange
from floorline.stores.reading import LogReader

FORMATS = (".jsonl", ".parquet")
"""Suffixes of the formats."""
_PART_ROWS = 20_000
"""Rows of a Parquet file that are in memory at once. With 1,024 features they take 80 MB."""
_COUNTS = (
    "position", "seq", "index", "input_tokens", "output_tokens", "cached_tokens",
    "cache_write_tokens", "rows", "head_tokens",
)  # fmt: skip
_NUMBERS = (
    "at", "floor", "cost", "latency", "first_token", "score", "weight", "influence",
    "conversation_turns", "rate",
)  # fmt: skip
_TEXTS = (
    "kind", "decision", "model", "sla", "policy", "tenant", "key", "session", "after",
    "prefix", "follows", "head",
    "completion", "error", "source", "change", "digest", "lost",
    "reason", "call_by", "rule", "multipliers", "barred",
    "judge", "failure", "call",
)  # fmt: skip
_FLAGS = ("explored", "estimated", "billed", "removed")
_VECTORS = (
    "propensities", "expected_quality", "expected_cost", "prediction", "added_cost", "reserved",
    "scores",
)  # fmt: skip
COLUMNS = (
    *_COUNTS,
    *_NUMBERS,
    *_TEXTS,
    *_FLAGS,
    *_VECTORS,
    "models",
    "called",
    "changed",
    "waiting",
    "features",
    "history",
)
"""Columns of a Parquet file. A line of JSON has only the columns that are not empty."""


def export(
    reader: LogReader,
    path: Path,
    *,
    since: float = -math.inf,
    until: float = math.inf,
    features: bool = False,
) -> int:
    """Write the events of a period to a file.

    The file is written while the log is read, so that memory does not grow with the log.

    Parameters
    ----------
    reader
        The store.
    path
        File to write; its suffix, one of ``FORMATS``, is the format.
    since, until
        Unix times in seconds: events with since ≤ time < until are written.
    features
        Whether to include the features of decisions.

    Returns
    -------
    Number of events

    Raises
    ------
    InvalidInput
        If the suffix is not in ``FORMATS``.
    StoreUnavailable
        If the database raises an error.
    """
    rows = (
        row(position, event, features=features)
        for position, event in reader.numbered(reader.first())
        if since <= event.at < until
    )
    if path.suffix == ".jsonl":
        return _json_lines(rows, path)
    if path.suffix == ".parquet":
        return _parquet(rows, path)
    raise InvalidInput("target", str(path), "give a name that ends in " + " or ".join(FORMATS))


def row(position: int, event: Event, *, features: bool = False) -> dict[str, Any]:
    """Convert an event into a flat row without its empty fields.

    A change of the zoo or of an SLA is one JSON text under ``change``; so are the multipliers of a
    decision and what barred models from it, under their names. The estimates of a
    decision are ``expected_quality`` and ``expected_cost``, so that ``cost`` is always a real cost.

    Parameters
    ----------
    position
        Position of the event in the log.
    event
        The event.
    features
        Whether to include the dense features of a decision, and the history of a warm start.

    Examples
    --------
    >>> from floorline.events import Outcome
    >>> sorted(row(7, Outcome(decision="d1", model="small", cost=0.5)))
    ['at', 'billed', 'cost', 'decision', 'estimated', 'kind', 'model', 'position']
    """
    flat: dict[str, Any] = {"position": position, "kind": event.__struct_config__.tag}
    if isinstance(event, Decision):
        flat |= _decision(event, features)
    elif isinstance(event, Recall):
        flat |= _decision(event.decision, features) | {"at": event.at}
    elif isinstance(event, ZooChange):
        flat |= {"at": event.at, "change": _json(event.zoo)}
    elif isinstance(event, SlaChange):
        flat |= {"at": event.at, "change": _json(event.sla), "removed": event.removed}
    else:
        flat |= msgspec.structs.asdict(event)
        if not features:
            flat.pop("history", None)
    return {
        name: value
        for name, value in flat.items()
        if value is not None and value != "" and name != "v"
    }


def _decision(event: Decision, features: bool) -> dict[str, Any]:
    flat = msgspec.structs.asdict(event)
    flat["decision"] = flat.pop("id")
    flat["called"] = list(event.called)
    flat["reserved"] = list(event.reserved)
    flat["propensities"] = event.propensities.tolist()
    flat["models"] = list(event.models)
    flat["expected_quality"] = flat.pop("quality_estimates").tolist()
    flat["expected_cost"] = flat.pop("cost_estimates").tolist()
    for name in ("prediction", "added_cost", "scores"):
        if flat[name] is not None:
            flat[name] = flat[name].tolist()
    for name in ("multipliers", "barred"):
        # In the order of the event, so that an exported log has the digest of the log.
        flat[name] = msgspec.json.encode(flat[name]).decode() if flat[name] else None
    vector = flat.pop("features")
    if features:
        flat["features"] = dense(vector).tolist()
    return flat


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


def _json_lines(rows: Iterator[dict[str, Any]], path: Path) -> int:
    count = 0
    with writing_whole(path, private=True) as stream:
        for flat in rows:
            stream.write(msgspec.json.encode(flat) + b"\n")
            count += 1
    return count


def _parquet(rows: Iterator[dict[str, Any]], path: Path) -> int:
    with needs("data", "exporting to Parquet"):
        import polars as pl

    kinds: dict[str, Any] = {
        **dict.fromkeys(_TEXTS, pl.String),
        **dict.fromkeys(_NUMBERS, pl.Float64),
        **dict.fromkeys(_COUNTS, pl.Int64),
        **dict.fromkeys(_FLAGS, pl.Boolean),
        **dict.fromkeys(_VECTORS, pl.List(pl.Float64)),
        "models": pl.List(pl.String),
        "called": pl.List(pl.String),
        "changed": pl.List(pl.String),
        "waiting": pl.List(pl.String),
        "features": pl.List(pl.Float32),
        "history": pl.Binary,
    }
    schema = {name: kinds[name] for name in COLUMNS}
    count = 0
    # Polars appends to no file; it joins parts, which it reads a piece at a time.
    with writing_whole(path, private=True) as stream, TemporaryDirectory() as folder:
        while True:
            frame = pl.DataFrame(list(islice(rows, _PART_ROWS)), schema=schema)
            frame.write_parquet(Path(folder) / f"{count:012}.parquet")
            count += len(frame)
            if len(frame) < _PART_ROWS:
                break
        pl.scan_parquet(Path(folder) / "*.parquet").sink_parquet(stream)
    return count
