"""What happens: a plan that follows from a seed alone, and how each step of it is done."""

import asyncio
import collections
import random
import time
from typing import Any, NamedTuple

_PAUSE_SECONDS = (3.0, 9.0)
"""Time between the beginnings of two faults."""
_QUIET_SECONDS = 5.0
"""Time at the beginning and at the end without faults."""
_OTHER_SECONDS = 120.0
"""Longest time that what an operator does waits for another server, on a busy machine."""
_LOOK_SECONDS = 0.25

KINDS = {
    "kill replica": 4,
    "kill learner": 3,
    "end replica": 2,
    "end learner": 1,
    "pause replica": 2,
    "pause learner": 3,
    "restart database": 2,
    "cut": 3,
    "hold": 3,
    "delay": 3,
    "step clock": 2,
    "model down": 3,
    "all models down": 1,
}
"""Kinds of faults, and how often each comes compared with the others."""
PARTITION = {"partition": 6}
"""What happens, too, to processes in network namespaces."""


class Fault(NamedTuple):
    """A step of the plan.

    Attributes
    ----------
    at
        Seconds since the beginning.
    kind
        What happens.
    number
        Which of the replicas, learners or processes, or models.
    seconds
        How long it lasts, or the pause before the next start.
    size
        Delay or step of the clock in seconds, or mode of the database's end.
    """

    at: float
    kind: str
    number: int
    seconds: float
    size: Any = None


def make_plan(seed, duration, replicas, learners, kinds=None, namespaces=False):
    """Return the faults of a run, in order.

    Parameters
    ----------
    seed
        The plan is the same for the same seed and arguments.
    duration
        Seconds of the run.
    replicas, learners
        How many there are.
    kinds
        Kinds that happen; by default all, and two rolling upgrades.
    namespaces
        Whether processes have network namespaces, which can be cut off.
    """
    rng = random.Random(f"{seed}/faults")
    known = KINDS | PARTITION if namespaces else KINDS
    weights = {kind: weight for kind, weight in known.items() if not kinds or kind in kinds}
    plan = []
    if not kinds or "upgrade" in kinds:
        first = rng.choice(["learners", "replicas"])
        other = "replicas" if first == "learners" else "learners"
        plan.append(Fault(0.3 * duration, "upgrade", 1, 0.0, first))
        plan.append(Fault(0.65 * duration, "upgrade", 2, 0.0, other))
    at = _QUIET_SECONDS
    while weights and (at := at + rng.uniform(*_PAUSE_SECONDS)) < duration - _QUIET_SECONDS:
        (kind,) = rng.choices(list(weights), list(weights.values()))
        number = rng.randrange(1000)
        number %= replicas if "replica" in kind else learners if "learner" in kind else 1000
        seconds, size = rng.uniform(0.3, 4.0), None
        if kind == "pause learner":
            seconds = rng.uniform(1.0, 8.0)
        elif kind in ("cut", "hold", "partition"):
            seconds = rng.uniform(0.5, 8.0)
        elif kind == "delay":
            seconds, size = rng.uniform(5.0, 15.0), rng.choice([0.005, 0.05, 0.2])
        elif kind == "step clock":
            size = rng.choice([-1, 1]) * rng.choice([1.0, 30.0, 600.0, 7200.0, 100_000.0])
        elif kind == "restart database":
            size = rng.choice(["fast", "immediate"])
        elif kind.endswith("down"):
            seconds = rng.uniform(1.0, 5.0)
        plan.append(Fault(round(at, 3), kind, number, round(seconds, 3), size))
    return sorted(plan)


class Happened(NamedTuple):
    """A fault that was done: its kind, whom it met, and when it began and ended, in seconds."""

    kind: str
    whom: str
    began: float
    ended: float


