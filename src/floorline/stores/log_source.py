"""Reading of a log for analysis, from a store in use or from an exported file."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline._decoding import decoding_reason
from floorline.core.snapshots import unpack
from floorline.errors import DataError, InvalidInput
from floorline.events import (
    ConfigChange,
    Decision,
    Event,
    Feedback,
    Judgement,
    Outcome,
    QualityChange,
    Recall,
    SlaChange,
    Tombstone,
    WarmStart,
    ZooChange,
    decode_event,
    encode_event,
)
from floorline.sla import SLA
from floorline.stores.open_store import open_read_only
from floorline.zoo import Zoo

_FIX = (
    "give a store's URL such as sqlite:///floorline.db, or a .jsonl file that 'store export' wrote"
)


class LogDigest:
    """Iterator over events that records their positions, times and SHA-256.

    The digest is that of the serialised events, each after its length (8 bytes, big-endian). So
    two logs with equal digests contain the same events.

    Parameters
    ----------
    events
        Positions and events of a log.
    beginning
        What the log begins with; see the attribute.

    Attributes
    ----------
    beginning : tuple of Event
        Models and SLAs that a store's log begins with, as changes of them. They are no events of
        it, and so have no positions and are not in the digest. Empty for an exported file, and
        where the oldest events were deleted: what holds then may be another.
    numbered : iterator of (int, Event)
        The positions and events without the digest, for readers that need none: it takes a fifth of
        the time of reading.
    events
        Number of events so far.
    first, last
        Positions of the first and the last event; None before the first.
    earliest, latest
        Unix times in seconds; None before the first event with a time.
    """

    def __init__(
        self, events: Iterator[tuple[int, Event]], beginning: tuple[Event, ...] = ()
    ) -> None:
        self.beginning = beginning
        self.numbered = events
        self._hash = hashlib.sha256()
        self.events = 0
        self.first: int | None = None
        self.last: int | None = None
        self.earliest: float | None = None
        self.latest: float | None = None

    def __iter__(self) -> Iterator[tuple[int, Event]]:
        for position, event in self.numbered:
            body = encode_event(event)
            self._hash.update(len(body).to_bytes(8, "big"))
            self._hash.update(body)
            self.events += 1
            self.first = position if self.first is None else self.first
            self.last = position
            # An event with time 0 was logged without a clock.
            if event.at:
                self.earliest = event.at if self.earliest is None else min(self.earliest, event.at)
                self.latest = event.at if self.latest is None else max(self.latest, event.at)
            yield position, event

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the events so far."""
        return self._hash.hexdigest()


@contextmanager
def reading_log(source: str) -> Iterator[LogDigest]:
    """Open a log for reading.

    Parameters
    ----------
    source
        URL of a store, path of a SQLite store, or path of an exported .jsonl file.

    Raises
    ------
    InvalidInput
        If the source is none of these.
    DataError
        While reading, if a line of an exported file is damaged.
    """
    path = Path(source)
    if "://" in source:
        with open_read_only(source) as engine:
            yield _stored(engine)
    elif not path.exists():
        raise InvalidInput("log", source, f"there is no such file: {_FIX}")
    elif path.suffix == ".jsonl":
        yield LogDigest(_exported(path))
    elif _is_sqlite(path):
        with reading_log(f"sqlite:///{path}") as log:
            yield log
    else:
        raise InvalidInput("log", source, _FIX)


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(6) == b"SQLite"


def _stored(engine: Any) -> LogDigest:
    from floorline.stores.reading import LogReader

    reader = LogReader(engine)
    first = reader.first()
    written = None if first else reader.initial_state()
    begins: tuple[Event, ...] = ()
    if written is not None:
        state = unpack(written)
        begins = tuple(decode_event(body) for body in (state["zoo"], *state["slas"]))
    return LogDigest(reader.numbered(first), begins)


def _exported(path: Path) -> Iterator[tuple[int, Event]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row: dict[str, Any] = msgspec.json.decode(line, type=dict)
                position = int(row.pop("position"))
                event = _KINDS[row.pop("kind")](row)
            except (
                msgspec.DecodeError,
                InvalidInput,
                KeyError,
                TypeError,
                ValueError,
                OverflowError,
                RecursionError,
            ) as error:
                problem = f"not a line of an exported log ({_fault(error)}); export the log again"
                raise DataError(path, problem, row=number) from error
            yield position, event


def _fault(error: Exception) -> str:
    """Say what is wrong with a line in words of the log, not of the language."""
    if isinstance(error, KeyError):
        return f"the field {error} is missing, or its value is unknown"
    if isinstance(error, InvalidInput):
        return str(error)
    if isinstance(error, msgspec.DecodeError):
        return decoding_reason(error)
    return "a field has a value or a name that no export writes"


def _decision(row: dict[str, Any]) -> Decision:
    return Decision(
        id=row.pop("decision"),
        sla=row.pop("sla", ""),
        model=row.pop("model", ""),
        called=tuple(row.pop("called")),
        models=tuple(row.pop("models")),
        propensities=_array(row.pop("propensities")),
        quality_estimates=_array(row.pop("expected_quality")),
        cost_estimates=_array(row.pop("expected_cost")),
        prediction=_array(row.pop("prediction")) if "prediction" in row else None,
        added_cost=_array(row.pop("added_cost")) if "added_cost" in row else None,
        # A model that was not considered has an infinite score, which JSON has no number for.
        scores=_array(row.pop("scores"), np.inf) if "scores" in row else None,
        multipliers=_multipliers(row.pop("multipliers", "{}")),
        barred=_barred(row.pop("barred", "{}")),
        features=np.array(row.pop("features", []), dtype=np.float32),
        **row,
    )


def _array(values: list[float | None], missing: float = np.nan) -> NDArray[np.float64]:
    return np.array([missing if value is None else value for value in values], dtype=np.float64)


def _multipliers(text: str) -> dict[str, float]:
    found = msgspec.json.decode(text, type=dict[str, float | None])
    return {name: np.inf if value is None else float(value) for name, value in found.items()}


def _barred(text: str) -> dict[str, tuple[str, str]]:
    return msgspec.json.decode(text, type=dict[str, tuple[str, str]])


def _zoo(row: dict[str, Any]) -> ZooChange:
    return ZooChange(zoo=msgspec.json.decode(row["change"], type=Zoo), at=row["at"])


def _sla(row: dict[str, Any]) -> SlaChange:
    promise = msgspec.json.decode(row["change"], type=SLA)
    return SlaChange(sla=promise, removed=row["removed"], at=row["at"])


def _config(row: dict[str, Any]) -> ConfigChange:
    return ConfigChange(changed=tuple(row["changed"]), waiting=tuple(row["waiting"]), at=row["at"])


def _warm_start(row: dict[str, Any]) -> WarmStart:
    return WarmStart(history=b64decode(row.pop("history", "")), **row)


_KINDS: dict[str, Callable[[dict[str, Any]], Event]] = {
    "decision": _decision,
    "outcome": lambda row: Outcome(**row),
    "feedback": lambda row: Feedback(**row),
    "judgement": lambda row: Judgement(**row),
    "zoo": _zoo,
    "sla": _sla,
    "warm_start": _warm_start,
    "config": _config,
    "drift": lambda row: QualityChange(**row),
    "tombstone": lambda row: Tombstone(**{"lost": "", **row}),
    "recall": lambda row: Recall(at=row.pop("at"), decision=_decision(row)),
}
