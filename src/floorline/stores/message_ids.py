"""Ids by which other programs know an answer, in a store: for all processes and restarts."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from floorline.stores.engine import store_errors

_PAGE = 500
"""Most ids in one query; SQLite takes up to 32,766 parameters."""

# A row that is lost or changed makes an id unknown, so that they have no checksums.
_ids = sa.Table(
    "message_ids",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("decision", sa.Text, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
)
sa.Index("message_ids_by_time", _ids.c.at)


class MessageId(NamedTuple):
    """An id that came with a request.

    Attributes
    ----------
    tenant
        Tenant of the request; "" for none.
    id
        The id.
    decision
        Id of the decision that it may mean.
    at
        Unix time of the decision in seconds.
    """

    tenant: str
    id: str
    decision: str
    at: float


class MessageIdStore:
    """Ids of messages and traces in a store, in a table that is created at the first use.

    Every method raises StoreUnavailable if the database raises an error.

    Parameters
    ----------
    engine
        Engine of the store.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._created = False

    def add(self, rows: Iterable[MessageId]) -> None:
        """Add ids; those that are there already stay as they are."""
        values = [row._asdict() for row in rows]
        if not values:
            return
        self._create()
        sqlite = self._engine.dialect.name == "sqlite"
        put = (sqlite_insert if sqlite else postgres_insert)(_ids).on_conflict_do_nothing()
        with store_errors(self._engine), self._engine.begin() as connection:
            connection.execute(put, values)

    def find(self, tenant: str, ids: Collection[str]) -> dict[str, list[str]]:
        """Return the decisions of a tenant that each id may mean, the latest first."""
        found: dict[str, list[str]] = {}
        given = sorted(set(ids))
        self._create()
        with store_errors(self._engine), self._engine.connect() as connection:
            for first in range(0, len(given), _PAGE):
                query = sa.select(_ids.c.id, _ids.c.decision).where(
                    _ids.c.tenant == tenant, _ids.c.id.in_(given[first : first + _PAGE])
                )
                for id, decision in connection.execute(query.order_by(_ids.c.at.desc())):
                    found.setdefault(id, []).append(decision)
        return found

    def forget(self, before: float) -> None:
        """Delete the ids of decisions before a Unix time in seconds."""
        self._create()
        with store_errors(self._engine), self._engine.begin() as connection:
            connection.execute(_ids.delete().where(_ids.c.at < before))

    def _create(self) -> None:
        if self._created:
            return
        with store_errors(self._engine), self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                # Of several processes that come here at a time, one creates it.
                connection.exec_driver_sql(
                    "SELECT pg_advisory_xact_lock(hashtext('floorline message ids'))"
                )
            # No look at what is there before: SQLite would refuse to write after it.
            connection.execute(sa.schema.CreateTable(_ids, if_not_exists=True))
            for index in _ids.indexes:
                connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))
        self._created = True
