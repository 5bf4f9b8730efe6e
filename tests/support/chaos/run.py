"""A run: processes, clients and faults for some time, then rest, then the rules."""

import asyncio
import collections
import contextlib
import json
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from floorline.config import load
from floorline.replication import tables
from floorline.replication.tables import states
from floorline.stores.engine import open_engine
from floorline.stores.upgrade import upgrade
from tests.support.chaos import checker
from tests.support.chaos.balancer import is_ready, make_balancer
from tests.support.chaos.clients import Clients, Journal
from tests.support.chaos.cluster import Cluster
from tests.support.chaos.database import Database
from tests.support.chaos.failures import Classes
from tests.support.chaos.faults import Faults, make_plan
from tests.support.chaos.namespaces import Network
from tests.support.chaos.provider import Provider
from tests.support.live_gateway import write_settings

LEASE_SECONDS = 5.0
_START_SECONDS = 300.0
"""Time in which all processes must serve, on a busy machine."""
_SETTLE_SECONDS = 600.0
"""Time in which all servers must serve, and the calls of killed ones be closed, which begins 30 s
after their end, on a busy machine."""
_BUDGET = {"total": 0.008, "period": "60s"}
"""Less than what the clients ask for, so that it is used up in many periods."""
_LOOK_SECONDS = 0.25
_SLOW_SECONDS = 1.0
"""Duration of a small transaction from which the machine counts as too busy to keep promises of
time; it takes some milliseconds."""


class Given(NamedTuple):
    """What a run is given.

    Attributes
    ----------
    seed
        The plan and what clients ask follow from it.
    duration, rate
        Seconds with faults, and requests a second.
    replicas, learners
        How many processes there are.
    kinds
        Kinds of faults; None for all, and rolling upgrades.
    namespaces
        Whether each process has a network namespace, which can be cut off.
    """

    seed: int
    duration: float
    rate: float
    replicas: int = 3
    learners: int = 2
    kinds: tuple[str, ...] | None = None
    namespaces: bool = False

    def plan(self):
        """Return the faults."""
        given = self.seed, self.duration, self.replicas, self.learners, self.kinds
        return make_plan(*given, self.namespaces)


class Found(NamedTuple):
    """What came out.

    Attributes
    ----------
    rules
        The rules, and what broke them.
    lines
        Numbers for people.
    """

    rules: list[checker.Rule]
    lines: list[str]

    @property
    def broken(self):
        return [rule for rule in self.rules if rule.broken]


class _Watch:
    """Looks at the database and the balancer: age of the state, inbox, epochs, who serves."""

    def __init__(self, engine, balancer, now):
        self._engine, self._balancer, self._now = engine, balancer, now
        self.ready = []
        self.ages, self.inbox, self.epochs = [], [], set()
        self.slow = []

    def learning(self):
        """Whether a learner was at work lately."""
        if not self.ages:
            return False
        at, age = self.ages[-1]
        return age + self._now() - at < 2 * LEASE_SECONDS

    def look(self):
        began = self._now()
        self._read()
        if self._now() - began > _SLOW_SECONDS:
            self.slow.append((began, self._now()))

    def _read(self):
        age = tables.now(self._engine) - states.c.at
        with self._engine.begin() as connection:
            # A commit waits for the disk, which is what takes longest on a busy machine.
            connection.exec_driver_sql("INSERT INTO chaos_commits VALUES (1)")
            row = connection.execute(sa.select(age, states.c.epoch)).one_or_none()
            count = connection.scalar(sa.select(sa.func.count()).select_from(tables.inbox))
        if row is not None:
            self.ages.append((self._now(), float(row[0])))
            self.epochs.add(row[1])
        self.inbox.append(count)

    async def run(self):
        """Look until the task is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_balancer())
            group.create_task(self._watch_database())

    async def _watch_balancer(self):
        while True:
            self.ready.append((self._now(), len(await self._balancer.serving())))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _watch_database(self):
        while True:
            with contextlib.suppress(sa.exc.DBAPIError):
                await asyncio.to_thread(self.look)
            await asyncio.sleep(_LOOK_SECONDS)


def _settings(url):
    slas = [
        {"name": "gold", "floor": 0.85},
        {"name": "silver", "floor": 0.6},
        {"name": "metered", "floor": 0.6, "budget": _BUDGET},
    ]
    replicas = {"enabled": True, "lease": f"{LEASE_SECONDS:g}s"}
    return json.loads(write_settings(url, slas=slas, replicas=replicas))


async def run(given, folder, say=print, balancer=make_balancer):
    """Run and check; ``folder`` keeps what processes said and the clients' journal."""
    folder = Path(folder)
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network()) if given.namespaces else None
        host = "127.0.0.1" if network is None else network.provider
        provider = stack.enter_context(contextlib.closing(Provider(given.seed, host)))
        database = await asyncio.to_thread(Database, folder / "postgres")
        stack.enter_context(contextlib.closing(database))
        async with _Stage(given, folder, provider, database, say, balancer, network) as stage:
            return await stage.play()


