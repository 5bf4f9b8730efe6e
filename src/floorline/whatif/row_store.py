"""Logged requests of a what-if question on disk, so that memory does not grow with the log."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.errors import FloorlineError

Floats = NDArray[np.float64]

_RECENT = 8192
"""Rows in memory. Outcomes and most labels come soon after the decision; a later one reads its row
from the disk and writes it again."""
_CACHE_KIB = 65_536
"""Memory of the database for its pages, in KiB."""
BLOCK_ROWS = 16_384
"""Rows that are read at once. With 10 models one array of them takes 1.3 MB."""


class Row(msgspec.Struct):
    """One logged request.

    Attributes
    ----------
    by_model : ndarray (4, M)
        Logged propensities, those of the other policy, predicted satisfaction and predicted cost of
        the models ``names``.
    """

    model: str
    names: tuple[str, ...]
    by_model: Floats
    matched: bool
    floor: float
    other_calls: float
    score: float | None = None
    share: float = 1.0
    cost: float | None = None
    spent: float = 0.0


class RowBlock(NamedTuple):
    """Consecutive rows whose decisions were between the same models.

    Attributes
    ----------
    names
        The M models.
    by_model
        (n, 4, M) as in ``Row``.
    choice
        (n,) position of the served model in ``names``.
    matched, floor, other_calls, score, share, cost, spent
        (n,) as in ``Row``; NaN where there is no score or cost.
    """

    names: tuple[str, ...]
    by_model: Floats
    choice: NDArray[np.int64]
    matched: NDArray[np.bool_]
    floor: Floats
    other_calls: Floats
    score: Floats
    share: Floats
    cost: Floats
    spent: Floats


class RowStore:
    """Rows by decision, in the order of the log, and the names of conversations.

    The latest rows are in memory, all others in a database in a temporary file that has no name and
    ends with this object. With M models a row takes about 130 + 32·M bytes there.

    Attributes
    ----------
    names : tuple of str
        Models of all rows.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self._count = 0
        self._recent: OrderedDict[str, tuple[int, Row]] = OrderedDict()
        self._kinds: dict[tuple[str, ...], np.dtype[np.void]] = {}
        # The empty name makes a temporary file. Nothing is to be restored from it after a crash.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for statement in (
            "PRAGMA journal_mode=OFF",
            "PRAGMA synchronous=OFF",
            "PRAGMA temp_store=FILE",
            f"PRAGMA cache_size=-{_CACHE_KIB}",
            "CREATE TABLE rows (number INTEGER PRIMARY KEY, decision TEXT, kind INTEGER, row BLOB)",
            "CREATE TABLE numbers (decision TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID",
            "CREATE TABLE conversations (name BLOB PRIMARY KEY) WITHOUT ROWID",
            "BEGIN",
        ):
            self._database.execute(statement)

    def __len__(self) -> int:
        return self._count

    def add(self, decision: str, row: Row) -> None:
        """Add the row of a decision."""
        self._recent[decision] = (self._count, row)
        self._count += 1
        if len(self._recent) >= 2 * _RECENT:
            self._write(len(self._recent) - _RECENT)

    @contextmanager
    def changing(self, decision: str) -> Iterator[Row | None]:
        """Give the row of a decision, or None, and keep what the block changes of it."""
        recent = self._recent.get(decision)
        if recent is not None:
            yield recent[1]
            return
        number, row = self._read(decision)
        yield row
        if row is not None:
            self._put([(number, decision, row)])

    def is_new(self, conversation: Sequence[str]) -> bool:
        """Return whether a conversation is named for the first time."""
        name = msgspec.msgpack.encode(conversation)
        with _disk_errors():
            query = "INSERT OR IGNORE INTO conversations VALUES (?)"
            return self._database.execute(query, (name,)).rowcount > 0

    def blocks(self) -> Iterator[RowBlock]:
        """Yield all rows in their order."""
        self._write(len(self._recent))
        kinds = list(self._kinds.items())
        after = -1
        while True:
            query = "SELECT number, kind, row FROM rows WHERE number > ? ORDER BY number LIMIT ?"
            with _disk_errors():
                rows = self._database.execute(query, (after, BLOCK_ROWS)).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            first = 0
            for end in range(1, len(rows) + 1):
                if end == len(rows) or rows[end][1] != rows[first][1]:
                    names, kind = kinds[rows[first][1]]
                    packed = b"".join(row[2] for row in rows[first:end])
                    yield _block(names, np.frombuffer(packed, kind))
                    first = end

    def close(self) -> None:
        """Delete the rows."""
        self._database.close()

    def _write(self, count: int) -> None:
        """Write the oldest rows that are in memory."""
        oldest = (self._recent.popitem(last=False) for _ in range(count))
        rows = [(number, decision, row) for decision, (number, row) in oldest]
        self._put(rows)
        # In the order of the index, of which fewer pages change then.
        numbers = sorted((decision, number) for number, decision, _ in rows)
        with _disk_errors():
            self._database.executemany("INSERT OR REPLACE INTO numbers VALUES (?, ?)", numbers)

    def _put(self, rows: list[tuple[int, str, Row]]) -> None:
        packed = [(number, decision, *self._pack(row)) for number, decision, row in rows]
        with _disk_errors():
            self._database.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", packed)

    def _read(self, decision: str) -> tuple[int, Row | None]:
        query = "SELECT number, kind, row FROM numbers JOIN rows USING (number)"
        with _disk_errors():
            found = self._database.execute(
                f"{query} WHERE numbers.decision = ?", (decision,)
            ).fetchone()
        if found is None:
            return 0, None
        number, position, packed = found
        names, kind = list(self._kinds.items())[position]
        return number, _unpack(names, np.frombuffer(packed, kind)[0])

    def _pack(self, row: Row) -> tuple[int, bytes]:
        """Return the number of the list of models, and the bytes of a row."""
        kind = self._kinds.get(row.names)
        if kind is None:
            kind = self._kinds[row.names] = _kind(len(row.names))
            self.names = tuple(dict.fromkeys(name for names in self._kinds for name in names))
        values: Any = (
            row.by_model,
            row.names.index(row.model),
            row.matched,
            row.floor,
            row.other_calls,
            np.nan if row.score is None else row.score,
            row.share,
            np.nan if row.cost is None else row.cost,
            row.spent,
        )
        return list(self._kinds).index(row.names), np.array(values, kind).tobytes()


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise FloorlineError(
            f"the temporary file of the logged requests failed: {error}; free space in the folder "
            "of temporary files, or name another one in SQLITE_TMPDIR"
        ) from error


def _kind(models: int) -> np.dtype[np.void]:
    """Format of the rows of decisions between so many models."""
    numbers = "floor", "other_calls", "score", "share", "cost", "spent"
    return np.dtype(
        [
            ("by_model", np.float64, (4, models)),
            ("choice", np.int64),
            ("matched", np.bool_),
            *((name, np.float64) for name in numbers),
        ]
    )


def _block(names: tuple[str, ...], rows: NDArray[np.void]) -> RowBlock:
    return RowBlock(names, **{name: rows[name] for name in RowBlock._fields[1:]})


def _unpack(names: tuple[str, ...], row: np.void) -> Row:
    def number(name: str) -> float | None:
        value = float(row[name])
        return None if np.isnan(value) else value

    return Row(
        model=names[int(row["choice"])],
        names=names,
        by_model=row["by_model"],
        matched=bool(row["matched"]),
        floor=float(row["floor"]),
        other_calls=float(row["other_calls"]),
        score=number("score"),
        share=float(row["share"]),
        cost=number("cost"),
        spent=float(row["spent"]),
    )
