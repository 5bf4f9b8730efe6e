"""64 replicas in virtual time: what an old state does to floors, cost and budgets.

``python benchmarks/simulate_replicas.py [--seconds 120] [--seeds 1] [--write]``; ``--write`` puts
the table into docs/replicas.md. Routers, fold, learner, shares and escrow are those of the product;
only the tables of log, inbox and states are lists in memory, and time is a number. ``--seconds`` of
traffic at 128 requests a second reach 64 replicas, each request a random one. Models, answers,
costs and waits are simulated (``floorline.datasets.simulate``); a fifth of the answers gets a
label, after 10 seconds on average. The learner publishes a state every Δ seconds, so a replica
decides from one that is up to Δ seconds old and from its own calls since. Δ = 0 is one server.

Half of the requests come under the SLA "gold", whose floor is 0.8. A quarter each come under two
SLAs with the same floor and a budget a minute that pays for half of what the static mix costs:
"shared" by shares of the replicas, as the product does, and "unshared" by what each replica knows.
"""

import argparse
import heapq
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool
from threadpoolctl import threadpool_limits

from floorline import SLA, Router
from floorline.call_bounds import CallLimits
from floorline.datasets import simulate
from floorline.encoders import make_encoder
from floorline.errors import BudgetExhausted
from floorline.optimization.floor_lp import cheapest_mix
from floorline.policies import make_policy
from floorline.replay import prepare
from floorline.replay.environment import GivenFeatures
from floorline.replication.budget_shares import BudgetShares
from floorline.replication.escrow import Escrow
from floorline.replication.inbox import Taken, Waiting
from floorline.replication.learner import Learner
from floorline.replication.replica_router import ReplicaRouter
from floorline.replication.replica_store import PublishedState
from floorline.replication.shares import Shares
from floorline.replication.tables import escrow, shares
from floorline.sla import Budget
from floorline.state.event_log import MemoryLog
from floorline.state.fold import Fold
from sheet import Sheet
from written import write

PAGE = Path(__file__).parents[1] / "docs" / "replicas.md"
REPLICAS, RATE = 64, 128.0
"""Number of replicas, and requests per second of all together."""
STALENESS = (0.0, 0.1, 1.0, 10.0, 60.0)
FLOOR, LABELLED, LABEL_SECONDS = 0.8, 0.2, 10.0
PERIOD, WARM_UP = 60.0, 60.0
"""Seconds of a period of the budgets, and seconds that count as the beginning."""
MODELS = ("sim-nano", "sim-mini", "sim-small", "sim-titan")
SLAS, SHARES_OF_TRAFFIC = ("gold", "shared", "unshared"), (0.5, 0.25, 0.25)
LOOK_SECONDS, RETURN_SECONDS = 0.5, 2.0
"""Pauses between two looks at shares and two returns; the product looks every 0.1 s, which would be
most of the work of the simulation."""
SEED, MEMORY = 1, 50_000


class Traffic(NamedTuple):
    """(N,) arrays over requests: time, replica, SLA, whether and when a label follows."""

    at: np.ndarray
    replica: np.ndarray
    sla: np.ndarray
    labelled: np.ndarray
    label_after: np.ndarray


class Result(NamedTuple):
    """(N,) arrays over requests: label of the answer and its cost, NaN if it was declined; and the
    largest sum that was held and spent of the two budgets, relative to them, by SLA.
    """

    satisfied: np.ndarray
    cost: np.ndarray
    peak: dict
    seconds: float


class MemoryInbox:
    """Inbox whose rows are visible in their order; tests of the store delay commits."""

    def __init__(self):
        self.rows = []

    def consumed(self):
        """Return that no event is in the log yet."""
        return {}

    def take(self, consumed, limit):
        """Take the next rows out."""
        taken, self.rows = self.rows[:limit], self.rows[limit:]
        return Taken(taken, [])


