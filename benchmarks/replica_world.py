"""Simulated models, users and requests that the benchmarks of several replicas share.

The models, their answers, costs and waits are those of the simulated zoo: a request
has one label and one cost for each model, whichever replica serves it. Requests come at random
times at a mean rate, each at a random replica; a share φ of the answers gets a label later.
"""

from typing import NamedTuple

import numpy as np

from floorline import SLA
from floorline.datasets.simulated import SimulatedZoo
from floorline.encoders import make_encoder
from floorline.optimization.floor_lp import cheapest_assignment, cheapest_mix
from floorline.replay import prepare
from floorline.sla import Budget

FLOOR, LABELLED = 0.8, 0.2
"""Floor of every SLA, and share φ of the answers that get a label."""
MODELS = ("sim-nano", "sim-mini", "sim-small", "sim-titan")
GOLD = "gold"
"""The SLA whose satisfaction and cost are compared; it has no budget."""
BUDGET_PART = 0.5
"""A budget pays for this part of what the static mix costs for the requests of its SLA."""


class Setting(NamedTuple):
    """What is asked.

    Parameters
    ----------
    rate, seconds
        Requests a second of all replicas together, and length of the traffic.
    shares
        Share of the requests by SLA.
    free
        SLAs without a budget; the others have one for each period.
    period
        Seconds of a period of the budgets.
    label_seconds
        Mean wait of a label after its answer.
    pace
        Seconds that an answer takes for each second that the simulated model takes.
    """

    rate: float
    seconds: float
    shares: dict
    free: tuple = (GOLD,)
    period: float = 60.0
    label_seconds: float = 10.0
    pace: float = 1.0


class Traffic(NamedTuple):
    """(N,) arrays over requests: time, replica as a part of all, SLA, whether and when a label
    follows, and from which replica.
    """

    at: np.ndarray
    replica: np.ndarray
    sla: np.ndarray
    labelled: np.ndarray
    label_after: np.ndarray


class Reference(NamedTuple):
    """Mean label and mean cost of a request with a way to serve that needs no learning."""

    name: str
    satisfied: float
    cost: float


class World:
    """The models, the users and their requests; the same ones for a setting and a seed."""

    def __init__(self, setting, seed):
        self.setting, self.seed = setting, seed
        rng = np.random.default_rng(seed)
        count = rng.poisson(setting.rate * setting.seconds)
        self.names = tuple(setting.shares)
        self.zoo = SimulatedZoo(count, seed, MODELS)
        self.table = self.zoo.table()
        self.data = prepare(self.table, make_encoder("hashed"))
        self.data.features.flags.writeable = False
        self.traffic = Traffic(
            np.sort(rng.uniform(0.0, setting.seconds, count)),
            rng.random(count),
            rng.choice(len(self.names), size=count, p=list(setting.shares.values())),
            rng.random(count) < LABELLED,
            rng.exponential(setting.label_seconds, count),
        )
        self.quality, self.cost = self.data.quality.mean(axis=0), self.data.cost.mean(axis=0)
        self.mix_cost = self.mix_cost_at(FLOOR)
        self.longest = int(self.data.output_tokens.max()) + 1
        self.slas = [self._sla(name) for name in self.names]

    def budget(self, name):
        """Budget of an SLA a period."""
        setting = self.setting
        requests = setting.rate * setting.shares[name] * setting.period
        return BUDGET_PART * self.mix_cost * requests

    def _sla(self, name):
        if name in self.setting.free:
            return SLA(name, floor=FLOOR)
        budget = Budget(total=self.budget(name), period=self.setting.period)
        return SLA(name, floor=FLOOR, budget=budget)

    def largest_call(self):
        """Largest cost of a call that a request's limits allow, for a prompt of mean length."""
        dearest = self.data.zoo.models[-1]
        tokens = float(self.data.input_tokens.mean())
        return (tokens * dearest.input_price + self.longest * dearest.output_price) / 1e6

    def mix_cost_at(self, quality):
        """Cost of a request with the static mix that has a mean quality."""
        return float(cheapest_mix(self.quality, self.cost, quality) @ self.cost)

    def oracle_cost_at(self, quality):
        """Cost of a request with the cheapest assignment that has a mean quality (hindsight)."""
        labels, cost = self.data.quality, self.data.cost
        chosen = cheapest_assignment(labels, cost, quality)
        return float(cost[np.arange(len(cost)), chosen].mean())

    def references(self):
        """Ways to serve the requests that know all means, or all labels, or nothing."""
        quality, cost = self.quality, self.cost
        meets = quality >= FLOOR
        fixed = int(np.where(meets, cost, np.inf).argmin() if meets.any() else quality.argmax())
        mix = cheapest_mix(quality, cost, FLOOR)
        labels, costs = self.data.quality, self.data.cost
        chosen = np.arange(len(costs)), cheapest_assignment(labels, costs, FLOOR)
        return [
            Reference("oracle (hindsight)", float(labels[chosen].mean()), costs[chosen].mean()),
            Reference("static mix", float(mix @ quality), float(mix @ cost)),
            Reference("best fixed model", quality[fixed], cost[fixed]),
            Reference("random", quality.mean(), cost.mean()),
        ]
