"""Replicas in virtual time: the product's routers, fold, learner, shares and escrow.

Only the tables of log, inbox and states are lists in memory, and time is a number. The learner
publishes a state every Δ seconds, so a replica decides from one that is up to Δ seconds old and
from its own calls since.
"""

import heapq
import pickle
import time
from functools import partial
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from floorline import Router
from floorline.call_bounds import CallLimits
from floorline.errors import BudgetExhausted
from floorline.policies import make_policy
from floorline.replay.environment import GivenFeatures
from floorline.replay.run import history_of
from floorline.replication.budget_shares import BudgetShares
from floorline.replication.escrow import Escrow
from floorline.replication.inbox_reader import Taken, Waiting
from floorline.replication.learner import Learner
from floorline.replication.replica_router import ReplicaRouter
from floorline.replication.replica_store import PublishedState
from floorline.replication.shares import Shares
from floorline.replication.tables import escrow, shares
from floorline.state.event_log import MemoryLog
from floorline.state.fold import Fold

UNSHARED = "unshared"
"""The SLA whose budget no shares bound, only what each replica knows."""
LOOK_SECONDS, RETURN_SECONDS = 0.5, 2.0
"""Pauses between two looks at shares and two returns; the product looks every 0.1 s, which would be
most of the work of the simulation."""
SEED, MEMORY = 1, 50_000


class Result(NamedTuple):
    """What happened.

    Attributes
    ----------
    satisfied, cost
        (N,) label of the answer and its cost; NaN if the request was declined.
    peak
        (S,) largest sum that was held and spent of each SLA's budget in a period; 0 without one.
    seconds
        Processor time of the simulation.
    """

    satisfied: np.ndarray
    cost: np.ndarray
    peak: np.ndarray
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
        return Taken(taken, [], [], [], {})


class LearnerLog(MemoryLog):
    """What the learner asks of its store."""

    def __init__(self):
        super().__init__(max_bytes=0)
        self.inbox, self.state = MemoryInbox(), None

    def flush(self, position=None):
        """Do nothing: events in memory are as durable as they get."""

    def drop_repeated(self, ids):
        """Do nothing: no row comes twice."""

    def set_aside(self, damaged, misplaced):
        """Do nothing: memory damages no row."""

    def append_waiting(self, event, waiting):
        """Append an event from the inbox."""
        self.append(event)

    def publish(self, position, consumed, body):
        """Keep a state as the published one."""
        self.state = PublishedState(1, position, 0.0, dict(consumed), body)

    def confirm(self):
        """Return that the published state is still there."""
        return True


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
    """Shares of all SLAs but ``UNSHARED``, which is bounded by what the replica knows."""

    def accounts(self, slas):
        """Return the accounts of the SLAs with shares."""
        return super().accounts(sla for sla in slas if sla.name != UNSHARED)

    def lacks(self, sla, needed):
        """Ask for room under an SLA with shares."""
        if sla.name != UNSHARED:
            super().lacks(sla, needed)

    def total_left(self, sla, at):
        """Return what is left of the share; infinity for the other SLA."""
        return np.inf if sla.name == UNSHARED else super().total_left(sla, at)


def _arguments(world, name):
    """Return the arguments of a router with a prefix for its ids."""
    return {
        "zoo": world.data.zoo,
        "slas": world.slas,
        "encoder": GivenFeatures(world.data.features.shape[1], world.data.encoder),
        "seed": SEED,
        "memory": MEMORY,
        "clock": None,
        "id_prefix": name,
    }


class OneServer:
    """A server that is alone: it folds every event at once.

    ``told`` lets it learn the means of all requests beforehand.
    """

    def __init__(self, world, told=False):
        policy = make_policy("primal_dual", **({"prompts": False} if told else {}))
        log = MemoryLog(max_bytes=0)
        self.router = Router(**_arguments(world, "one"), policy=policy, log=log)
        if told:
            policy.warm_start(history_of(world.data))

    def at(self, replica, fresh=True):
        """Return the one router."""
        return self.router

    def publish(self):
        """Do nothing."""

    def look(self, at):
        """Do nothing."""


class Replicas:
    """Some replicas, their learner and the escrow."""

    def __init__(self, world, count):
        self.world = world
        self.log = LearnerLog()
        learned = Router(**_arguments(world, "learner"), log=self.log)
        self.learner = Learner(learned, self.log)
        engine = sa.create_engine("sqlite://", poolclass=StaticPool)
        for table in (escrow, shares):
            table.create(engine)
        self.routers, self.escrows = [], []
        for name in (f"r{number}" for number in range(count)):
            log = ReplicaLog(name, self.log.inbox)
            router = ReplicaRouter(**_arguments(world, name), log=log)
            router.budgets = SomeShares(Shares())
            router._fold.limit = router.budgets
            router.budgets.shares.watch(router.budgets.accounts(world.slas))
            self.routers.append(router)
            self.escrows.append(Escrow(engine, name))
        self.returned_at = 0.0
        self.publish()

    def at(self, replica, fresh=True):
        """Router of a replica, from 0 to 1 as a part of all replicas.

        ``fresh`` lets it load the latest state, which only decisions need: outcomes and labels are
        added to any state.
        """
        router = self.routers[int(replica * len(self.routers))]
        if fresh and router.state_position < self.log.state.position:
            router.adopt(self.log.state, pickle.loads(self.prepared))
        return router

    def _new_fold(self):
        world, policy = self.world, make_policy("primal_dual")
        dim = world.data.features.shape[1]
        return Fold(policy, world.data.zoo, world.slas, dim, memory=MEMORY)

    def publish(self):
        """Fold what waits, and publish the state."""
        while self.learner.step():
            pass
        if self.learner.publish():
            # Each replica would do the same with the state; a copy of a fold takes a sixth of it.
            fold = self.routers[0].prepare(self.log.state, self._new_fold())
            self.prepared = pickle.dumps(fold)

    def look(self, at):
        """Fill and return shares, as every replica does from time to time."""
        due = at - self.returned_at >= RETURN_SECONDS
        for router, bank in zip(self.routers, self.escrows, strict=True):
            own = router.budgets.shares
            wanted = own.wanted(at)
            if wanted:
                for (name, start), granted in bank.grant(wanted, len(self.routers)).items():
                    own.set_granted(name, start, granted)
            if due:
                bank.give_back(own.take_back(at))
        self.returned_at = at if due else self.returned_at