class LearnerLog(MemoryLog):
    """What the learner asks of its store."""

    def __init__(self):
        super().__init__(max_bytes=0)
        self.inbox, self.state = MemoryInbox(), None

    def flush(self, position=None):
        """Do nothing: events in memory are as durable as they get."""

    def drop_repeated(self, ids):
        """Do nothing: no row comes twice."""

    def append_waiting(self, event, waiting):
        """Append an event from the inbox."""
        self.append(event)

    def publish(self, position, consumed, body):
        """Keep a state as the published one."""
        self.state = PublishedState(1, position, 0.0, dict(consumed), body)

    def confirm(self):
        """Do nothing: the published state is the present one."""


class ReplicaLog(MemoryLog):
    """Appends to the inbox."""

    def __init__(self, replica, inbox):
        super().__init__(max_bytes=0)
        self.replica, self.inbox = replica, inbox

    def append(self, event):
        """Let an event wait for the learner."""
        super().append(event)
        row = Waiting(len(self.inbox.rows), self.replica, len(self), event)
        self.inbox.rows.append(row)


class SomeShares(BudgetShares):
    """Shares of the SLA "shared"; the other one is bounded by what the replica knows."""

    def accounts(self, slas):
        """Return the accounts of the SLA "shared"."""
        return super().accounts(sla for sla in slas if sla.name == "shared")

    def lacks(self, sla, needed):
        """Ask for room under the SLA "shared"."""
        if sla.name == "shared":
            super().lacks(sla, needed)

    def total_left(self, sla, at):
        """Return what is left of the share; infinity for the other SLA."""
        return super().total_left(sla, at) if sla.name == "shared" else np.inf


class OneServer:
    """A server that is alone: it folds every event at once."""

    def __init__(self, world):
        self.router = Router(**world.router_arguments("one"), log=MemoryLog(max_bytes=0))

    def at(self, replica):
        """Return the one router."""
        return self.router

    def publish(self):
        """Do nothing."""

    def look(self, at):
        """Do nothing."""


class Replicas:
    """The replicas, their learner and the escrow."""

    def __init__(self, world):
        self.world = world
        self.log = LearnerLog()
        learned = Router(**world.router_arguments("learner"), log=self.log)
        self.learner = Learner(learned, self.log)
        engine = sa.create_engine("sqlite://", poolclass=StaticPool)
        for table in (escrow, shares):
            table.create(engine)
        self.routers, self.escrows = [], []
        for name in (f"r{number}" for number in range(REPLICAS)):
            log = ReplicaLog(name, self.log.inbox)
            router = ReplicaRouter(**world.router_arguments(name), log=log)
            router.budgets = SomeShares(Shares())
            router._fold.limit = router.budgets
            router.budgets.shares.watch(router.budgets.accounts(world.slas))
            self.routers.append(router)
            self.escrows.append(Escrow(engine, name))
        self.returned_at = 0.0
        self.publish()

    def at(self, replica):
        """Router of a replica, with the latest state; it is loaded when it is first needed."""
        router = self.routers[replica]
        if router.state_position < self.log.state.position:
            router.adopt(self.log.state, router.prepare(self.log.state, self.world.new_fold()))
        return router

    def publish(self):
        """Fold what waits, and publish the state."""
        while self.learner.step():
            pass
        self.learner.publish()

    def look(self, at):
        """Fill and return shares, as every replica does from time to time."""
        due = at - self.returned_at >= RETURN_SECONDS
        for router, bank in zip(self.routers, self.escrows, strict=True):
            own = router.budgets.shares
            wanted = own.wanted(at)
            if wanted:
                for (name, start), granted in bank.grant(wanted, REPLICAS).items():
                    own.set_granted(name, start, granted)
            if due:
                bank.give_back(own.take_back(at))
        self.returned_at = at if due else self.returned_at


