"""``GET /v1/judges``: how judges differ from users, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from floorline.events import JUDGE_KEY
from floorline.gateway.api.responses import reply
from floorline.state.judge_calibration import Agreement

if TYPE_CHECKING:
    from floorline.gateway.startup import Gateway


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


class JudgesApi:
    """The endpoint that shows judges; it is about all tenants: it needs the scope ``metrics``."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def judges(self, request: Request) -> Response:
        """Return how judges differ from users, and what they cost."""
        self.gateway.auth.caller(request.headers, "metrics")
        counts: dict[str, dict[str, int]] = {}
        for (judge, result), count in sorted(self.gateway.judging.counts.items()):
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
            for key, found in self.gateway.auth.internal_spending().items()
        ]
        return reply(JudgesView(self.gateway.router.judge_agreements(), spending, counts))
