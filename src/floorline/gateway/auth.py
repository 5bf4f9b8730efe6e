"""Authentication by API keys, with the scopes, rates and budgets of the keys."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from floorline.events import Decision, Owner
from floorline.gateway.errors import ApiError
from floorline.sla import period_start
from floorline.state.fold import CLIENT_CALL_SECONDS
from floorline.stores.keys import ApiKey, key_id

_OPEN_CALL_SECONDS = 5.0
"""Seconds after which a refused request may be sent again while open calls hold money."""


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
    models
        Models that requests may name; None for all.
    """

    key: str = ""
    tenant: str = ""
    scopes: frozenset[str] = frozenset({"chat", "feedback", "metrics"})
    slas: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None

    @classmethod
    def of(cls, key: ApiKey) -> Caller:
        """Return who uses a key. One that is limited to SLAs may name no model by default."""
        models = () if key.models is None and key.slas is not None else key.models
        return cls(key.id, key.tenant, frozenset(key.scopes), key.slas, models)

    def may_call(self, model: str) -> bool:
        """Whether a request may name a model."""
        return self.models is None or model in self.models

    def may_use(self, sla: str) -> bool:
        """Whether a request may name an SLA."""
        return self.slas is None or sla in self.slas

    @property
    def owner(self) -> Owner:
        """Who the caller's decisions belong to."""
        return Owner.of(self.tenant, self.key)

    @property
    def judged_key(self) -> str | None:
        """Id of the one key whose decisions the caller judges; None for any key of its tenant.

        A key without a tenant judges its own decisions only. Without keys everyone judges all
        decisions that have no tenant.
        """
        return None if self.tenant or not self.key else self.key

    def owns(self, decision: Decision) -> bool:
        """Whether the caller may see and judge a decision."""
        key = self.judged_key
        return decision.tenant == self.tenant and key in (None, decision.key)


class _Bucket:
    """Token bucket: permits ``rate`` events a minute, all of them at once after a pause."""

    def __init__(self, rate: float | None, now: float) -> None:
        self.tokens = 0.0 if rate is None else max(rate, 1.0)
        self.filled_at = now

    def take(self, rate: float | None, now: float) -> float:
        """Take one token; return the seconds to wait if there is none. None is no limit."""
        if rate is None:
            return 0.0
        per_second = rate / 60.0
        self.tokens = min(max(rate, 1.0), self.tokens + (now - self.filled_at) * per_second)
        self.filled_at = now
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) / per_second


class _Hold(NamedTuple):
    """Cost that a call may take at most, and its expected cost."""

    largest: float
    expected: float


