"""Why each model of the zoo served a request or did not: one reason each, from the decision."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import numpy as np

from floorline.errors import listed
from floorline.events import DIRECT, Decision
from floorline.state.explanation import Candidate, Reason
from floorline.state.sessions import SESSION


class Found(NamedTuple):
    """The reason of one model: its code, and the sentence with its numbers."""

    reason: Reason
    text: str


def candidates_of(decision: Decision, not_called: frozenset[str] = frozenset()) -> list[Candidate]:
    """Explain every model of the zoo, in its order.

    Parameters
    ----------
    decision
        The decision; one of an earlier version says less.
    not_called
        Models that the policy wanted to call and that were not called.
    """
    best = best_position(decision)
    scores, added = decision.scores, decision.added_cost
    found = []
    for m, name in enumerate(decision.models):
        reason, text = _reason(decision, m, best)
        found.append(
            Candidate(
                model=name,
                quality=_finite(decision.quality_estimates[m]),
                cost=_finite(decision.cost_estimates[m]),
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
    open_to_all = [name not in decision.barred for name in decision.models]
    scores = np.where(open_to_all, decision.scores, np.inf)
    served = decision.index
    if np.isnan(scores).any() or not np.isfinite(scores).any():
        return served
    # Of equal scores the served one, which another order decided for.
    return served if served >= 0 and scores[served] == scores.min() else int(scores.argmin())


def _reason(decision: Decision, m: int, best: int) -> Found:
    name, served = decision.models[m], decision.index
    if m == served:
        return Found("served", _served(decision, best))
    if decision.policy == DIRECT:
        return Found("not_asked", f"the request names {_shown(decision, served)}")
    if name in decision.barred:
        code, text = decision.barred[name]
        return Found(cast(Reason, code), text)
    if decision.rule == "budget" and decision.scores is not None:
        if not math.isfinite(decision.scores[m]):
            text = "a call now is too early for the pace at which the budget is spent"
            return Found("budget", text)
        if decision.declined:
            text = "its expected quality is worth less than its cost at the budget's present price"
            return Found("budget", text)
    if decision.declined:
        return Found("budget", f"the policy {decision.policy} declined the request")
    if decision.rule == SESSION:
        text = f"the conversation stays on {_shown(decision, served)}, which served it before"
        return Found("conversation", text)
    if m == best:
        chance = decision.propensities[served]
        text = f"the policy preferred it, and explored {_shown(decision, served)} by a draw of "
        return Found("explored_instead", f"{text}probability {chance:.3g}")
    if decision.scores is None and decision.propensities[m] > 0.0:
        text = f"drawn with probability {decision.propensities[m]:.3g}; the draw fell on "
        return Found("chance", text + _shown(decision, served))
    return _compared(decision, m, best)


def _served(decision: Decision, best: int) -> str:
    """Say why the served model serves."""
    if decision.policy == DIRECT:
        return "the request names it"
    if decision.rule == SESSION:
        return "the conversation stays on the model that served it before"
    chance = decision.propensity
    if decision.explored:
        return f"drawn to explore, with probability {chance:.3g}"
    if len(decision.models) - len(decision.barred) == 1:
        return "it is the only model that may serve"
    if decision.scores is not None and best == decision.index:
        score = decision.scores[best]
        return f"it has the lowest score, {score:.4g}, of the models that may serve"
    if chance < 1.0:
        return f"drawn with probability {chance:.3g}"
    return f"the rule {decision.rule!r} chose it" if decision.rule else "the policy chose it"


def _compared(decision: Decision, m: int, best: int) -> Found:
    """Compare a model that could have served with the one that was preferred."""
    cost, quality = decision.scored_costs, decision.quality_estimates
    paid, least = float(cost[m]), float(cost[best])
    good, better = float(quality[m]), float(quality[best])
    rival = _shown(decision, best)
    if paid > least:
        much = f"{paid / least:.3g} times the cost" if least > 0.0 else f"a cost of {paid:.3g}"
        if good > better:
            text = f"its expected quality of {good:.3f} is not worth {much} of {rival}"
            return Found("price", f"{text} ({better:.3f})")
        text = f"it has {much} of {rival}, and its expected quality of {good:.3f} is no higher"
        return Found("price", text)
    if good < better:
        text = f"its expected quality of {good:.3f}, against {better:.3f} of {rival}, is too low"
        return Found("floor", f"{text} for the floor of {decision.floor:g} now")
    text = f"its estimates are no worse than those of {rival}, but its score is: the policy also"
    return Found("score", f"{text} counts how certain estimates are, or takes the first of equals")


def _shown(decision: Decision, m: int) -> str:
    return listed([decision.models[m]])


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
