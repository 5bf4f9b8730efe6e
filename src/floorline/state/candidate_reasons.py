"""Why each model of the zoo served a request or did not: one reason each, from the decision."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np

from floorline.errors import listed
from floorline.events import DIRECT, Decision
from floorline.state.explanation import Candidate, Reason
from floorline.state.sessions import SESSION

MayName = Callable[[str], bool]
"""Whether the one who reads an explanation may know a model's name."""


_WITHOUT_FLOOR = ("budget", "budget left", "budget mix", "estimates", "plan", "best fixed model")
"""Rules that weigh quality against cost without a floor."""


def everyone(model: str) -> bool:
    """Let an explanation name every model."""
    return True


def candidates_of(
    decision: Decision,
    not_called: frozenset[str] = frozenset(),
    may_name: MayName = everyone,
) -> list[Candidate]:
    """Explain every model of the zoo, in its order.

    Parameters
    ----------
    decision
        The decision; one of an earlier version says less.
    not_called
        Models that the policy wanted to call and that were not called.
    may_name
        Models that it returns false for are left out, the one that served aside.
    """
    scores, added = decision.scores, decision.added_cost
    quality, cost = decision.quality_estimates, decision.cost_estimates
    # Without a model that can serve, the policy is not asked.
    asked = not decision.declined or bool(quality.any() or cost.any())
    reasons = _Reasons(decision, best_position(decision), may_name)
    found = []
    for m, name in enumerate(decision.models):
        if m != decision.index and not may_name(name):
            continue
        reason, text = reasons.of(m)
        found.append(
            Candidate(
                model=name,
                quality=_finite(quality[m]) if asked else None,
                cost=_finite(cost[m]) if asked else None,
                added_cost=None if added is None else _finite(added[m]),
                score=None if scores is None else _finite(scores[m]),
                propensity=float(decision.propensities[m]),
                served=m == decision.index,
                called=name in decision.called and name not in not_called,
                reason=reason,
                explanation=text,
            )
        )
    return found


def best_position(decision: Decision) -> int:
    """Position of the model that the rule itself preferred, before exploration; −1 for none."""
    if decision.scores is None or decision.rule == SESSION:
        return decision.index
    able = [name not in decision.barred for name in decision.models]
    scores = np.where(able, decision.scores, np.inf)
    served = decision.index
    if np.isnan(scores).any() or not np.isfinite(scores).any():
        return served
    # Of equal scores the served one, which another order decided for.
    return served if served >= 0 and scores[served] == scores.min() else int(scores.argmin())


class _Found(NamedTuple):
    """The reason of one model: its code, and the clause with its numbers."""

    reason: Reason
    text: str


class _Reasons(NamedTuple):
    """Reasons of a decision's models, compared with the one that its rule preferred."""

    decision: Decision
    best: int
    may_name: MayName

    def of(self, m: int) -> _Found:
        """The reason of the model at a position."""
        decision = self.decision
        name, served = decision.models[m], decision.index
        if m == served:
            return _Found("served", self._served())
        if decision.policy == DIRECT:
            return _Found("not_asked", f"the request names {self._shown(served)}")
        if name in decision.barred:
            code, text = decision.barred[name]
            return _Found(cast(Reason, code), text)
        if decision.rule == "budget" and decision.scores is not None:
            if not math.isfinite(decision.scores[m]):
                text = "a call now is too early for the pace at which the budget is spent"
                return _Found("budget", text)
            if decision.declined:
                text = "its expected quality is worth less than its cost at the budget's price now"
                return _Found("budget", text)
        if decision.declined:
            return _Found("budget", f"the policy {decision.policy} declined the request")
        if decision.rule == SESSION:
            text = f"the conversation stays on {self._shown(served)}, which served it before"
            return _Found("conversation", text)
        if m == self.best:
            text = f"the policy preferred it, and explored {self._shown(served)} by a draw of "
            chance = decision.propensities[served]
            return _Found("explored_instead", f"{text}probability {chance:.3g}")
        if decision.scores is None and decision.propensities[m] > 0.0:
            text = f"drawn with probability {decision.propensities[m]:.3g}; the draw fell on "
            return _Found("chance", text + self._shown(served))
        return self._compared(m)

    def _served(self) -> str:
        """Why the served model serves."""
        decision = self.decision
        if decision.policy == DIRECT:
            return "the request names it"
        if decision.rule == SESSION:
            return "the conversation stays on the model that served it before"
        chance = decision.propensity
        if decision.explored:
            return f"drawn to explore, with probability {chance:.3g}"
        if len(decision.models) - len(decision.barred) == 1:
            return "it is the only model that may serve"
        if decision.scores is not None and self.best == decision.index:
            able = [name not in decision.barred for name in decision.models]
            compared = int((np.isfinite(decision.scores) & able).sum())
            score = f"{decision.scores[self.best]:.4g}"
            if compared == 1:
                return f"it is the only model that the rule considers, with the score {score}"
            return f"it has the lowest score, {score}, of {compared} models that were compared"
        if chance < 1.0:
            return f"drawn with probability {chance:.3g}"
        return f"the rule {decision.rule!r} chose it" if decision.rule else "the policy chose it"

    def _compared(self, m: int) -> _Found:
        """Compare a model that could have served with the one that was preferred."""
        cost, quality = self.decision.scored_costs, self.decision.quality_estimates
        paid, least = float(cost[m]), float(cost[self.best])
        good, better = float(quality[m]), float(quality[self.best])
        rival = self._shown(self.best)
        if paid > least:
            much = f"{paid / least:.3g} times the cost" if least > 0.0 else f"a cost of {paid:.3g}"
            if good > better:
                text = f"its expected quality of {good:.3f} is not worth {much} of {rival}"
                return _Found("price", f"{text} ({better:.3f})")
            text = f"it has {much} of {rival}, and its expected quality of {good:.3f} is no higher"
            return _Found("price", text)
        if good < better and self.decision.rule in _WITHOUT_FLOOR:
            text = (
                f"its expected quality of {good:.3f}, against {better:.3f} of {rival}, loses more"
            )
            return _Found("quality", f"{text} than its lower cost saves")
        if good < better:
            text = (
                f"its expected quality of {good:.3f}, against {better:.3f} of {rival}, is too low"
            )
            return _Found("floor", f"{text} for the floor of {self.decision.floor:g} now")
        text = (
            f"its estimates are no worse than those of {rival}, but its score is: the policy also"
        )
        return _Found("score", f"{text} counts how certain they are, or takes the first of equals")

    def _shown(self, m: int) -> str:
        name = self.decision.models[m]
        known = m == self.decision.index or self.may_name(name)
        return listed([name]) if known else "another model"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
