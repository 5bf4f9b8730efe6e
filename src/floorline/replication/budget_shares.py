"""Shares of the budgets of SLAs: holds and costs follow a replica's decisions and outcomes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from floorline.events import Decision, Outcome
from floorline.replication.shares import Account, Shares
from floorline.sla import SLA
from floorline.stores.keys import ApiKey
from floorline.stores.reading import LogReader

_SLA, _KEY = "sla:", "key:"
"""Begin the names of accounts of SLAs and of API keys."""


def accounts_of(sla: SLA) -> Iterator[Account]:
    """Yield the accounts of an SLA's budget: of the total, and of single models.

    Examples
    --------
    >>> from floorline.sla import Budget
    >>> gold = SLA("gold", floor=0.9, budget=Budget(total=10.0, per_model={"large": 4.0}))
    >>> [(account.name, account.amount) for account in accounts_of(gold)]
    [('sla:gold', 10.0), ('sla:gold:large', 4.0)]
    """
    budget = sla.budget
    if budget is None:
        return
    if budget.total is not None:
        yield Account(f"{_SLA}{sla.name}", budget.total, budget.period)
    for model, amount in budget.per_model.items():
        yield Account(f"{_SLA}{sla.name}:{model}", amount, budget.period)


class BudgetShares:
    """Limits what a replica spends under SLAs to its shares; a ``BudgetLimit``.

    Parameters
    ----------
    shares
        The shares of this replica.
    """

    def __init__(self, shares: Shares) -> None:
        self.shares = shares

    def accounts(self, slas: Iterable[SLA]) -> list[Account]:
        """Return the accounts of all budgets of some SLAs."""
        return [account for sla in slas for account in accounts_of(sla)]

    def total_left(self, sla: SLA, at: float) -> float:
        """Return what is left of this replica's share of the total; infinity without a total."""
        if sla.budget is None or sla.budget.total is None:
            return math.inf
        return self._left(f"{_SLA}{sla.name}", at)

    def model_left(self, sla: SLA, model: str, at: float) -> float:
        """Return what is left of its share of a model's budget; infinity without one."""
        if sla.budget is None or model not in sla.budget.per_model:
            return math.inf
        return self._left(f"{_SLA}{sla.name}:{model}", at)

    def lacks(self, sla: SLA, needed: Mapping[str, float]) -> None:
        """Ask for room for calls that did not fit: what each needs, by the model's name."""
        if sla.budget is None:
            return
        if sla.budget.total is not None:
            for amount in needed.values():
                self.shares.need(f"{_SLA}{sla.name}", amount)
        for model, amount in needed.items():
            self.shares.need(f"{_SLA}{sla.name}:{model}", amount)

    def note(self, event: Decision | Outcome) -> None:
        """Hold what the calls of a decision reserve, or settle a call at its cost."""
        if isinstance(event, Outcome):
            self.shares.settle(_call(event.decision, event.model), event.cost)
            return
        if not event.sla or event.declined:
            return
        for model, reserved in event.reservations.items():
            for account in (f"{_SLA}{event.sla}", f"{_SLA}{event.sla}:{model}"):
                self.shares.hold(account, _call(event.id, model), reserved, event.at)

    def note_elsewhere(self, decision: Decision) -> None:
        """Settle calls whose outcome another replica has, at their expected costs."""
        for model, reserved in decision.reservations.items():
            cost = min(decision.cost[model], reserved)
            self.shares.settle(_call(decision.id, model), cost)
            self.shares.settle(key_call(decision.id), cost)

    def _left(self, account: str, at: float) -> float:
        # A budget that was added a moment ago has no share yet.
        return self.shares.left(account, at) if self.shares.knows(account) else 0.0


def _call(decision: str, model: str) -> str:
    return f"{decision}/{model}"


def key_call(decision: str) -> str:
    """Return the name of a decision's hold of its key's budget; that of its SLA's has others."""
    return _call(decision, "key")


def key_account(key: ApiKey) -> Account:
    """Return the account of a key's budget; the key has one."""
    assert key.budget is not None
    return Account(f"{_KEY}{key.id}", key.budget, key.period)


def used_by(
    store: LogReader, replica: str, slas: Mapping[str, SLA], keys: Iterable[ApiKey] = ()
) -> dict[tuple[str, float], float]:
    """Return what the calls of a replica cost, by account and period, as the log has it.

    Parameters
    ----------
    store
        The log, which has all events of the replica.
    replica
        Its name, with which the ids of its decisions begin.
    slas, keys
        The SLAs and API keys, for the periods of their budgets.

    Raises
    ------
    StoreUnavailable
        If the database raises an error.
    """
    shares = BudgetShares(Shares())
    of_keys = [key_account(key) for key in keys if key.budget is not None]
    shares.shares.watch([*shares.accounts(slas.values()), *of_keys])
    for event in store.events_with_prefix(f"{replica}-"):
        if isinstance(event, Decision) and event.key:
            for model, reserved in event.reservations.items():
                call = _call(event.id, model)
                shares.shares.hold(f"{_KEY}{event.key}", call, reserved, event.at)
        if isinstance(event, Decision | Outcome):
            shares.note(event)
    return shares.shares.used()
