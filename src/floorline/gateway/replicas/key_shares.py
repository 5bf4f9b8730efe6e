"""Budgets and rates of API keys that several replicas share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from floorline.gateway.errors import ApiError
from floorline.gateway.key_budget import KeySpending
from floorline.gateway.token_bucket import TokenBucket
from floorline.replication.budget_shares import key_account, key_call
from floorline.replication.shares import Account, Shares
from floorline.stores.keys import ApiKey

_RATE = "rate:"
"""Begins the names of accounts of rates."""
_RATE_SECONDS = 60.0
"""Period of the shared part of a rate, which is given in events a minute."""
_OWN_PART = 0.5
"""Part of a rate that is divided by the replicas beforehand, so that a key's first request needs no
share. Replicas lease the rest, so that a client that only reaches one of them gets more than a
share of 1 / N."""
_SHARE_SECONDS = 1.0
"""Seconds after which a refused request may be sent again: a share is there by then if there is
one."""


RATES = Account(f"{_RATE}*", 0.0, _RATE_SECONDS)
"""Stands for the accounts of all rates."""


class SharedKeyBudget:
    """Budget of a key, of which this replica spends its share; as ``KeyBudget``.

    Parameters
    ----------
    account
        The account of the budget.
    shares
        The shares of this replica.
    """

    def __init__(self, account: Account, shares: Shares) -> None:
        self.account = account
        self._shares = shares

    def left(self, at: float) -> float:
        """Cost that further calls may cause here."""
        name = self.account.name
        return self._shares.left(name, at) if self._shares.knows(name) else 0.0

    def spending(self, at: float) -> KeySpending:
        """Return what this replica spent of the budget in this period."""
        start, period = self.account.start(at), self.account.period
        used = self._shares.used().get((self.account.name, start), 0.0)
        began = None if period is None else start
        ends = None if period is None else start + period
        return KeySpending(self.account.amount, used, 0.0, began, ends)

    def hold(self, decision: str, largest: float, at: float) -> None:
        """Reserve what a call can cost at most, until ``charge`` gives its cost."""
        self._shares.hold(self.account.name, key_call(decision), largest, at)

    def charge(self, decision: str, cost: float, at: float) -> None:
        """Put the cost of a call in the place of what is reserved for it."""
        self._shares.settle(key_call(decision), cost)

    def refusal(self, at: float) -> ApiError:
        """Error of a request that this replica's share cannot pay for."""
        return ApiError(
            429,
            f"this API key's budget of {self.account.amount:g} is shared by several servers, and "
            "what is left of it here does not hold the largest cost of this request: lower "
            "max_tokens, send it again later, or use a key with a larger budget",
            code="insufficient_quota",
            retry_after=_SHARE_SECONDS,
        )


class KeyShares:
    """Makes the budgets of keys, and counts their rates, with the shares of one replica.

    Parameters
    ----------
    shares
        The shares of this replica.
    replicas
        Returns the number of replicas.
    clock
        Returns the Unix time in seconds.
    """

    def __init__(
        self, shares: Shares, replicas: Callable[[], int], clock: Callable[[], float]
    ) -> None:
        self._shares = shares
        self._replicas = replicas
        self._clock = clock
        self._rates: dict[str, tuple[float, float]] = {}
        self._keys: Sequence[ApiKey] = ()
        self._accounts: list[Account] | None = None
        self._pruned_at = -math.inf

    def budget(self, key: ApiKey) -> SharedKeyBudget | None:
        """Return the budget of a key; None if it has none."""
        if key.budget is None:
            return None
        return SharedKeyBudget(key_account(key), self._shares)

    def take(
        self, kind: str, key: str, rate: float | None, bucket: TokenBucket, now: float
    ) -> float:
        """Take one event of a key's rate; return the seconds to wait if there is none.

        Parameters
        ----------
        kind, key
            What the rate limits, and the id of the key.
        rate
            Events a minute; None for no limit.
        bucket
            What this replica has of the rate without asking.
        now
            Seconds of a clock that never goes back.
        """
        if rate is None:
            return 0.0
        name, at = f"{_RATE}{kind}:{key}", self._clock()
        known = self._rates.get(name)
        if known is None or known[0] != rate:
            self._accounts = None
        self._rates[name] = rate, at
        wait = bucket.take(_OWN_PART * rate / self._replicas(), now)
        if wait == 0.0:
            return 0.0
        if self._shares.knows(name) and self._shares.left(name, at) >= 1.0:
            self._shares.hold(name, name, 1.0, at)
            self._shares.settle(name, 1.0)
            return 0.0
        return min(wait, _SHARE_SECONDS)

    def accounts(self, keys: Sequence[ApiKey]) -> list[Account]:
        """Return the accounts of the budgets of keys, and of the rates that are in use.

        It is the same list until something changes; the same keys come as the same object.
        """
        at = self._clock()
        if abs(at - self._pruned_at) >= _RATE_SECONDS:
            self._pruned_at = at
            rates = {
                name: (rate, used)
                for name, (rate, used) in self._rates.items()
                if at - used < 2.0 * _RATE_SECONDS
            }
            if len(rates) != len(self._rates):
                self._rates, self._accounts = rates, None
        if self._accounts is not None and keys is self._keys:
            return self._accounts
        self._keys = keys
        found = [key_account(key) for key in keys if key.budget is not None]
        found += [
            Account(name, (1.0 - _OWN_PART) * rate, _RATE_SECONDS)
            for name, (rate, _) in self._rates.items()
        ]
        self._accounts = found
        return found
