"""What is shown of judges, rules and shadow calls: by the API and by the dashboard."""

from __future__ import annotations

import msgspec

from floorline.events import JUDGE_KEY
from floorline.gateway.auth import Auth
from floorline.gateway.judging.judging import Judging
from floorline.router import Router
from floorline.state.judge_calibration import Agreement


class JudgingSpend(msgspec.Struct, frozen=True):
    """What a judge, or the calls in the shadow, cost in the present period, in the cost unit.

    Attributes
    ----------
    key
        ``judge:NAME`` or ``shadow``: what the calls are charged to in the log.
    judge
        Name of the judge; "" for the calls in the shadow.
    budget
        Largest cost in each period.
    spent, reserved
        Cost of its calls, and what its open calls can still cost; on this server where several
        share the budget.
    ends
        Unix time in seconds of the period's end; None if the budget never renews.
    """

    key: str
    judge: str
    budget: float
    spent: float
    reserved: float
    ends: float | None


class JudgesView(msgspec.Struct, frozen=True):
    """Judges, rules and calls in the shadow.

    Attributes
    ----------
    agreements
        Comparison of each judge with users, on all models and on each one.
    spending
        What judges and calls in the shadow cost.
    counts
        What this server did since its start: by judge, and by result as in the metric
        ``floorline_judgements``.
    object
        Names the kind of this JSON object.
    """

    agreements: list[Agreement]
    spending: list[JudgingSpend]
    counts: dict[str, dict[str, int]]
    object: str = "floorline.judges"


def judges_view(router: Router, auth: Auth, judging: Judging) -> JudgesView:
    """Return how judges differ from users, what they cost, and what this server did."""
    counts: dict[str, dict[str, int]] = {}
    for (judge, result), count in sorted(judging.counts.items()):
        counts.setdefault(judge, {})[result] = count
    spending = [
        JudgingSpend(
            key,
            key.removeprefix(JUDGE_KEY) if key.startswith(JUDGE_KEY) else "",
            found.amount,
            found.spent,
            found.reserved,
            found.ends,
        )
        for key, found in auth.internal_spending().items()
    ]
    return JudgesView(router.judge_agreements(), spending, counts)
