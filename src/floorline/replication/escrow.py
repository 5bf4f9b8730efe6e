"""The escrow: which part of each budget every replica was granted, in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from floorline.replication.shares import Wanted
from floorline.replication.tables import escrow, insert, shares
from floorline.stores.engine import store_errors

_FIRST_PARTS = 4.0
"""A grant is this part of what is left, for each replica: about as many grants are made before an
account is nearly used up, and little lies idle at the other replicas then."""


class Escrow:
    """Grants shares of accounts, so that their sum never exceeds the amount of an account.

    Every method raises StoreUnavailable if the database raises an error. After one it is not known
    whether it was done: ``grant`` returns what the database says then, as always.

    Parameters
    ----------
    engine
        Engine of the store.
    replica
        Name of the replica whose shares these are.
    """

    def __init__(self, engine: sa.Engine, replica: str) -> None:
        self._engine = engine
        self._replica = replica

    def grant(self, wanted: Iterable[Wanted], members: int) -> dict[tuple[str, float], float]:
        """Grant more of some accounts, and return all that was granted of them so far.

        Parameters
        ----------
        wanted
            What is asked for.
        members
            Number of replicas, among which what is left is to last.
        """
        granted = {}
        with store_errors(self._engine), self._engine.begin() as connection:
            # In one order everywhere, so that no two transactions wait for each other.
            for one in sorted(wanted, key=lambda w: (w.account.name, w.start)):
                name, start = one.account.name, one.start
                left = one.account.amount - self._locked(connection, name, start)
                part = max(one.least, left / (_FIRST_PARTS * max(1, members)))
                self._add(connection, name, start, max(0.0, min(left, part)))
                mine = sa.select(shares.c.granted).where(*self._mine(name, start))
                granted[name, start] = float(connection.scalar(mine) or 0.0)
        return granted

    def give_back(self, parts: Iterable[tuple[str, float, float]]) -> None:
        """Take parts of shares back: account, period and amount of each."""
        with store_errors(self._engine), self._engine.begin() as connection:
            for name, start, amount in sorted(parts):
                if amount > 0.0:
                    self._locked(connection, name, start)
                    self._add(connection, name, start, -amount)

    def reclaim(self, used: Mapping[tuple[str, float], float]) -> float:
        """Take back what a replica that is gone did not use; return the sum over all accounts.

        Parameters
        ----------
        used
            What its calls cost and can still cost, by account and period.
        """
        freed = 0.0
        with store_errors(self._engine), self._engine.begin() as connection:
            query = sa.select(shares).where(shares.c.replica == self._replica)
            for row in connection.execute(query.order_by(shares.c.account, shares.c.start)).all():
                spare = row.granted - used.get((row.account, row.start), 0.0)
                self._locked(connection, row.account, row.start)
                self._add(connection, row.account, row.start, -spare)
                freed += spare
            connection.execute(shares.delete().where(shares.c.replica == self._replica))
        return freed

    def _locked(self, connection: sa.Connection, name: str, start: float) -> float:
        """Return what was granted of an account to all replicas; no other one can change it now."""
        put = insert(self._engine, escrow).values(account=name, start=start, granted=0.0)
        put = put.on_conflict_do_update(
            index_elements=[escrow.c.account, escrow.c.start],
            set_={"granted": escrow.c.granted},
        )
        return float(connection.scalar(put.returning(escrow.c.granted)) or 0.0)

    def _add(self, connection: sa.Connection, name: str, start: float, amount: float) -> None:
        if amount == 0.0:
            return
        values: dict[str, Any] = {"account": name, "start": start, "replica": self._replica}
        put = insert(self._engine, shares).values(**values, granted=amount)
        put = put.on_conflict_do_update(
            index_elements=[shares.c.account, shares.c.start, shares.c.replica],
            set_={"granted": shares.c.granted + amount},
        )
        connection.execute(put)
        whole = escrow.update().where(escrow.c.account == name, escrow.c.start == start)
        connection.execute(whole.values(granted=escrow.c.granted + amount))

    def _mine(self, name: str, start: float) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            shares.c.account == name,
            shares.c.start == start,
            shares.c.replica == self._replica,
        )