class World:
    """The models, the users and their requests."""

    def __init__(self, seconds, seed):
        self.seed = seed
        rng = np.random.default_rng(seed)
        count = rng.poisson(RATE * seconds)
        self.data = prepare(simulate(count, seed, MODELS), make_encoder("hashed"))
        self.data.features.flags.writeable = False
        self.traffic = Traffic(
            np.sort(rng.uniform(0.0, seconds, count)),
            rng.integers(REPLICAS, size=count),
            rng.choice(len(SLAS), size=count, p=SHARES_OF_TRAFFIC),
            rng.random(count) < LABELLED,
            rng.exponential(LABEL_SECONDS, count),
        )
        self.seconds = seconds
        self.quality, self.cost = self.data.quality.mean(axis=0), self.data.cost.mean(axis=0)
        self.mix_cost = self.mix_cost_at(FLOOR)
        self.budget = 0.5 * self.mix_cost * RATE * SHARES_OF_TRAFFIC[1] * PERIOD
        budget = Budget(total=self.budget, period=PERIOD)
        self.slas = [SLA("gold", floor=FLOOR)]
        self.slas += [SLA(name, floor=FLOOR, budget=budget) for name in SLAS[1:]]
        self.encoder = GivenFeatures(self.data.features.shape[1], self.data.encoder)
        self.longest = int(self.data.output_tokens.max()) + 1

    def largest_call(self):
        """Largest cost of a call that a request's limits allow, for a prompt of mean length."""
        dearest = self.data.zoo.models[-1]
        tokens = float(self.data.input_tokens.mean())
        return (tokens * dearest.input_price + self.longest * dearest.output_price) / 1e6

    def mix_cost_at(self, quality):
        """Cost of a request with the static mix that has a mean quality."""
        return float(cheapest_mix(self.quality, self.cost, quality) @ self.cost)

    def router_arguments(self, name):
        """Return the arguments of a router with a prefix for its ids."""
        return {
            "zoo": self.data.zoo,
            "slas": self.slas,
            "encoder": self.encoder,
            "seed": SEED,
            "memory": MEMORY,
            "clock": None,
            "id_prefix": name,
        }

    def new_fold(self):
        """Return an empty fold for a published state."""
        policy = make_policy("primal_dual")
        return Fold(policy, self.data.zoo, self.slas, self.encoder.dim, memory=MEMORY)


