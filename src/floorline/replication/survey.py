"""What the database knows of all servers and the learner, in some small queries."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from floorline.replication.members import Member, Membership
from floorline.replication.tables import (
    LEARNER,
    inbox,
    inbox_damaged,
    lease,
    now,
    shares,
    states,
)
from floorline.stores.engine import store_errors

MAX_INBOX = 10_000
"""Largest number of events that is counted in the inbox, and of those that were damaged there: the
count takes 2 ms then."""


class LearnerSeen(NamedTuple):
    """The learner, as the lease and the published state show it.

    Attributes
    ----------
    holder, epoch
        Who took the lease last, and its number.
    lease_left
        Seconds for which the lease holds; negative once it ended.
    position, age
        Number of events in the published state, and seconds since the learner confirmed it; None
        before the first.
    """

    holder: str
    epoch: int
    lease_left: float
    position: int | None
    age: float | None


class Survey(NamedTuple):
    """Servers, learner and inbox.

    Attributes
    ----------
    members
        Servers that have not been forgotten, the oldest first.
    learner
        The learner; None if none has taken the lease yet.
    inbox
        Number of events that wait for the learner, at most ``MAX_INBOX``.
    damaged
        Number of events that were damaged in the inbox and whose rows are kept, at most as many.
    """

    members: list[Member]
    learner: LearnerSeen | None
    inbox: int
    damaged: int = 0


def survey(engine: sa.Engine) -> Survey:
    """Read servers, learner and inbox.

    Raises
    ------
    StoreUnavailable
        If the database raises an error.
    """
    present = now(engine)
    leases = sa.select(lease.c.holder, lease.c.epoch, (lease.c.expires - present).label("left"))
    published = sa.select(states.c.position, (present - states.c.at).label("age"))
    with store_errors(engine), engine.connect() as connection:
        held = connection.execute(leases.where(lease.c.name == LEARNER)).first()
        state = connection.execute(published.where(states.c.name == LEARNER)).first()
        counts = [_count(connection, table) for table in (inbox, inbox_damaged)]
    learner = None
    if held is not None:
        position, age = (None, None) if state is None else (state.position, float(state.age))
        learner = LearnerSeen(held.holder, held.epoch, float(held.left), position, age)
    return Survey(Membership(engine).all(), learner, *counts)


def _count(connection: sa.Connection, table: sa.Table) -> int:
    some = sa.select(table.c.id).limit(MAX_INBOX).subquery()
    return connection.scalar(sa.select(sa.func.count()).select_from(some)) or 0


def shares_held(engine: sa.Engine) -> dict[str, int]:
    """Return of how many budgets and rates each server has a share, by its name.

    Raises
    ------
    StoreUnavailable
        If the database raises an error.
    """
    accounts = sa.func.count(shares.c.account.distinct()).label("accounts")
    query = sa.select(shares.c.replica, accounts).where(shares.c.granted > 0.0)
    with store_errors(engine), engine.connect() as connection:
        rows = connection.execute(query.group_by(shares.c.replica)).all()
    return {row.replica: row.accounts for row in rows}