class _Account:
    """Use of one key: token buckets for its rates, and the cost in the budget's period.

    ``holds`` are the calls without a cost so far, by decision; ``client_calls`` the times of those
    whose client makes the call and has not reported it.
    """

    def __init__(self, key: ApiKey, now: float) -> None:
        self.key = key
        self.caller = Caller.of(key)
        self.requests = _Bucket(key.rate, now)
        self.feedback: _Bucket | None = None
        self.period = 0.0
        self.spent = 0.0
        self.holds: dict[str, _Hold] = {}
        self.client_calls: OrderedDict[str, float] = OrderedDict()
        self._held = 0.0

    @property
    def held(self) -> float:
        """Cost that is reserved for open calls."""
        return self._held

    def hold(self, decision: str, largest: float, expected: float) -> None:
        self.holds[decision] = _Hold(largest, expected)
        self._held += largest

    def release(self, decision: str) -> _Hold | None:
        hold = self.holds.pop(decision, None)
        self.client_calls.pop(decision, None)
        if hold is not None:
            # Without open calls nothing is held; no rounding error stays.
            self._held = self._held - hold.largest if self.holds else 0.0
        return hold

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
    feedback_rate
        Returns the number of feedback messages a minute of keys that have no rate of their own;
        None for no limit.
    """

    def __init__(
        self,
        keys: Iterable[ApiKey] | None,
        spend: Callable[[str, float], float],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
        feedback_rate: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._spend = spend
        self._feedback_rate = feedback_rate
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
                before, account = account, _Account(key, self._monotonic())
                if key.budget is not None:
                    account.period = account.period_start(self._clock())
                    account.spent = self._spend(key.id, account.period)
                if before is not None:
                    for decision, hold in before.holds.items():
                        account.hold(decision, *hold)
                    account.client_calls = before.client_calls
            accounts[key.id] = account
        self._accounts = accounts

    def caller(self, headers: Mapping[str, str], scope: str) -> Caller:
        """Return who sent a request, if they may use a scope.

        Parameters
        ----------
        headers
            Headers of the request, names in lower case.
        scope
            Scope of the endpoint: chat, feedback, metrics or admin. A key for admin may read the
            metrics, too.

        Raises
        ------
        ApiError
            401 without a valid key, 403 without the scope (admin: also if there are no keys), 429
            above the rate.
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
        scopes = account.caller.scopes
        if scope not in scopes and not (scope == "metrics" and "admin" in scopes):
            raise ApiError(
                403,
                f"this API key lacks the scope {scope!r}: use a key that has it",
                code="missing_scope",
            )
        wait = account.requests.take(account.key.rate, self._monotonic())
        if wait > 0.0:
            raise ApiError(
                429,
                f"this API key may send {account.key.rate:g} requests a minute: wait {wait:.1f} s",
                code="rate_limit_exceeded",
                retry_after=wait,
            )
        return account.caller

    def take_feedback(self, caller: Caller) -> None:
        """Count one feedback message of a key; each message of a batch counts.

        Raises
        ------
        ApiError
            429 above the key's rate of feedback, or the default of keys that have none.
        """
        account = (self._accounts or {}).get(caller.key)
        if account is None:
            return
        rate = account.key.feedback_rate or self._feedback_rate()
        now = self._monotonic()
        if account.feedback is None:
            account.feedback = _Bucket(rate, now)
        wait = account.feedback.take(rate, now)
        if wait > 0.0:
            raise ApiError(
                429,
                f"this API key may send {rate:g} feedback messages a minute: send those that were "
                f"not taken again after {wait:.1f} s",
                code="feedback_rate_exceeded",
                retry_after=wait,
            )

    def left(self, key: str) -> float:
        """Cost that further calls of a key may cause now; infinity without a budget."""
        account = self._limited(key)
        if account is None:
            return math.inf
        self._renew(account)
        return float(account.key.budget or 0.0) - account.spent - account.held

    def hold(
        self,
        key: str,
        decision: str,
        *,
        largest: float,
        expected: float,
        client_since: float | None = None,
    ) -> None:
        """Reserve what a call can cost at most, until ``charge`` gives its cost.

        Parameters
        ----------
        key, decision
            Id of the key and of the decision.
        largest, expected
            What the call can cost at most, and what it is expected to cost.
        client_since
            Unix time of the decision, if the client makes the call: if its cost is not reported
            within an hour, the expected cost is charged. None if the gateway makes it.
        """
        account = self._limited(key)
        if account is None:
            return
        account.hold(decision, largest, expected)
        if client_since is not None:
            account.client_calls[decision] = client_since

    def charge(self, key: str, decision: str, cost: float) -> None:
        """Put the cost of a call in the place of what is reserved for it."""
        account = self._limited(key)
        if account is not None:
            self._renew(account)
            account.release(decision)
            account.spent += cost

    def out_of_budget(self, key: str) -> ApiError:
        """Error of a request whose key cannot pay for it."""
        account = self._limited(key)
        assert account is not None
        budget, held = float(account.key.budget or 0.0), account.held
        retry_after = _OPEN_CALL_SECONDS if held > 0.0 else None
        if held == 0.0 and account.key.period is not None:
            retry_after = account.period + account.key.period - self._clock()
        reserved = f", and {held:.6g} is reserved for its open calls" if held > 0.0 else ""
        return ApiError(
            429,
            f"this API key has spent {account.spent:.6g} of its budget of {budget:g}{reserved}: "
            "what is left does not hold the largest cost of this request; lower max_tokens, wait "
            "for the open calls or the next period, or use a key with a larger budget",
            code="insufficient_quota",
            retry_after=retry_after,
        )

    def _limited(self, key: str) -> _Account | None:
        account = (self._accounts or {}).get(key)
        return None if account is None or account.key.budget is None else account

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

    def _renew(self, account: _Account) -> None:
        now = self._clock()
        start = account.period_start(now)
        if start > account.period:
            account.period, account.spent = start, 0.0
        while account.client_calls:
            decision, began = next(iter(account.client_calls.items()))
            if now - began <= CLIENT_CALL_SECONDS:
                return
            hold = account.release(decision)
            account.spent += 0.0 if hold is None else hold.expected
