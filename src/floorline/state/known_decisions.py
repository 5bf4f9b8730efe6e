"""What a fold over time remembers of decisions, which may still get outcomes and feedback."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from floorline.events import GATEWAY, Decision


class KnownDecision(msgspec.Struct, gc=False):
    """What later events need to know of a decision.

    It has no garbage collection, because it is in no cycle: a full collection would otherwise visit
    all of them while requests wait.

    Attributes
    ----------
    sla, tenant, model : str
        As in the decision.
    floor : float
        Floor that held for the request.
    seq : int
        Number of the decision.
    at, began : float
        Time of the decision, and of the request's first decision, from which on its client waits.
    open : tuple of str
        Models whose calls have no outcome so far.
    own_call : bool
        Whether the gateway makes the call, so that its outcome is certain to come.
    failed : tuple of (list of str, float) or None
        Promises of latency that count the request as late because its call failed, and when.
    keys : list of str or None
        Keys of the latest feedback messages.
    labels : dict of str to (float, float, float) or None
        By model: score, weight, and time of the first label.
    """

    sla: str
    tenant: str
    model: str
    floor: float
    seq: int
    at: float
    began: float
    open: tuple[str, ...]
    own_call: bool
    failed: tuple[list[str], float] | None = None
    keys: list[str] | None = None
    labels: dict[str, tuple[float, float, float]] | None = None

    @classmethod
    def of(
        cls,
        decision: Decision,
        open_calls: tuple[str, ...],
        before: KnownDecision | None = None,
    ) -> KnownDecision:
        """Return what to remember of a decision, which may be in place of an earlier one."""
        began = decision.at
        if before is not None and before.seq < decision.seq:
            began = before.began
        return cls(
            decision.sla,
            decision.tenant,
            decision.model,
            decision.floor,
            decision.seq,
            decision.at,
            began,
            open_calls,
            decision.call_by == GATEWAY,
        )


class DecisionMemory:
    """The latest decisions, and older ones whose call by the gateway has not ended.

    Parameters
    ----------
    most
        Number of latest decisions.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._latest: OrderedDict[str, KnownDecision] = OrderedDict()
        self._open: dict[str, KnownDecision] = {}

    def __contains__(self, id: str) -> bool:
        return id in self._latest or id in self._open

    def find(self, id: str) -> KnownDecision | None:
        """Return what is remembered of a decision; None if it is not."""
        return self._latest.get(id) or self._open.get(id)

    def add(self, id: str, known: KnownDecision) -> None:
        """Remember a decision, and forget the oldest one above the bound."""
        self._latest[id] = known
        if len(self._latest) > self._most:
            oldest, forgotten = self._latest.popitem(last=False)
            if forgotten.open and forgotten.own_call:
                self._open[oldest] = forgotten

    def end_call(self, id: str, model: str) -> None:
        """Note that a call of a remembered decision has ended."""
        known = self.find(id)
        assert known is not None
        known.open = tuple(name for name in known.open if name != model)
        if not known.open:
            self._open.pop(id, None)
