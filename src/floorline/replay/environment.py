"""Providers and users of a replay, who answer by a table."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features
from floorline.core.random import CounterRng
from floorline.encoders.base import Prompt
from floorline.errors import InvalidInput
from floorline.events import Decision
from floorline.policies import Request
from floorline.policies.base import DECLINED
from floorline.replay.data import ReplayData
from floorline.replay.feedback import FeedbackModel
from floorline.replay.spec import Run, Spec
from floorline.router import Router
from floorline.state.judge import Judge

_FEEDBACK_STREAM = 0x5EED
"""Makes the draws of users independent of the router's under the same seed."""


class GivenFeatures:
    """Encoder of a router that gets features only; a replay encodes the whole table beforehand.

    Parameters
    ----------
    dim, fingerprint
        Length of the features, and fingerprint of the encoder that made them.
    """

    def __init__(self, dim: int, fingerprint: str) -> None:
        self.dim = dim
        self.fingerprint = fingerprint

    def encode(self, prompt: Prompt) -> Features:
        """Raise InvalidInput."""
        raise InvalidInput("prompt", prompt, "give features; replay encodes beforehand")

    def encode_batch(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """Raise InvalidInput."""
        raise InvalidInput("prompts", prompts, "give features; replay encodes beforehand")


class Environment:
    """Providers and users, who answer by a table.

    Parameters
    ----------
    data
        The table.
    spec
        Specification with feedback, judge and seed.
    router
        Router that is replayed.
    """

    def __init__(self, data: ReplayData, spec: Spec, router: Router) -> None:
        self.data = data
        self.router = router
        self.feedback = FeedbackModel.parse(spec.feedback)
        self.names = data.zoo.names
        self.gaps: NDArray[np.bool_] = np.isnan(data.quality)
        self.broken = np.asarray(self.gaps.any(axis=1))
        self.users = CounterRng(spec.seed ^ (_FEEDBACK_STREAM << 32))
        # Late labels: (step at which they arrive, number, decision, model, score).
        self.pending: list[tuple[int, int, str, str, float]] = []
        self.sent = 0
        self.judge = Judge(self._true_label, spec.judge_rate, spec.judge_cost)
        self.row = 0

    def request(
        self, row: int, floor: float | None = None, sla: str | None = None, at: float = 0.0
    ) -> Request:
        """Build the request of a row, without its labels; models without a label are excluded."""
        x = self.data.features[row]
        x.flags.writeable = False
        barred: tuple[str, ...] = ()
        if self.broken[row]:
            gaps = zip(self.names, self.gaps[row], strict=True)
            barred = tuple(name for name, gap in gaps if gap)
        tokens = int(self.data.input_tokens[row])
        return self.router.request(
            features=x, sla=sla, input_tokens=tokens, exclude=barred, floor=floor, at=at
        )

    def answer(self, run: Run, step: int, row: int, decision: Decision) -> None:
        """Call the models of a decision, reveal the labels that are due, and record both."""
        data, router = self.data, self.router
        self.row = row
        # Positions in the table; the zoo may have fewer models now.
        served = DECLINED if decision.declined else data.zoo.index(decision.model)
        run.explored[step] = decision.explored
        labels: dict[int, float] = {}
        for name in decision.called:
            model = data.zoo.index(name)
            cost = float(data.cost[row, model])
            if not self._pays(decision, name, cost):
                router.outcome(
                    decision.id, model=name, cost=0.0, error="over budget", at=decision.at
                )
                if model == served:
                    served = DECLINED
                continue
            labels[model] = float(data.quality[row, model])
            run.cost[step] += cost
            tokens = _cell(data.output_tokens, row, model)
            router.outcome(
                decision.id,
                model=name,
                cost=cost,
                output_tokens=None if tokens is None else round(tokens),
                latency=_cell(data.latency, row, model),
                at=decision.at,
            )
        run.model[step] = served
        if served != DECLINED:
            run.satisfied[step], run.served_cost[step] = labels[served], data.cost[row, served]
        for revealed in self.feedback.reveal(labels, served, self.users.at(step)):
            self.sent += 1
            entry = (step + revealed.delay, self.sent, decision.id, self.names[revealed.model])
            heapq.heappush(self.pending, (*entry, revealed.score))
            run.labels[step] += 1
        while self.pending and self.pending[0][0] <= step:
            _, _, known, name, score = heapq.heappop(self.pending)
            router.feedback(known, score=score, model=name, at=decision.at)
        if (
            self.judge.rate
            and served != DECLINED
            and router.judge_response(self.judge, decision.id, at=decision.at)
        ):
            run.cost[step] += self.judge.cost
            run.labels[step] += 1

    def _true_label(self, decision: Decision, response: str) -> float:
        return float(self.data.quality[self.row, self.data.zoo.index(decision.model)])

    def _pays(self, decision: Decision, model: str, cost: float) -> bool:
        """Whether the real cost of a call fits into the budget, whatever its estimate was."""
        router = self.router
        if router.slas[decision.sla].budget is None:
            return True
        position = router.zoo.index(model)
        left = router.budget_left(decision.sla, at=decision.at)[position]
        return bool(cost <= left + decision.cost_estimates[position])


def _cell(values: NDArray[np.float32] | None, row: int, model: int) -> Any:
    if values is None:
        return None
    value = float(values[row, model])
    return None if np.isnan(value) else value
