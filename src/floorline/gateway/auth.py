"""Who calls: API keys, what they may do, how fast and for how much."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from floorline.gateway.errors import ApiError
from floorline.sla import period_start
from floorline.stores.keys import ApiKey, key_id


class Caller(NamedTuple):
    """Whoever sent a request: the id of their key, their tenant and the SLAs they may name."""

    key: str = ""
    tenant: str = ""
    scopes: frozenset[str] = frozenset({"chat", "feedback", "admin"})
    slas: tuple[str, ...] | None = None

    def may_use(self, sla: str) -> bool:
        """Whether an SLA is on the key's list, or there is no such list."""
        return self.slas is None or sla in self.slas


class _Account:
    """What a key has left: a token bucket of requests, and money in the budget's period."""

    def __init__(self, key: ApiKey, now: float) -> None:
        self.key = key
        self.caller = Caller(key.id, key.tenant, frozenset(key.scopes), key.slas)
        self.tokens = float(key.rate or 0)
        self.filled_at = now
        self.period = 0.0
        self.spent = 0.0

    def take(self, now: float) -> float:
        """Take a request's token; seconds to wait if there is none."""
        rate = self.key.rate
        if rate is None:
            return 0.0
        per_second = rate / 60.0
        self.tokens = min(float(rate), self.tokens + (now - self.filled_at) * per_second)
        self.filled_at = now
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) / per_second

    def period_start(self, at: float) -> float:
        return period_start(self.key.period, at)


class Auth:
    """Checks callers against the keys; without keys everybody may do everything.

    Parameters
    ----------
    keys
        The keys there are; None to let everybody in.
    spend
        Looks up what a key has spent since a time.
    """

    def __init__(
        self,
        keys: Iterable[ApiKey] | None,
        spend: Callable[[str, float], float],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spend = spend
        self._monotonic = monotonic
        self._clock = clock
        self._accounts: dict[str, _Account] | None = None
        if keys is not None:
            self._accounts = {}
            self.set_keys(keys)

    @property
    def open(self) -> bool:
        """Whether everybody is let in."""
        return self._accounts is None

    def set_keys(self, keys: Iterable[ApiKey]) -> None:
        """Let these keys in from now on; what known ones have used stays counted."""
        old = self._accounts or {}
        accounts = {}
        for key in keys:
            if key.revoked is not None:
                continue
            account = old.get(key.id)
            if account is None or account.key != key:
                account = _Account(key, self._monotonic())
                if key.budget is not None:
                    account.period = account.period_start(self._clock())
                    account.spent = self._spend(key.id, account.period)
            accounts[key.id] = account
        self._accounts = accounts

    def caller(self, headers: Mapping[str, str], scope: str) -> Caller:
        """Find out who calls and whether they may.

        Raises
        ------
        ApiError
            401 without a valid key, 403 without the scope, 429 over the rate or the budget.
        """
        if self._accounts is None:
            return Caller()
        account = self._account(headers)
        if scope not in account.caller.scopes:
            raise ApiError(
                403,
                f"this API key lacks the scope {scope!r}: create one that has it",
                code="missing_scope",
            )
        wait = account.take(self._monotonic())
        if wait > 0.0:
            raise ApiError(
                429,
                f"this API key may send {account.key.rate:g} requests a minute: wait {wait:.1f} s",
                code="rate_limit_exceeded",
                retry_after=wait,
            )
        if scope == "chat" and account.key.budget is not None:
            self._check_budget(account, account.key.budget)
        return account.caller

    def charge(self, key: str, cost: float) -> None:
        """Count what a call under a key cost."""
        account = (self._accounts or {}).get(key)
        if account is not None and account.key.budget is not None:
            self._renew(account)
            account.spent += cost

    def _account(self, headers: Mapping[str, str]) -> _Account:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        secret = given.strip() if scheme.lower() == "bearer" else ""
        account = (self._accounts or {}).get(key_id(secret) or "")
        if account is None or not account.key.matches(secret):
            raise ApiError(
                401,
                "no valid API key: send 'Authorization: Bearer fl-…', made by "
                "'floorline keys create'",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )
        return account

    def _check_budget(self, account: _Account, budget: float) -> None:
        self._renew(account)
        if account.spent < budget:
            return
        left = None
        if account.key.period is not None:
            left = account.period + account.key.period - self._clock()
        raise ApiError(
            429,
            f"this API key has spent its budget of {budget:g}: raise it, or wait for its next "
            "period",
            code="insufficient_quota",
            retry_after=left,
        )

    def _renew(self, account: _Account) -> None:
        start = account.period_start(self._clock())
        if start > account.period:
            account.period, account.spent = start, 0.0
