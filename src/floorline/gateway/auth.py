"""Authentication by API keys, with the scopes, rates and budgets of the keys."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from floorline.events import Decision, Owner
from floorline.gateway.errors import ApiError
from floorline.gateway.key_budget import Budget, KeyBudget, KeySpending
from floorline.gateway.tenants import split_tenant
from floorline.gateway.token_bucket import TokenBucket
from floorline.stores.keys import ApiKey, key_id

_KEY_HEADERS = ("x-api-key", "api-key")
"""Headers with a key beside ``Authorization``: of Anthropic and of Azure."""

_ADMIN_HAS = ("metrics", "view")
"""Scopes that a key for admin has without naming them."""


_READING = ("chat", "feedback", "view", "admin")
"""Scopes each of which lets a key read about decisions."""


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
    scopes: frozenset[str] = frozenset({"chat", "feedback", "metrics", "view"})
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

    def sees(self, decision: Decision) -> bool:
        """Whether the caller may read about a decision: their own ones; administrators all.

        A key for ``view`` sees what it sees on the dashboard: all of its tenant, and all decisions
        if it has none, as far as they are under SLAs that the key may use.
        """
        if "admin" in self.scopes or self.owns(decision):
            return True
        if not self.key or "view" not in self.scopes or self.tenant:
            return False
        return self.slas is None or self.may_use(split_tenant(decision.sla)[0])


class SharedKeys(Protocol):
    """Shares budgets and rates of keys with other replicas."""

    def budget(self, key: ApiKey) -> Budget | None:
        """Return the budget of a key; None if it has none."""
        ...

    def take(
        self, kind: str, key: str, rate: float | None, bucket: TokenBucket, now: float
    ) -> float:
        """Take one event of a key's rate; return the seconds to wait if there is none."""
        ...


class _Account:
    """Use of one key: token buckets for its rates, and its budget, if it has one."""

    def __init__(self, key: ApiKey, now: float) -> None:
        self.key = key
        self.caller = Caller.of(key)
        self.requests = TokenBucket(key.rate, now)
        self.feedback: TokenBucket | None = None
        self.budget: Budget | None = None


_ANYONE = Caller()
"""Who sends a request where there are no keys."""


