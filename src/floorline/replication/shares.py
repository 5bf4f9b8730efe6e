"""Shares of budgets: what one replica may spend of what all replicas share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from floorline.sla import period_start

_LOW_SHARE = 0.5
"""Part of the last grant below which more is asked for, so that it is there before it is needed."""
_LEAST_CALLS = 2.0
"""Largest calls that a grant holds at least: a smaller one could not pay for what comes."""
_IDLE_GRANTS = 2.0
"""Grants above which what is left goes back, so that it does not lie where no one spends it."""


class Account(NamedTuple):
    """A budget that replicas share.

    Attributes
    ----------
    name
        Its name, the same at all replicas.
    amount
        What all replicas together may spend in a period.
    period
        Length of the period in seconds; None if it never ends.
    """

    name: str
    amount: float
    period: float | None

    def start(self, at: float) -> float:
        """Time in seconds at which the period of ``at`` begins; 0 without a period."""
        return period_start(self.period, at)


class Wanted(NamedTuple):
    """A grant that this replica asks for.

    Attributes
    ----------
    account
        The account.
    start
        Begin of the period in seconds.
    least
        What the grant is to hold at least, if the account has that for every replica.
    call
        What it holds at least, if the account has that: the largest call, or one that did not fit.
    """

    account: Account
    start: float
    least: float
    call: float = 0.0


class _Share:
    """What one replica has of an account in one period."""

    def __init__(self) -> None:
        self.granted = 0.0
        self.spent = 0.0
        self.last_grant = 0.0
        self.holds: dict[str, float] = {}
        self.held = 0.0

    @property
    def left(self) -> float:
        return self.granted - self.spent - self.held

    def hold(self, call: str, amount: float) -> None:
        self.holds[call] = self.holds.get(call, 0.0) + amount
        self.held += amount

    def settle(self, call: str, real: float) -> None:
        self.held -= self.holds.pop(call)
        if not self.holds:
            # No rounding error stays held.
            self.held = 0.0
        self.spent += real


class Shares:
    """Shares of one replica, by account and period; it does no I/O.

    It looks only at accounts in which something changed, because a replica looks ten times a second
    and there can be a budget for each of thousands of keys.

    A call is charged to the period in which it was held. Spending never waits for a grant: if a
    share is used up, there is nothing left until the next one comes.

    Parameters
    ----------
    ahead
        Seconds before the end of a period in which a share of the next one is asked for.

    Attributes
    ----------
    valid : callable
        Returns whether the shares are still those of this replica; while they are not, nothing is
        left.

    Examples
    --------
    >>> shares = Shares()
    >>> shares.watch([Account("sla:gold", amount=10.0, period=60.0)])
    >>> [wanted.least for wanted in shares.wanted(at=0.0)]
    [0.0]
    >>> shares.set_granted("sla:gold", 0.0, 2.5)
    >>> shares.hold("sla:gold", "call 1", 1.0, at=1.0)
    >>> shares.left("sla:gold", at=1.0)
    1.5
    >>> shares.settle("call 1", 0.25)
    >>> shares.left("sla:gold", at=2.0), shares.left("sla:gold", at=60.0)
    (2.25, 0.0)
    """

    def __init__(self, ahead: float = 5.0) -> None:
        self.valid: Callable[[], bool] = lambda: True
        self._ahead = ahead
        self._accounts: dict[str, Account] = {}
        self._shares: dict[tuple[str, float], _Share] = {}
        self._calls: dict[str, list[tuple[str, float]]] = {}
        self._largest: dict[str, float] = {}
        self._needed: dict[str, float] = {}
        self._by_period: dict[float | None, set[str]] = {}
        # Accounts whose share may be low, and what may be left over or have ended.
        self._low: set[str] = set()
        self._spare: set[tuple[str, float]] = set()
        # By length of the period: begins of those that were asked for, and of the present one.
        self._asked: dict[float | None, tuple[float, float]] = {}
        self._present: dict[float | None, float] = {}

    def watch(self, accounts: Iterable[Account]) -> None:
        """Keep shares of these accounts from now on."""
        before, self._accounts = self._accounts, {account.name: account for account in accounts}
        self._by_period = {}
        for name, account in self._accounts.items():
            self._by_period.setdefault(account.period, set()).add(name)
            if before.get(name) != account:
                self._low.add(name)
        self._low.intersection_update(self._accounts)
        if not before.keys() <= self._accounts.keys():
            self._spare.update(self._shares)

    def knows(self, name: str) -> bool:
        """Whether an account of this name is watched."""
        return name in self._accounts

    def left(self, name: str, at: float) -> float:
        """Return what this replica may still spend of an account at a time."""
        share = self._shares.get((name, self._accounts[name].start(at)))
        return 0.0 if share is None or not self.valid() else share.left

    def hold(self, name: str, call: str, amount: float, at: float) -> None:
        """Hold what a call can cost at most, until ``settle``."""
        account = self._accounts.get(name)
        if account is None:
            return
        key = name, account.start(at)
        self._share(key).hold(call, amount)
        self._low.add(name)
        self._calls.setdefault(call, []).append(key)
        self._largest[name] = max(amount, self._largest.get(name, 0.0))

    def need(self, name: str, amount: float) -> None:
        """Say that a call did not fit into the share, so that the next grant has room for it.

        A share is a small part of an account if there are many replicas. Without this it could be
        too small for a call to the model that is wanted, and be left unspent for that reason.
        """
        account = self._accounts.get(name)
        # No grant can pay for a call that costs more than the whole account.
        if account is not None and amount <= account.amount:
            self._needed[name] = max(amount, self._needed.get(name, 0.0))
            self._low.add(name)

    def settle(self, call: str, real: float) -> None:
        """Put the real cost of a call in the place of what is held for it, in all accounts."""
        for key in self._calls.pop(call, ()):
            self._shares[key].settle(call, real)
            self._low.add(key[0])
            self._spare.add(key)

    def wanted(self, at: float) -> list[Wanted]:
        """Return which grants to ask for now: of this period, and of the next one soon before."""
        for period, names in self._by_period.items():
            asked = period_start(period, at), period_start(period, at + self._ahead)
            if self._asked.get(period) != asked:
                self._asked[period] = asked
                self._low |= names
        found: list[Wanted] = []
        for name in sorted(self._low):
            wanted = self._wanted(self._accounts[name], at) if name in self._accounts else []
            if wanted:
                # It stays low until a grant comes.
                found += wanted
            else:
                self._low.discard(name)
        return found

    def _wanted(self, account: Account, at: float) -> list[Wanted]:
        starts = [account.start(at)]
        if account.period is not None:
            soon = account.start(at + self._ahead)
            starts += [soon] if soon != starts[0] else []
        largest = self._largest.get(account.name, 0.0)
        needed = self._needed.get(account.name, 0.0)
        found = []
        for start in starts:
            share = self._shares.get((account.name, start))
            if (
                share is None
                or share.left <= max(largest, _LOW_SHARE * share.last_grant)
                or share.left < needed
            ):
                least = max(_LEAST_CALLS * largest, needed)
                found.append(Wanted(account, start, least, max(largest, needed)))
        return found

    def granted(self, name: str, start: float) -> float:
        """Return what this replica was granted of an account in a period so far."""
        share = self._shares.get((name, start))
        return 0.0 if share is None else share.granted

    def set_granted(self, name: str, start: float, granted: float) -> None:
        """Take over what the database says that this replica was granted of an account so far."""
        share = self._share((name, start))
        share.last_grant = max(0.0, granted - share.granted) or share.last_grant
        share.granted = granted
        self._low.add(name)
        self._spare.add((name, start))
        if share.left >= self._needed.get(name, 0.0):
            self._needed.pop(name, None)

    def set_all(self, granted: Mapping[tuple[str, float], float]) -> None:
        """Take over all that the database says, where a share may have been taken back."""
        for key, share in self._shares.items():
            share.granted = granted.get(key, 0.0)
            self._low.add(key[0])
            self._spare.add(key)

    def take_back(self, at: float) -> list[tuple[str, float, float]]:
        """Give up what is not needed: account, period and amount of each part.

        Of periods that ended nothing is needed once their calls are settled; they are forgotten.
        """
        present = {period: period_start(period, at) for period in self._by_period}
        if present != self._present:
            self._present = present
            self._spare.update(self._shares)
        keys, self._spare = sorted(self._spare), set()
        found = []
        for name, start in keys:
            share, account = self._shares.get((name, start)), self._accounts.get(name)
            if share is None:
                continue
            if account is None or start < account.start(at):
                if not share.holds:
                    del self._shares[name, start]
                    found.append((name, start, max(0.0, share.left)))
                continue
            spare = share.left - _IDLE_GRANTS * max(
                share.last_grant, _LEAST_CALLS * self._largest.get(name, 0.0)
            )
            if spare > 0.0 and start == account.start(at):
                share.granted -= spare
                self._low.add(name)
                found.append((name, start, spare))
        return found

    def close(self) -> list[tuple[str, float, float]]:
        """Give up everything that open calls do not hold, at the end of the process."""
        found = []
        for (name, start), share in self._shares.items():
            spare = max(0.0, share.left)
            share.granted -= spare
            found.append((name, start, spare))
        return found

    def used(self) -> dict[tuple[str, float], float]:
        """Return what was spent and is held, by account and period."""
        return {key: share.spent + share.held for key, share in self._shares.items()}

    def _share(self, key: tuple[str, float]) -> _Share:
        share = self._shares.get(key)
        if share is None:
            share = self._shares[key] = _Share()
        return share
