"""Logins of the dashboard in a store, so that they hold in every process and after a restart."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from floorline.stores.engine import store_errors
from floorline.stores.schema import logins


class Login(NamedTuple):
    """A login.

    Attributes
    ----------
    key
        Id of the key.
    csrf
        Token that the forms of this login carry.
    began, seen
        Unix times of its begin and of a late request, in seconds.
    """

    key: str
    csrf: str
    began: float
    seen: float


class LoginStore:
    """Logins in a store, by the digests of their tokens.

    The tokens themselves are not stored, so that a copy of the store is no login. Every method
    raises StoreUnavailable if the database raises an error.

    Parameters
    ----------
    engine
        Engine of the store.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, digest: str) -> Login | None:
        """Return a login; None if there is none."""
        query = sa.select(logins.c.key, logins.c.csrf, logins.c.began, logins.c.seen)
        with store_errors(self._engine), self._engine.connect() as connection:
            row = connection.execute(query.where(logins.c.digest == digest)).first()
        return None if row is None else Login(*row)

    def all(self) -> dict[str, Login]:
        """Return all logins by digest, those seen the longest ago first."""
        with store_errors(self._engine), self._engine.connect() as connection:
            rows = connection.execute(sa.select(logins).order_by(logins.c.seen)).all()
        return {row.digest: Login(row.key, row.csrf, row.began, row.seen) for row in rows}

    def add(self, digest: str, login: Login) -> None:
        """Add a login."""
        with store_errors(self._engine), self._engine.begin() as connection:
            connection.execute(logins.insert(), {"digest": digest, **login._asdict()})

    def saw(self, digest: str, at: float) -> None:
        """Write the time of a late request of a login, if it has not ended meanwhile."""
        change = logins.update().where(logins.c.digest == digest, logins.c.seen < at)
        with store_errors(self._engine), self._engine.begin() as connection:
            connection.execute(change, {"seen": at})

    def remove(self, digests: list[str]) -> None:
        """Remove logins."""
        if digests:
            with store_errors(self._engine), self._engine.begin() as connection:
                connection.execute(logins.delete().where(logins.c.digest.in_(digests)))
