"""A replica keeps its shares of budgets filled, ahead of need and beside the requests."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import is_not
from typing import TypeVar

from floorline.errors import FloorlineError
from floorline.replication.escrow import Escrow
from floorline.replication.shares import Account, Shares

log = logging.getLogger("floorline.gateway")

_T = TypeVar("_T")

_LOOK_SECONDS = 0.1
"""Pause between two looks whether a share is low. A share holds at least two of the largest calls
then, and about half of the last grant."""
_RETURN_SECONDS = 2.0
"""Pause between two returns of what is not needed."""
_ASK_AGAIN_SECONDS = 1.0
"""Pause before more is asked for of an account that had nothing left: each question is a
transaction that writes, and another replica may return something."""
RECLAIM_SECONDS = 600.0
"""Time without a sign of life after which the learner gives a replica's shares to others. A replica
spends them while the database is away, so it is longer than that usually lasts."""
SPOOL_SECONDS = 86_400.0
"""The same for a replica that had a spool, until another process has drained it: what it spent
while the database was away lies there. After a day the disk is taken for lost."""
_SPEND_SECONDS = 0.9 * RECLAIM_SECONDS
"""Time since its last sign of life for which a replica spends its shares. What it would spend later
may be another one's by then; the tenth is for clocks that run at different rates."""


class ShareKeeper:
    """Asks for shares, and returns what is not needed.

    Parameters
    ----------
    shares, escrow
        The shares of this replica, and the database that grants them.
    accounts
        Returns the accounts that there are now; the same list until they change.
    members
        Returns the number of replicas, among which what is left is to last.
    clock
        Returns the Unix time in seconds.
    seen
        Returns when this replica last said that it lives, by the monotonic clock.
    """

    def __init__(
        self,
        shares: Shares,
        escrow: Escrow,
        accounts: Callable[[], Sequence[Account]],
        members: Callable[[], int],
        clock: Callable[[], float],
        seen: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shares = shares
        self._escrow = escrow
        self._accounts = [accounts]
        self._watched: list[Sequence[Account]] = []
        # One thread of its own: while the database does not answer, it keeps no request waiting,
        # and no other task takes its place.
        self._thread = ThreadPoolExecutor(1, "floorline-shares")
        self._members = members
        self._clock = clock
        self._seen = seen
        self._returned_at = time.monotonic()
        # Sign of life up to which the shares are known to be this replica's.
        self._valid_at = time.monotonic()
        self._ask_at: dict[tuple[str, float], float] = {}
        shares.valid = lambda: time.monotonic() - self._valid_at <= _SPEND_SECONDS

    def add(self, accounts: Callable[[], Sequence[Account]]) -> None:
        """Keep shares of further accounts filled, too."""
        self._accounts.append(accounts)

    async def run(self) -> None:
        """Keep the shares filled until the task is cancelled."""
        while True:
            try:
                await self.validate()
                await self.fill()
                if time.monotonic() - self._returned_at >= _RETURN_SECONDS:
                    self._returned_at = time.monotonic()
                    await self._give_back(self._shares.take_back(self._clock()))
            except FloorlineError as error:
                log.warning("shares of budgets cannot be filled: %s", error)
                await asyncio.sleep(_RETURN_SECONDS)
            await asyncio.sleep(_LOOK_SECONDS)

    async def validate(self) -> None:
        """Keep the shares valid, and read them again if the learner may have taken them back.

        Raises
        ------
        StoreUnavailable
            If the database raises an error; the shares are as before.
        """
        seen = self._seen()
        if seen - self._valid_at > _SPEND_SECONDS:
            self._shares.set_all(await self._in_thread(self._escrow.granted))
        self._valid_at = max(seen, self._valid_at)

    async def fill(self) -> None:
        """Ask for what is low now.

        Raises
        ------
        StoreUnavailable
            If the database raises an error; the shares are as before.
        """
        found = [some() for some in self._accounts]
        if len(found) != len(self._watched) or any(map(is_not, found, self._watched)):
            self._watched = found
            self._shares.watch(account for some in found for account in some)
        now = time.monotonic()
        self._ask_at = {key: at for key, at in self._ask_at.items() if at > now}
        wanted = self._shares.wanted(self._clock())
        wanted = [one for one in wanted if (one.account.name, one.start) not in self._ask_at]
        if not wanted:
            return
        members = self._members()
        granted = await self._in_thread(lambda: self._escrow.grant(wanted, members))
        for (name, start), amount in granted.items():
            if amount <= self._shares.granted(name, start):
                self._ask_at[name, start] = now + _ASK_AGAIN_SECONDS
            self._shares.set_granted(name, start, amount)

    async def close(self) -> None:
        """Return everything that open calls do not hold.

        Raises
        ------
        StoreUnavailable
            If the database raises an error; the learner returns it later.
        """
        parts = self._shares.close()
        await self._in_thread(lambda: self._escrow.leave(parts))

    async def _give_back(self, parts: list[tuple[str, float, float]]) -> None:
        if parts:
            await self._in_thread(lambda: self._escrow.give_back(parts))

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