class Simulation:
    """One run: what happens, by its virtual time.

    ``staleness`` is the pause between two published states in seconds, 0 for ``OneServer``.
    ``only`` names the SLAs whose requests come; all by default.
    """

    def __init__(self, world, servers, staleness, only=None):
        self.world, self.servers = world, servers
        count = len(world.traffic.at)
        self.satisfied, self.paid = np.full(count, np.nan), np.full(count, np.nan)
        self.committed = dict.fromkeys(world.names, 0.0)
        self.peak = dict.fromkeys(world.names, 0.0)
        self.period = 0
        # Time, number for equal times, and what happens then.
        self.queue, self.number = [], 0
        chosen = np.isin(world.traffic.sla, [world.names.index(n) for n in only or world.names])
        for request in np.flatnonzero(chosen).tolist():
            self.plan(world.traffic.at[request], partial(self.arrive, request))
        for every, action in ((staleness, servers.publish), (LOOK_SECONDS, self.look)):
            if staleness:
                for at in np.arange(0.0, world.setting.seconds, every):
                    self.plan(at, action)

    def plan(self, at, action):
        """Let an action run at a time."""
        self.number += 1
        heapq.heappush(self.queue, (float(at), self.number, action))

    def run(self):
        """Run everything that is planned, and what follows from it."""
        started = time.process_time()
        while self.queue:
            self.now, _, action = heapq.heappop(self.queue)
            action()
        peak = np.array([self.peak[name] for name in self.world.names])
        return Result(self.satisfied, self.paid, peak, time.process_time() - started)

    def look(self):
        """Let replicas look at their shares."""
        self.servers.look(self.now)

    def arrive(self, request):
        """Route a request."""
        world, data, at = self.world, self.world.data, self.now
        router = self.servers.at(world.traffic.replica[request])
        tokens = int(data.input_tokens[request])
        sla = world.names[world.traffic.sla[request]]
        limits = CallLimits(tokens, world.longest) if sla not in world.setting.free else None
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
        wait = world.setting.pace * float(data.latency[request, model])
        self.plan(at + wait, partial(self.answer, request, made, cost, (sla, at, reserved)))
        if world.traffic.labelled[request]:
            after = wait + world.traffic.label_after[request]
            self.plan(at + after, partial(self.label, request, made, model))

    def answer(self, request, made, cost, held):
        """Report the outcome of a call."""
        sla, began, reserved = held
        router = self.servers.at(self.world.traffic.replica[request], fresh=False)
        router.outcome(made.id, cost=cost, at=self.now)
        self.note(sla, began, cost - reserved)

    def label(self, request, made, model):
        """Report a label; it reaches the learner by whichever replica, here by the request's."""
        router = self.servers.at(self.world.traffic.replica[request], fresh=False)
        score = float(self.world.data.quality[request, model])
        router.feedback(made.id, score=score, at=self.now)

    def note(self, sla, began, amount):
        """Count what the calls of the present period cost, or can still cost."""
        if sla in self.world.setting.free:
            return
        period = int(began // self.world.setting.period)
        if period > self.period:
            self.period, self.committed = period, dict.fromkeys(self.world.names, 0.0)
        if period == self.period:
            self.committed[sla] += amount
            self.peak[sla] = max(self.peak[sla], self.committed[sla])


def simulate_run(world, replicas, staleness, told=False):
    """Return the result of a run: of one server if ``staleness`` is 0, else of replicas."""
    servers = Replicas(world, replicas) if staleness else OneServer(world, told)
    return Simulation(world, servers, staleness).run()


def _path(folder, setting, seed, replicas, staleness, told):
    kind = "told" if told else "cold"
    name = f"{replicas}x{setting.rate:g}-{setting.seconds:g}s-{staleness:g}-{kind}"
    return folder / f"{name}-seed{seed}.npz"


def is_cached(folder, setting, seed, replicas, staleness, told=False):
    """Whether the folder has a run."""
    return _path(folder, setting, seed, replicas, staleness, told).exists()


def cached_run(folder, world, replicas, staleness, told=False):
    """Return a run from the folder, or make it and keep it there."""
    path = _path(folder, world.setting, world.seed, replicas, staleness, told)
    if path.exists():
        with np.load(path) as kept:
            return Result(kept["satisfied"], kept["cost"], kept["peak"], float(kept["seconds"]))
    result = simulate_run(world, replicas, staleness, told)
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, **result._asdict())
    part.rename(path)
    return result
