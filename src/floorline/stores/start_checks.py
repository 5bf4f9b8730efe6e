"""What a start compares before it trusts a store: marks with rows, and the log with its witness."""

from __future__ import annotations

import time
from pathlib import Path

from floorline.errors import StoreDamaged
from floorline.stores.engine import store_errors, witness_path
from floorline.stores.marks import END, GENESIS, START, Mark, seal_of
from floorline.stores.reading import LogReader
from floorline.stores.witness import (
    Testimony,
    contradiction,
    read_witness,
    unsynced_loss,
)

_CHECKS, _PAUSE_SECONDS = 3, 0.05
"""How often marks and rows are compared before they are called damaged, and the pause between:
another process may delete old events or change keys between two queries."""


def checked_end(log: LogReader) -> Mark:
    """Return the end of a log, once what its store says of itself agrees.

    Raises
    ------
    StoreDamaged
        If the beginning or the end of the log or a document is missing or another one.
    """
    for _ in range(_CHECKS - 1):
        try:
            return _compare_marks(log)
        except StoreDamaged:
            time.sleep(_PAUSE_SECONDS)
    return _compare_marks(log)


def _compare_marks(log: LogReader) -> Mark:
    marks = log.marks()
    first, end = log.first(), log.end()
    if marks[END].position != end or log.link_before(end) != marks[END].link:
        raise log.damaged(f"the log had {marks[END].position:,} events, and {end:,} are found")
    if end and marks[START].position != first and marks[START].position < end:
        raise log.damaged(
            f"the log began at position {marks[START].position:,}, and begins at {first:,} now"
        )
    if log.genesis() != marks[GENESIS].link:
        raise log.damaged("what the log began with is missing or another one")
    with store_errors(log.engine), log.engine.connect() as connection:
        whole = seal_of(connection, "documents") == marks["documents"]
    if not whole:
        raise log.damaged("documents are missing or others")
    return marks[END]


def keys_are_whole(log: LogReader) -> bool:
    """Return whether no API key is missing and none came from another program."""
    with store_errors(log.engine), log.engine.connect() as connection:
        return seal_of(connection, "api_keys") == log.marks()["api_keys"]


def witness_file(log: LogReader) -> Path | None:
    """Return the path of the log's witness; None for PostgreSQL, which has none."""
    if log.engine.dialect.name != "sqlite":
        return None
    return witness_path(str(log.engine.url.database))


def heard_witness(log: LogReader) -> Testimony | None:
    """Return what the witness of a log saw, once the log agrees; None if there is no witness.

    Events that a loss of power may have taken become a warning of the log.

    Raises
    ------
    StoreDamaged
        If the log lacks events that the witness saw, or is another one.
    """
    path = witness_file(log)
    seen = None if path is None else read_witness(path)
    if seen is None:
        return None
    problem = contradiction(seen, log)
    if problem is not None:
        raise log.damaged(problem)
    lost = unsynced_loss(seen, log)
    if lost:
        log.warn(
            f"the log lacks its last {lost:,} decisions and outcomes, of which none was "
            "acknowledged as durable: the machine lost power before they were on the disk, or the "
            "write-ahead log is damaged"
        )
    return seen
