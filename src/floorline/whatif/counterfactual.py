"""Off-policy evaluation: satisfaction and cost of another policy on the logged requests.

The other policy is run through the same router and fold as in serving. It decides on every logged
request. It receives an outcome or a label of a model only if both it and the logged decision called
the model. Its satisfaction and cost are estimated by weighting the logged ones with π/p
(``guarantees.off_policy``).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from floorline.errors import check_number
from floorline.events import (
    DIRECT,
    RECOGNISED,
    Decision,
    Event,
    Feedback,
    Outcome,
    SlaChange,
    WarmStart,
    ZooChange,
)
from floorline.policies import Policy
from floorline.replay.environment import GivenFeatures
from floorline.router import Router
from floorline.sla import SLA
from floorline.state.event_log import MemoryLog
from floorline.whatif.logged_rows import RowTable, RunningMeans, logged_propensities
from floorline.whatif.other_policy import check_knows
from floorline.whatif.result import (
    MAX_UNSUPPORTED,
    MIN_EFFECTIVE_LABELS,
    NoSupport,
    WhatIf,
    evaluate,
)
from floorline.whatif.row_store import Row, RowStore
from floorline.zoo import Zoo

__all__ = ["Counterfactual", "NoSupport", "WhatIf"]


class Counterfactual:
    """Evaluation of another policy on a log, event by event.

    Memory does not grow with the log: requests are in a temporary file, a few hundred bytes each.

    Parameters
    ----------
    policy
        The policy; it must be new and not used elsewhere.
    zoo, slas
        Models and SLAs at the beginning of the log.
    dim
        Length of the logged features.
    sla
        Name of the SLA whose requests are used. Default: all requests.
    floor
        Floor of every request. Default: the logged floors.
    seed
        Seed of the policy's random draws.

    Raises
    ------
    InvalidInput
        If the policy knows the stream in advance.
    """

    def __init__(
        self,
        policy: Policy,
        zoo: Zoo,
        slas: Sequence[SLA],
        dim: int,
        *,
        sla: str | None = None,
        floor: float | None = None,
        seed: int = 0,
    ) -> None:
        check_knows(policy.name, policy.knows)
        encoder = GivenFeatures(dim, "logged")
        log = MemoryLog(max_bytes=0)
        self.router = Router(zoo, policy, slas, encoder=encoder, seed=seed, log=log)
        self.sla = sla
        self.floor = floor
        self.rows = RowStore()
        self.left_out: dict[str, int] = {}
        self._quality, self._cost = RunningMeans(), RunningMeans()

    def fold(self, event: Event) -> None:
        """Add the next event of the log."""
        if isinstance(event, Decision):
            reason = self._reason_to_leave_out(event)
            if reason:
                self.left_out[reason] = self.left_out.get(reason, 0) + 1
            else:
                self._decision(event)
        elif isinstance(event, Outcome):
            self._outcome(event)
        elif isinstance(event, Feedback):
            self._feedback(event)
        elif isinstance(event, ZooChange | SlaChange | WarmStart):
            self.router.apply([event])

    def _reason_to_leave_out(self, event: Decision) -> str:
        """Return why a logged decision is not used; empty if it is."""
        if event.policy == DIRECT:
            return "model chosen by the caller"
        if event.declined:
            return "declined"
        if event.models != self.router.zoo.names:
            return "made between other models"
        if event.after:
            return "made in place of a failed call"
        depends = self.router.zoo.caches or not event.session.startswith(RECOGNISED)
        if event.session and depends and not self.rows.is_new((*event.owner, event.session)):
            return "later turns of a conversation, which depend on its earlier ones"
        return ""

    def _decision(self, event: Decision) -> None:
        router = self.router
        logged = logged_propensities(event)
        floor = event.floor if self.floor is None else self.floor
        request = router.request(
            features=event.features,
            sla=event.sla,
            floor=floor,
            input_tokens=event.input_tokens,
            at=event.at,
        )
        (other,) = router.decide([request], ids=[event.id], at=event.at)
        if self.sla is not None and event.sla != self.sla:
            return
        names = router.zoo.names
        row = Row(
            model=event.model,
            names=names,
            by_model=np.array(
                [logged, other.propensities, self._quality.of(names), self._cost.of(names)]
            ),
            matched=other.model == event.model,
            floor=floor,
            other_calls=sum(self._cost[name] for name in other.called[1:]),
        )
        self.rows.add(event.id, row)

    def _outcome(self, event: Outcome) -> None:
        self._cost.add(event.model, event.cost)
        with self.rows.changing(event.decision) as row:
            if row is not None:
                row.spent += event.cost
                if event.model == row.model:
                    row.cost = event.cost
        if self._revealed(event):
            self.router.apply([event])

    def _feedback(self, event: Feedback) -> None:
        score = float(event.score)
        with self.rows.changing(event.decision) as row:
            if row is not None and event.model == row.model:
                if row.score is None:
                    self._quality.add(event.model, score)
                else:
                    self._quality.add(event.model, score - row.score, count=0.0)
                row.score, row.share = score, event.weight
        if self._revealed(event):
            # The cost of a judge belongs to the logging policy, not to this one.
            self.router.apply([msgspec.structs.replace(event, cost=0.0)])

    def _revealed(self, event: Outcome | Feedback) -> bool:
        record = self.router.find(event.decision)
        return record is not None and event.model in record.decision.called

    def result(
        self,
        *,
        confidence: float = 0.95,
        min_effective_labels: float = MIN_EFFECTIVE_LABELS,
        max_unsupported: float = MAX_UNSUPPORTED,
    ) -> WhatIf:
        """Estimate satisfaction and cost of the policy.

        Labels count with their ``weight``. Costs are taken to be at most the largest logged cost of
        a call of the model.

        Parameters
        ----------
        confidence
            Confidence level of each interval.
        min_effective_labels
            Least effective number of labels for estimates.
        max_unsupported
            Largest share of the policy's choices that the log may not support. It widens the
            intervals by as much.

        Raises
        ------
        InvalidInput
            If a parameter is out of range.
        NoSupport
            If the log does not support estimates: too large a share of the policy's choices have
            (almost) no probability in the log, the effective number of labels is too small, or the
            weights do not have their known mean. Its ``result`` has the bounds that hold all the
            same, if there are any.
        """
        fix = "give a number above 0 and below 1, such as 0.95"
        check_number("confidence", confidence, low=1e-9, high=1.0 - 1e-9, fix=fix)
        check_number(
            "max_unsupported", max_unsupported, low=0.0, high=1.0, fix="give a share from 0 to 1"
        )
        return evaluate(
            RowTable(self.rows),
            self.router.zoo,
            self.router.policy.fingerprint,
            self.left_out,
            confidence=confidence,
            min_effective_labels=min_effective_labels,
            max_unsupported=max_unsupported,
        )
