"""Requests to a gateway, one each half hour, while the system's clock is set."""

from pathlib import Path

from floorline.errors import BudgetExhausted
from floorline.gateway.auth import Caller
from floorline.gateway.clock import Clock
from floorline.gateway.errors import ApiError
from floorline.stores.keys import ApiKey
from tests.support.gateway_parts import Parts, chat_request, whole_answer

START = 20_000 * 86_400.0
CALL = 0.01
"""Cost of each call; a day's budget is ten of them."""


class _System:
    """The system's clock, which ``steps`` set: seconds by the hours after the start."""

    def __init__(self):
        self.passed = 0.0
        self.set_by = 0.0

    def wall(self):
        return START + self.passed + self.set_by

    def monotonic(self):
        return self.passed


def served_by_clocks(folder, *, of, hours, steps, restart=False):
    """Number of calls that the budget of a key or an SLA paid, by day of the true time.

    With ``restart`` the gateway starts again at every step, so that it believes the clock it finds.
    """
    Path(folder).mkdir(exist_ok=True)
    system = _System()
    parts = _parts(folder, of, system)
    days = [0] * (hours // 24)
    try:
        for half_hour in range(2 * hours):
            system.passed = 1800.0 * half_hour + 1.0
            if half_hour % 2 == 0 and half_hour // 2 in steps:
                system.set_by += steps[half_hour // 2]
                if restart:
                    parts.store.close()
                    parts = _parts(folder, of, system)
            days[half_hour // 48] += _send(parts)
    finally:
        parts.store.close()
    return days


def _send(parts):
    """Whether a request is served."""
    try:
        decision = parts.chat.decide(chat_request(max_tokens=100), Caller("key-1"))
    except (ApiError, BudgetExhausted):
        return False
    parts.answered(decision, whole_answer(tokens=100))
    return True


def _parts(folder, of, system):
    budget = 10 * CALL + CALL / 100
    sla = {"name": "gold", "floor": 0.5}
    if of == "sla":
        sla["budget"] = {"total": budget, "period": "1d"}
    models = [{"name": "small", "endpoint": "http://127.0.0.1:1/v1", "output_price": CALL * 1e4}]
    keys = [_key(budget if of == "key" else None)]
    clock = Clock(system.wall, system.monotonic)
    return Parts(folder, keys=keys, clock=clock, models=models, slas=[sla])


def _key(budget):
    period = None if budget is None else 86_400.0
    return ApiKey(
        id="key-1",
        digest=b"",
        name="app",
        scopes=("chat",),
        budget=budget,
        period=period,
        created=0.0,
    )