class Auth:
    """Checks the API keys of requests; without keys every request may do everything but administer.

    Parameters
    ----------
    keys
        The valid keys; None to accept every request.
    costs
        Returns the Unix times and costs of a key's decisions in the order of the log, by its id.
    monotonic
        Returns seconds that never go back, for rates.
    clock
        Returns the Unix time in seconds, for budgets.
    feedback_rate
        Returns the number of feedback messages a minute of keys that have no rate of their own;
        None for no limit.
    shared
        Shares budgets and rates with other replicas; None where this process has them alone.
    """

    def __init__(
        self,
        keys: Iterable[ApiKey] | None,
        costs: Callable[[str], Iterable[tuple[float, float]]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
        feedback_rate: Callable[[], float | None] = lambda: None,
        shared: SharedKeys | None = None,
    ) -> None:
        self._shared = shared
        self._costs = costs
        self._feedback_rate = feedback_rate
        self._monotonic = monotonic
        self._clock = clock
        self._accounts: dict[str, _Account] | None = None
        self._internal: dict[str, _Account] = {}
        self._charged: tuple[ApiKey, ...] = ()
        if keys is not None:
            self._accounts = {}
            self.set_keys(keys)

    @property
    def open(self) -> bool:
        """Whether every request is accepted."""
        return self._accounts is None

    def set_keys(self, keys: Iterable[ApiKey]) -> None:
        """Accept these keys from now on; the use of unchanged keys stays counted."""
        self._accounts = self._accounts_of(keys, self._accounts or {})
        self._note_charged()

    def set_internal_keys(self, keys: Iterable[ApiKey]) -> None:
        """Let the gateway's own calls be charged to these keys, which no client can use."""
        self._internal = self._accounts_of(keys, self._internal)
        self._note_charged()

    def _note_charged(self) -> None:
        both = (*(self._accounts or {}).values(), *self._internal.values())
        keys = tuple([account.key for account in both])
        if keys != self._charged:
            self._charged = keys

    def _accounts_of(
        self, keys: Iterable[ApiKey], old: Mapping[str, _Account]
    ) -> dict[str, _Account]:
        """Accounts of the valid keys; those of unchanged keys go on."""
        accounts = {}
        for key in keys:
            if key.revoked is not None:
                continue
            account = old.get(key.id)
            if account is None or account.key != key:
                before, account = account, _Account(key, self._monotonic())
                account.budget = self._open_budget(key)
                earlier = None if before is None else before.budget
                if isinstance(earlier, KeyBudget) and isinstance(account.budget, KeyBudget):
                    account.budget.take_holds(earlier, self._clock())
            accounts[key.id] = account
        return accounts

    def caller(self, headers: Mapping[str, str], scope: str) -> Caller:
        """Return who sent a request, if they may use a scope.

        Parameters
        ----------
        headers
            Headers of the request, names in lower case.
        scope
            Scope of the endpoint: chat, feedback, metrics, view or admin. A key for admin may read
            the metrics and look at the dashboard, too.

        Raises
        ------
        ApiError
            401 without a valid key, 403 without the scope (admin: also if there are no keys), 429
            above the rate.
        """
        return self._anyone(scope) if self.open else self._permit(self._account(headers), scope)

    def reader(self, headers: Mapping[str, str]) -> Caller:
        """Return who asks about decisions: keys for chat, feedback, view or admin; as ``caller``.

        Parameters
        ----------
        headers
            Headers of the request, names in lower case.

        Raises
        ------
        ApiError
            As for ``caller``.
        """
        if self.open:
            return self._anyone("chat")
        account = self._account(headers)
        has = account.caller.scopes
        return self._permit(account, next((s for s in _READING if s in has), "chat"))

    def caller_of_login(self, key: str, scope: str) -> Caller:
        """Return who is logged in with a key, if they may use a scope; as for ``caller``.

        Parameters
        ----------
        key
            Id of the key; "" without keys.
        scope
            Scope of the endpoint.

        Raises
        ------
        ApiError
            As for ``caller``.
        """
        if self._accounts is None:
            return self._anyone(scope)
        account = self._accounts.get(key)
        if account is None:
            text = "the key of this login is not valid any more: log in with another one"
            raise ApiError(401, text, code="invalid_api_key")
        return self._permit(account, scope)

    def _anyone(self, scope: str) -> Caller:
        """Return who sends a request where there are no keys."""
        if scope == "admin":
            raise ApiError(
                403,
                "nothing is administered while auth is none, because every client is "
                "accepted: set auth: keys in floorline.yaml, and send a key with the scope "
                "admin ('floorline keys create NAME --scope admin')",
                code="admin_needs_keys",
            )
        return _ANYONE

    def _permit(self, account: _Account, scope: str) -> Caller:
        """Return the caller of a key that has a scope, and count the request."""
        scopes = account.caller.scopes
        if scope not in scopes and not (scope in _ADMIN_HAS and "admin" in scopes):
            raise ApiError(
                403,
                f"this API key lacks the scope {scope!r}: use a key that has it",
                code="missing_scope",
            )
        wait = self._take("chat", account.key, account.key.rate, account.requests)
        if wait > 0.0:
            raise ApiError(
                429,
                f"this API key may send {account.key.rate:g} requests a minute: wait {wait:.1f} s",
                code="rate_limit_exceeded",
                retry_after=wait,
            )
        return account.caller

    def _take(self, kind: str, key: ApiKey, rate: float | None, bucket: TokenBucket) -> float:
        """Take one event of a rate; return the seconds to wait if there is none."""
        now = self._monotonic()
        if self._shared is None:
            return bucket.take(rate, now)
        return self._shared.take(kind, key.id, rate, bucket, now)

    @property
    def keys(self) -> list[ApiKey]:
        """The valid keys; none where every request is accepted."""
        return [account.key for account in (self._accounts or {}).values()]

    @property
    def charged_keys(self) -> Sequence[ApiKey]:
        """Valid keys and those of the gateway's own calls: the same object until they change."""
        return self._charged

    def valid_key(self, id: str) -> ApiKey | None:
        """Return the valid key of an id; None if there is none, or it was revoked."""
        account = (self._accounts or {}).get(id)
        return None if account is None else account.key

    def key_of(self, secret: str) -> ApiKey | None:
        """Return the valid key of a secret; None if there is none."""
        key = self.valid_key(key_id(secret) or "")
        return key if key is not None and key.matches(secret) else None

    @property
    def tenants(self) -> list[str]:
        """Names of the tenants of the valid keys, in the order of the alphabet."""
        accounts = (self._accounts or {}).values()
        return sorted({account.key.tenant for account in accounts} - {""})

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
            account.feedback = TokenBucket(rate, now)
        wait = self._take("feedback", account.key, rate, account.feedback)
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
        budget = self._budget(key)
        return math.inf if budget is None else budget.left(self._clock())

    def spending(self) -> dict[str, KeySpending]:
        """Return what the budgets of keys have left, by the key's id; of keys that have one."""
        return self._spending(self._accounts or {})

    def internal_spending(self) -> dict[str, KeySpending]:
        """Return the same for the keys that the gateway's own calls are charged to."""
        return self._spending(self._internal)

    def _spending(self, accounts: Mapping[str, _Account]) -> dict[str, KeySpending]:
        now = self._clock()
        return {
            id: account.budget.spending(now)
            for id, account in accounts.items()
            if account.budget is not None
        }

    def hold(self, key: str, decision: str, largest: float) -> None:
        """Reserve what a call of a key can cost at most, until ``charge`` gives its cost."""
        budget = self._budget(key)
        if budget is not None:
            budget.hold(decision, largest, self._clock())

    def charge(self, key: str, decision: str, cost: float) -> None:
        """Put the cost of a call in the place of what is reserved for it."""
        budget = self._budget(key)
        if budget is not None:
            budget.charge(decision, cost, self._clock())

    def out_of_budget(self, key: str) -> ApiError:
        """Error of a request that its key's budget cannot pay for."""
        budget = self._budget(key)
        assert budget is not None
        return budget.refusal(self._clock())

    def _budget(self, key: str) -> Budget | None:
        account = (self._accounts or {}).get(key) or self._internal.get(key)
        return None if account is None else account.budget

    def _open_budget(self, key: ApiKey) -> Budget | None:
        """Budget of a key with what its calls in this period have cost; None if it has none."""
        if self._shared is not None:
            return self._shared.budget(key)
        if key.budget is None:
            return None
        return KeyBudget(key.budget, key.period, self._costs(key.id), self._clock())

    def _account(self, headers: Mapping[str, str]) -> _Account:
        accounts = self._accounts or {}
        scheme, _, given = headers.get("authorization", "").partition(" ")
        secret = given.strip() if scheme.lower() == "bearer" else ""
        account = accounts.get(key_id(secret) or "")
        if account is not None and account.key.matches(secret):
            return account
        # Clients of Anthropic and Azure; some send a token of their own beside it.
        for name in _KEY_HEADERS:
            secret = headers.get(name, "").strip()
            account = accounts.get(key_id(secret) or "")
            if account is not None and account.key.matches(secret):
                return account
        raise ApiError(
            401,
            "the request has no valid API key: send 'Authorization: Bearer fl-…', or x-api-key or "
            "api-key, with a key of 'floorline keys create'",
            code="invalid_api_key",
            headers={"www-authenticate": "Bearer"},
        )
