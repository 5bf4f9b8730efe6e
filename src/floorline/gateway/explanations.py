"""Explanations of decisions, as far as the one who asks may see them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from floorline.events import Decision
from floorline.gateway.auth import Caller
from floorline.gateway.decision_lookup import DecisionLookup
from floorline.router import Router
from floorline.state.candidate_reasons import candidates_of
from floorline.state.explaining import explain, summary_of
from floorline.state.explanation import Candidate, Explanation
from floorline.stores.decision_history import decision_history
from floorline.stores.queued import QueuedStore


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """Who would answer a request at one floor, and why; costs in the zoo's unit.

    Attributes
    ----------
    floor, sla
        The floor, and the SLA that the request names.
    model
        The model that would serve; "" if the request would be declined.
    explored
        Whether the policy would serve it to explore.
    expected_quality, expected_cost
        Estimates of that model; None if the request would be declined.
    rule, multipliers, candidates, summary
        As in an explanation.
    """

    floor: float
    sla: str
    model: str
    explored: bool
    expected_quality: float | None
    expected_cost: float | None
    rule: str
    multipliers: dict[str, float]
    candidates: list[Candidate]
    summary: str


class Explanations:
    """Explains the decisions of a gateway.

    Parameters
    ----------
    router, store
        Decides; keeps the log.
    lookup
        Finds decisions by the ids that clients know.
    """

    def __init__(self, router: Router, store: QueuedStore, lookup: DecisionLookup) -> None:
        self._router = router
        self._store = store
        self._lookup = lookup

    async def find(self, id: str, caller: Caller) -> Explanation:
        """Explain a decision by its id or the id of its completion.

        Parameters
        ----------
        id
            Id of the decision or of its completion.
        caller
            Who asks: they see their own decisions, administrators all. Models that they may not
            name are left out, the one that served aside.

        Raises
        ------
        ApiError
            404 if there is no such decision, or it is another tenant's; 409 if there are several.
        StoreUnavailable
            If the event log cannot be read.
        """
        decision = await self._lookup.look_up(id, caller, caller.sees)
        # Feedback and outcomes that were just taken are part of the timeline.
        await self._store.committed()
        return await self.of(decision, caller)

    async def of(self, decision: Decision, caller: Caller) -> Explanation:
        """Explain a decision that is durable in the log; arguments and errors as for ``find``."""
        events = await asyncio.to_thread(decision_history, self._store, decision.id)
        unit, may_name = self._router.zoo.cost_unit, caller.may_call
        return explain(decision, events, cost_unit=unit, may_name=may_name)

    def previews(self, decisions: Sequence[Decision], caller: Caller) -> list[Preview]:
        """Explain decisions that were not made, as ``Router.preview`` returns them."""
        return [self._preview(made, caller) for made in decisions]

    def _preview(self, made: Decision, caller: Caller) -> Preview:
        candidates = candidates_of(made, may_name=caller.may_call)
        return Preview(
            floor=made.floor,
            sla=made.sla,
            model=made.model,
            explored=made.explored,
            expected_quality=None if made.declined else made.expected_quality,
            expected_cost=None if made.declined else made.expected_cost,
            rule=made.rule,
            multipliers=made.multipliers,
            candidates=candidates,
            summary=summary_of(made, candidates, self._router.zoo.cost_unit),
        )