class Faults:
    """Does what the plan says.

    Parameters
    ----------
    cluster, database, provider, balancer
        What it is done to, and the balancer, which says who serves.
    now
        Returns the seconds since the beginning.
    say
        Called with a line about each fault.
    learning
        Returns whether a learner is at work.

    Attributes
    ----------
    happened
        What was done.
    statuses
        Statuses with which processes ended that were asked to.
    left_out
        Number of faults that were not done, because they would have taken away the only server
        that was ready, or because no learner was at work since the last one.
    """

    def __init__(self, cluster, database, provider, balancer, now, say, learning):
        self._cluster, self._database, self._provider = cluster, database, provider
        self._balancer = balancer
        self._learning = learning
        self._now, self._say = now, say
        self._database_lock = asyncio.Lock()
        self.happened = []
        self.statuses = []
        self.left_out = 0
        self._open = {}
        self._cut_off = collections.Counter()

    async def run(self, plan):
        """Do a plan to its end; faults overlap."""
        async with asyncio.TaskGroup() as group:
            for fault in plan:
                await asyncio.sleep(max(0.0, fault.at - self._now()))
                group.create_task(self._do(fault))

    def during(self, *kinds, slack=0.0):
        """Yield when faults of some kinds were at work: whom they met, begin and end."""
        for kind, whom, began, ended in self.happened:
            if kind in kinds:
                yield whom, began, ended + slack

    async def _do(self, fault):
        began = self._now()
        whom = await getattr(self, "_" + fault.kind.replace(" ", "_"))(fault)
        if whom is None:
            self.left_out += 1
            self._say(f"{began:7.1f} s  {fault.kind} left out: no other one is at work")
            return
        self.happened.append(Happened(fault.kind, whom, began, self._now()))
        self._say(f"{began:7.1f} s  {fault.kind} {whom} ({self._now() - began:.1f} s)")

    async def _kill_replica(self, fault):
        replica = self._cluster.replicas[fault.number]
        return self._kill(replica, fault) if await self._another(replica) else None

    async def _another(self, replica):
        """Whether the balancer passes connections to a server that runs, besides one."""
        others = [one for one in self._cluster.replicas if one is not replica and one.runs]
        serving = await self._balancer.serving()
        return any(other.address in serving for other in others)

    async def _until_another(self, replica):
        """Wait until a server is ready besides one, as an operator does before its end."""
        deadline = time.monotonic() + _OTHER_SECONDS
        while not await self._another(replica):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def _kill_learner(self, fault):
        # Of learners that are killed before they work no server could ever start.
        return self._kill(self._cluster.learners[fault.number], fault) if self._learning() else None

    def _kill(self, process, fault):
        process.kill(fault.seconds)
        return process.name

    async def _end_replica(self, fault):
        replica = self._cluster.replicas[fault.number]
        return await self._end(replica) if await self._until_another(replica) else None

    async def _end_learner(self, fault):
        return await self._end(self._cluster.learners[fault.number]) if self._learning() else None

    async def _end(self, process):
        began = self._now()
        self.statuses.append((process.name, await process.end()))
        self.happened.append(Happened("end", process.name, began, self._now()))
        return process.name

    async def _pause_replica(self, fault):
        replica = self._cluster.replicas[fault.number]
        return await self._pause(replica, fault) if await self._another(replica) else None

    async def _pause_learner(self, fault):
        learner = self._cluster.learners[fault.number]
        return await self._pause(learner, fault) if self._learning() else None

    async def _pause(self, process, fault):
        await process.pause(fault.seconds)
        return process.name

    async def _restart_database(self, fault):
        async with self._database_lock:
            await asyncio.to_thread(self._database.stop, fault.size)
            await asyncio.sleep(fault.seconds)
            await asyncio.to_thread(self._database.start)
        return fault.size

    async def _cut(self, fault):
        process = self._any(fault)
        process.link.cut()
        return await self._heal(process, fault)

    async def _hold(self, fault):
        process = self._any(fault)
        process.link.hold()
        return await self._heal(process, fault)

    async def _partition(self, fault):
        process = self._any(fault)
        self._cut_off[process.name] += 1
        process.namespace.cut()
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            self._cut_off[process.name] -= 1
            if not self._cut_off[process.name]:
                process.namespace.heal()
        return process.name

    async def _delay(self, fault):
        process = self._any(fault)
        process.link.delay = fault.size
        return await self._heal(process, fault)

    async def _heal(self, process, fault):
        self._open[process.name] = until = time.monotonic() + fault.seconds
        await asyncio.sleep(fault.seconds)
        # A later fault of the same link heals it.
        if self._open[process.name] == until:
            process.link.heal()
        return process.name

    def _any(self, fault):
        return self._cluster.all[fault.number % len(self._cluster.all)]

    async def _step_clock(self, fault):
        process = self._any(fault)
        process.step_clock(fault.size)
        return f"{process.name} by {fault.size:+.0f} s"

    async def _model_down(self, fault):
        names = self._provider.names
        return await self._down([names[fault.number % len(names)]], fault)

    async def _all_models_down(self, fault):
        return await self._down(self._provider.names, fault)

    async def _down(self, names, fault):
        with self._provider.down(names):
            await asyncio.sleep(fault.seconds)
        return ", ".join(names)

    async def _upgrade(self, fault):
        """Upgrade one process after the other, as an orchestrator does.

        With the servers first, the first of them cannot serve until a learner is upgraded.
        """
        learners, replicas = self._cluster.learners, self._cluster.replicas
        first = [replicas[0]] if fault.size == "replicas" else []
        for process in dict.fromkeys([*first, *learners, *replicas]):
            if not process.learns:
                await self._until_another(process)
            process.version = fault.number
            await self._end(process)
            if not first or process is not first[0]:
                await process.until_ready()
        return f"to version {fault.number}, {fault.size} first"