class Simulation:
    """One run: events by their virtual time."""

    def __init__(self, world, servers, staleness):
        self.world, self.servers = world, servers
        count = len(world.traffic.at)
        self.satisfied, self.paid = np.full(count, np.nan), np.full(count, np.nan)
        self.committed = dict.fromkeys(SLAS[1:], 0.0)
        self.peak = dict.fromkeys(SLAS[1:], 0.0)
        self.period = 0
        # Time, number for equal times, and what happens then.
        self.queue, self.number = [], 0
        for request, at in enumerate(world.traffic.at):
            self.plan(at, partial(self.arrive, request))
        for every, action in ((staleness, self.publish), (LOOK_SECONDS, self.look)):
            if staleness:
                for at in np.arange(0.0, world.seconds, every):
                    self.plan(at, action)

    def plan(self, at, action):
        """Let an action run at a time."""
        self.number += 1
        heapq.heappush(self.queue, (float(at), self.number, action))

    def run(self):
        """Run everything that is planned, and what follows from it."""
        started = time.process_time()
        while self.queue:
            at, _, action = heapq.heappop(self.queue)
            action(at)
        return Result(self.satisfied, self.paid, self.peak, time.process_time() - started)

    def publish(self, at):
        """Let the learner publish."""
        self.servers.publish()

    def look(self, at):
        """Let replicas look at their shares."""
        self.servers.look(at)

    def arrive(self, request, at):
        """Route a request."""
        world, data = self.world, self.world.data
        router = self.servers.at(world.traffic.replica[request])
        tokens = int(data.input_tokens[request])
        sla = SLAS[world.traffic.sla[request]]
        limits = CallLimits(tokens, world.longest) if sla != "gold" else None
        try:
            made = router.route(
                features=data.features[request], sla=sla, input_tokens=tokens, limits=limits, at=at
            )
        except BudgetExhausted:
            return
        model = data.zoo.index(made.model)
        cost = float(data.cost[request, model])
        self.satisfied[request], self.paid[request] = data.quality[request, model], cost
        reserved = made.reservations.get(made.model, 0.0)
        self.note(sla, at, reserved)
        wait = float(data.latency[request, model])
        self.plan(at + wait, partial(self.answer, request, made, cost, (sla, at, reserved)))
        if world.traffic.labelled[request]:
            after = wait + world.traffic.label_after[request]
            self.plan(at + after, partial(self.label, request, made, model))

    def answer(self, request, made, cost, held, at):
        """Report the outcome of a call."""
        sla, began, reserved = held
        router = self.servers.at(self.world.traffic.replica[request])
        router.outcome(made.id, cost=cost, at=at)
        self.note(sla, began, cost - reserved)

    def label(self, request, made, model, at):
        """Report a label."""
        router = self.servers.at(self.world.traffic.replica[request])
        router.feedback(made.id, score=float(self.world.data.quality[request, model]), at=at)

    def note(self, sla, began, amount):
        """Count what the calls of the present period cost, or can still cost."""
        if sla == "gold":
            return
        period = int(began // PERIOD)
        if period > self.period:
            self.period, self.committed = period, dict.fromkeys(SLAS[1:], 0.0)
        if period == self.period:
            self.committed[sla] += amount
            self.peak[sla] = max(self.peak[sla], self.committed[sla])


def spent(world, result, sla):
    """(periods,) cost of the calls of each whole period under an SLA, relative to its budget."""
    mine = world.traffic.sla == SLAS.index(sla)
    period = (world.traffic.at // PERIOD).astype(int)
    sums = np.bincount(period[mine], weights=np.nan_to_num(result.cost[mine]))
    return sums[: int(world.seconds // PERIOD)] / world.budget


def measured(world, result):
    """What the table says of a run."""
    gold = world.traffic.sla == 0
    late = gold & (world.traffic.at >= WARM_UP)
    satisfied, cost = result.satisfied[late].mean(), result.cost[late].mean()
    shared, unshared = (spent(world, result, name) for name in SLAS[1:])
    first = gold & ~late
    return [
        100 * result.satisfied[first].mean(),
        100 * satisfied,
        result.cost[first].mean() / world.mix_cost,
        cost / world.mix_cost,
        cost / world.mix_cost_at(satisfied),
        100 * result.peak["shared"] / world.budget,
        100 * shared.mean(),
        100 * unshared.max(),
        result.seconds,
    ]


HEADERS = [
    "state at most old",
    "requests between two states",
    "satisfied, first minute (%)",
    "satisfied, later (%)",
    "cost / static mix, first minute",
    "cost / static mix, later",
    "cost / static mix of the same satisfaction",
    "shares: most of a budget held and spent (%)",
    "shares: spent of the budgets (%)",
    "without shares: most spent of a budget (%)",
    "CPU of the simulation (s)",
]


def table(seconds, seeds, ages):
    worlds = [World(seconds, seed) for seed in range(seeds)]
    rows = []
    for staleness in ages:
        runs = []
        for world in worlds:
            servers = Replicas(world) if staleness else OneServer(world)
            result = Simulation(world, servers, staleness).run()
            runs.append(measured(world, result))
            print(staleness, world.seed, np.round(runs[-1], 3), flush=True)
        values = np.mean(runs, axis=0)
        # Budgets are promises: the worst run counts.
        values[[5, 7]] = np.max(runs, axis=0)[[5, 7]]
        if not staleness:
            values[5:7] = np.nan
        name = f"{staleness:g} s" if staleness else "one server"
        between = f"{RATE * staleness:,.0f}" if staleness else "0"
        digits = (1, 1, 2, 2, 2, 1, 1, 1, 0)
        cells = ["–" if np.isnan(v) else f"{v:,.{d}f}" for v, d in zip(values, digits, strict=True)]
        rows.append([name, between, *cells])
    count = sum(len(world.traffic.at) for world in worlds)
    title = (
        f"{REPLICAS} replicas, {RATE:g} requests a second, {seconds:g} seconds, "
        f"{seeds} seed(s), {count:,} requests in each row, floor {100 * FLOOR:g} %; a budget "
        f"pays for {worlds[0].budget / worlds[0].largest_call():,.0f} of the largest calls"
    )
    return Sheet(title, HEADERS, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="of traffic in each run")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--staleness", type=float, nargs="+", default=STALENESS, metavar="SECONDS")
    parser.add_argument("--write", action="store_true", help="put the table into docs/replicas.md")
    options = parser.parse_args()
    with threadpool_limits(1):
        sheet = table(options.seconds, options.seeds, options.staleness)
    if options.write:
        write(PAGE, "simulate_replicas.py", sheet.text())
    else:
        sheet.show()


if __name__ == "__main__":
    main()
