"""Opening of durable stores; the database library is imported only then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from floorline._extras import needs

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from floorline.stores.sql import SqlStore


def open_store(url: str, *, max_pending: int = 20_000, patience: float = 5.0) -> SqlStore:
    """Open a store as its only writer.

    Parameters
    ----------
    url, max_pending, patience
        As in ``SqlStore``.

    Raises
    ------
    MissingExtra
        If the extra of the database library is not installed.
    InvalidInput, StoreUnavailable
        As for ``SqlStore``.
    """
    with needs("gateway", "a durable store"):
        from floorline.stores.sql import SqlStore
    return SqlStore(url, max_pending=max_pending, patience=patience)


@contextmanager
def open_beside(url: str, *, ready: bool = False) -> Iterator[Engine]:
    """Open a store that another process may be writing to.

    Parameters
    ----------
    url
        URL of the store.
    ready
        Whether to check the version of its tables first, and to upgrade those of SQLite.

    Raises
    ------
    MissingExtra
        If the extra of the database library is not installed.
    StoreUnavailable
        If the database raises an error, or its tables are of another version.
    """
    with needs("gateway", "a durable store"):
        from floorline.stores.engine import open_engine
        from floorline.stores.lock import writer_lock
        from floorline.stores.upgrade import check, is_current
    engine = open_engine(url)
    try:
        if ready and not is_current(engine):
            with writer_lock(engine):
                check(engine)
        yield engine
    finally:
        engine.dispose()