class _Stage:
    """Everything that runs at a time."""

    def __init__(self, given, folder, provider, database, say, balancer, network):
        self._make_balancer = balancer
        self._given, self._folder = given, folder
        self._provider, self._database, self._say = provider, database, say
        self._ended = []
        settings = _settings(provider.url)
        self._cluster = Cluster(
            folder, settings, database, given.replicas, given.learners, self._on_end, network
        )
        self._journal = Journal(folder / "journal.jsonl")
        self._engine = open_engine(database.url)
        upgrade(self._engine)
        tables.create(self._engine)
        with self._engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE chaos_commits (number INTEGER)")

    async def __aenter__(self):
        self._keeper = None
        self._balancer = await self._make_balancer(
            self._folder, [process.address for process in self._cluster.replicas]
        ).start()
        url = f"http://127.0.0.1:{self._balancer.port}"
        self._clients = Clients(url, self._journal, self._given.seed, self._given.rate)
        self._watch = _Watch(self._engine, self._balancer, self._clients.now)
        self._faults = Faults(
            self._cluster,
            self._database,
            self._provider,
            self._balancer,
            self._clients.now,
            self._say,
            self._watch.learning,
        )
        for process in self._cluster.all:
            await process.prepare()
        self._keeper = asyncio.create_task(self._cluster.run())
        return self

    async def __aexit__(self, *_):
        self._keeper.cancel()
        await self._clients.close()
        self._cluster.close()
        await self._balancer.close()
        # Transports close in the next turns of the loop.
        await asyncio.sleep(0.2)
        self._journal.close()
        self._engine.dispose()

    def _on_end(self, process, status):
        began = self._clients.now()
        self._ended.append((began, process.name, status, process.said()))
        self._say(f"{began:7.1f} s  {process.name} ended by itself with status {status}")

    async def play(self):
        given = self._given
        plan = given.plan()
        self._say(f"balancer: {self._balancer.name}; {len(plan)} faults planned")
        await self._until(self._all_serve, _START_SECONDS)
        self._clients.begin()
        self._say("all servers are ready")
        watching = asyncio.create_task(self._watch.run())
        asking = asyncio.create_task(self._clients.run())
        await self._faults.run(plan)
        await asyncio.sleep(max(0.0, given.duration - self._clients.now()))
        asking.cancel()
        await self._clients.finish()
        failures = list(self._journal.failures)
        self._say(f"{self._clients.now():7.1f} s  the clients ended; now the servers come to rest")
        watching.cancel()
        unsettled = await self._settle()
        deferred = len(self._journal.deferred)
        refused = await self._clients.send_again()
        again = checker.Rule(
            "feedback whose decision was on another server's disk is taken when it is sent again",
            f"{deferred} messages",
            refused,
        )
        statuses = await self._end()
        rules = await asyncio.to_thread(self._check, failures, unsettled, statuses)
        return Found([again, *rules.rules], rules.lines)

    async def _all_serve(self):
        """Whether all servers are ready, and the balancer knows one."""
        ready = [await replica.ready() for replica in self._cluster.replicas]
        return all(ready) and await is_ready(self._balancer.port)

    async def _settle(self):
        """Wait until nothing waits; return what does not come to rest."""

        async def settled():
            ready = await self._all_serve()
            left = await asyncio.to_thread(checker.waiting, self._engine)
            return ready and left == (0, 0)

        try:
            await self._until(settled, _SETTLE_SECONDS)
        except TimeoutError:
            return [checker.waiting(self._engine)]
        return []

    async def _end(self):
        """End the servers, then the learners; return who did not end well."""
        done = list(self._faults.statuses)
        done += [(p.name, await p.end(again=False)) for p in self._cluster.replicas]
        with contextlib.suppress(TimeoutError):
            await self._until(self._empty, 30.0)
        done += [(p.name, await p.end(again=False)) for p in self._cluster.learners]
        self._ends = len(done)
        return [(name, status) for name, status in done if status != 0]

    async def _empty(self):
        return (await asyncio.to_thread(checker.waiting, self._engine)).events == 0

    async def _until(self, condition, seconds):
        async with asyncio.timeout(seconds):
            while True:
                with contextlib.suppress(sa.exc.DBAPIError):
                    if await condition():
                        return
                await asyncio.sleep(_LOOK_SECONDS)

    def _check(self, failures, unsettled, statuses):
        path = self._cluster.learners[0].folder / "floorline.json"
        version = self._cluster.learners[0].version
        slas = {sla.name: sla for sla in load(path).as_slas()}
        killed = any(True for _ in self._faults.during("kill replica"))
        classes = Classes(
            self._faults,
            self._provider,
            self._clients.began,
            self._ended,
            self._watch.ready,
            self._watch.slow,
            [name for name, sla in slas.items() if sla.budget is not None],
        )
        rules = [
            *checker.check_log(self._engine, self._journal, killed),
            *checker.check_budgets(self._engine, slas),
            *classes.rules(failures),
            checker.Rule("everything comes to rest", "inbox, calls of killed servers", unsettled),
            checker.Rule(
                "a process that is asked to end ends well", f"{self._ends} ends", statuses
            ),
            *checker.check_state(path, self._database.url, version),
            checker.check_store(self._database.url),
        ]
        return Found(rules, [*self._numbers(), *classes.lines()])

    def _numbers(self):
        happened = collections.Counter(one.kind for one in self._faults.happened)
        happened["left out, because no other one was at work"] = self._faults.left_out
        yield "faults: " + ", ".join(f"{kind} {n}" for kind, n in sorted(happened.items()))
        for (path, status), count in sorted(self._journal.statuses.items()):
            yield f"{path} {status}: {count}"
        yield f"duration of good answers: {_spread(self._journal.latencies)}"
        yield f"age of the published state: {_spread(age for _, age in self._watch.ages)}"
        counts = collections.Counter(n for _, n in self._watch.ready)
        shares = ", ".join(
            f"{n} in {count / counts.total():.1%}" for n, count in sorted(counts.items())
        )
        yield f"servers to which the balancer passed connections, of the time: {shares}"
        longest = max(self._watch.inbox, default=0)
        yield f"epochs of the lease: {len(self._watch.epochs)}; longest inbox {longest} events"


def _spread(values):
    """Quantiles of durations, in words."""
    values = sorted(values)
    if not values:
        return "none"
    shown = [f"p{p} {values[p * (len(values) - 1) // 100]:.3f} s" for p in (50, 95, 99)]
    return f"{', '.join(shown)}, largest {values[-1]:.2f} s"
