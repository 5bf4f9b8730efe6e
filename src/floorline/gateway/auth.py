"""Authentication by API keys, with the scopes, rates and budgets of the keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from floorline.gateway.errors import ApiError
from floorline.sla import period_start
from floorline.stores.keys import ApiKey, key_id


class Caller(NamedTuple):
    """Who sent a request.

    Attributes
    ----------
    key, tenant
        Id of the API key, and its tenant; "" without keys.
    scopes
        What the key may be used for.
    slas
        SLAs that requests may name; None for all.
    """

    key: str = ""
    tenant: str = ""
    scopes: frozenset[str] = frozenset({"chat", "feedback"})
    slas: tuple[str, ...] | None = None

    def may_use(self, sla: str) -> bool:
        """Whether a request may name an SLA."""
        return self.slas is None or sla in self.slas


class _Account:
    """Use of one key: a token bucket for the rate, and the cost in the budget's period."""

    def __init__(self, key: ApiKey, now: float) -> None:
        self.key = key
        self.caller = Caller(key.id, key.tenant, frozenset(key.scopes), key.slas)
        self.tokens = float(key.rate or 0)
        self.filled_at = now
        self.period = 0.0
        self.spent = 0.0

    def take(self, now: float) -> float:
        """Take one token of the bucket; return the seconds to wait if it is empty."""
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
    """Checks the API keys of requests; without keys every request may do everything but administer.

    Parameters
    ----------
    keys
        The valid keys; None to accept every request.
    spend
        Returns what a key has spent since a Unix time, by its id.
    monotonic
        Returns seconds that never go back, for rates.
    clock
        Returns the Unix time in seconds, for budgets.
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
        """Whether every request is accepted."""
        return self._accounts is None

    def set_keys(self, keys: Iterable[ApiKey]) -> None:
        """Accept these keys from now on; the use of unchanged keys stays counted."""
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
        """Return who sent a request, if they may use a scope.

        Parameters
        ----------
        headers
            Headers of the request, names in lower case.
        scope
            Scope of the endpoint: chat, feedback or admin.

        Raises
        ------
        ApiError
            401 without a valid key, 403 without the scope (admin: also if there are no keys), 429
            above the rate or the budget.
        """
        if self._accounts is None:
            if scope == "admin":
                raise ApiError(
                    403,
                    "nothing is administered while auth is none, because every client is "
                    "accepted: set auth: keys in floorline.yaml, and send a key with the scope "
                    "admin ('floorline keys create NAME --scope admin')",
                    code="admin_needs_keys",
                )
            return Caller()
        account = self._account(headers)
        if scope not in account.caller.scopes:
            raise ApiError(
                403,
                f"this API key lacks the scope {scope!r}: use a key that has it",
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
        """Add the cost of a call to the use of its key."""
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
                "the request has no valid API key: send 'Authorization: Bearer fl-…' with a key of "
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
            f"this API key has spent its budget of {budget:g}: wait for its next period, or use a "
            "key with a larger budget",
            code="insufficient_quota",
            retry_after=left,
        )

    def _renew(self, account: _Account) -> None:
        start = account.period_start(self._clock())
        if start > account.period:
            account.period, account.spent = start, 0.0
