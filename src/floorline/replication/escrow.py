"""The escrow: which part of each budget every replica was granted, in the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from floorline.replication.shares import Account, Wanted
from floorline.replication.tables import escrow, insert, members, now, shares
from floorline.stores.engine import store_errors

_FIRST_PARTS = 4.0
"""A grant is this part of what is left for each replica: about as many grants are made before an
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
                for_each = left / max(1, members)
                # More than one call only as far as the others can have as much.
                part = max(one.call, min(one.least, for_each), for_each / _FIRST_PARTS)
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

    def granted(self) -> dict[tuple[str, float], float]:
        """Return all that this replica was granted so far, by account and period."""
        query = sa.select(shares).where(shares.c.replica == self._replica)
        with store_errors(self._engine), self._engine.connect() as connection:
            return {(r.account, r.start): r.granted for r in connection.execute(query).all()}

    def leave(self, parts: Iterable[tuple[str, float, float]]) -> None:
        """Take parts of shares back as ``give_back`` does; what is left of them is spent."""
        self.give_back(parts)
        with store_errors(self._engine), self._engine.begin() as connection:
            connection.execute(shares.delete().where(shares.c.replica == self._replica))

    def reclaim(self, used: Mapping[tuple[str, float], float], gone: float = 0.0) -> float | None:
        """Take back what a replica that is gone did not use, and forget the replica.

        If it comes back after all, it was granted what it used, and no more.

        Parameters
        ----------
        used
            What its calls cost and can still cost, by account and period.
        gone
            Seconds for which it was not seen; a replica that was seen since then keeps its shares.

        Returns
        -------
        float or None
            Sum of what is free again, over all accounts; None if the replica was seen.
        """
        freed = 0.0
        before = self.granted()
        mine = members.c.id == self._replica
        with store_errors(self._engine), self._engine.begin() as connection:
            # A replica that says now that it lives waits for the end of this transaction.
            connection.execute(
                members.delete().where(mine, now(self._engine) - members.c.seen > gone)
            )
            if connection.scalar(sa.select(members.c.id).where(mine)) is not None:
                return None
            for (name, start), granted in sorted(before.items()):
                spare = granted - used.get((name, start), 0.0)
                self._locked(connection, name, start)
                self._add(connection, name, start, -spare)
                freed += spare
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


def holders_gone(engine: sa.Engine) -> set[str]:
    """Return the replicas that have shares and are in the list of processes no more.

    Raises
    ------
    StoreUnavailable
        If the database raises an error.
    """
    query = sa.select(shares.c.replica).where(shares.c.replica.not_in(sa.select(members.c.id)))
    with store_errors(engine), engine.connect() as connection:
        return set(connection.scalars(query).all())


def forget_ended(engine: sa.Engine, accounts: Iterable[Account], at: float) -> None:
    """Delete what was granted in periods that ended before the last one.

    Parameters
    ----------
    engine
        Engine of the store.
    accounts
        The accounts; one whose name ends in ``*`` stands for all that begin like it.
    at
        Time in seconds.

    Raises
    ------
    StoreUnavailable
        If the database raises an error.
    """
    for account in accounts:
        if account.period is None:
            continue
        ended = account.start(at) - account.period
        for table in (escrow, shares):
            name = table.c.account
            found = (
                name.startswith(account.name[:-1], autoescape=True)
                if account.name.endswith("*")
                else name == account.name
            )
            with store_errors(engine), engine.begin() as connection:
                connection.execute(table.delete().where(found, table.c.start < ended))
