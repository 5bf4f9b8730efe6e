"""Users of real replicas: they ask at given times, and some judge the answers through any replica.

The provider is a server of the simulated models on loopback. Whether a user is satisfied follows
from the request and the model that answered, by the table of ``replica_world``.
"""

import asyncio
import time
from typing import NamedTuple

import aiohttp
import numpy as np

from floorline.demo.fake_provider import FakeProvider, serving
from floorline.events import Decision, Outcome
from floorline.sla import period_start
from replica_cluster import cluster

_PATIENCE_SECONDS = 60.0
_AT_ONCE = 32
"""Requests that are open at a time; a machine that is slower than the rate delays the others."""
_TRIES, _RETRY_SECONDS = 20, 0.5
"""How often a message is sent until it gets an answer, and the pause between. The balancer can
miss its checks of the servers on a busy machine, and refuse connections for a moment."""


class Provider(FakeProvider):
    """The models, whose answers have the lengths and waits of the world's table.

    A prompt that occurs more than once has the answer of its first occurrence.
    """

    def __init__(self, world):
        super().__init__(world.zoo, latency=world.setting.pace)
        self._table, self._models = world.table, list(world.table.models)
        pairs = enumerate(world.table.prompts)
        self._rows = {prompt: row for row, prompt in reversed(list(pairs))}

    def answer(self, prompt, model):
        """Return the answer of the table."""
        table, row, column = self._table, self._rows[prompt], self._models.index(model)
        answer = super().answer(prompt, model)
        return answer.__class__(
            model=model,
            satisfied=bool(table.quality[row, column]),
            tokens_in=int(table.tokens_in[row]),
            tokens_out=int(table.tokens_out[row, column]),
            cost=float(table.cost[row, column]),
            latency=float(table.latency[row, column]),
        )


class Served(NamedTuple):
    """What the users met.

    Attributes
    ----------
    model
        (N,) position of the model that answered; −1 if the budget was used up.
    seconds
        (N,) time from the request to the end of the answer, less the provider's wait.
    late
        (N,) seconds by which the users themselves sent a request too late.
    labels, retries, failed
        Number of acknowledged labels and of messages that were sent again, and what was said to
        requests or labels that got no good answer.
    """

    model: np.ndarray
    seconds: np.ndarray
    late: np.ndarray
    labels: int
    retries: int
    failed: list


class Users:
    """All users of a run."""

    def __init__(self, world, port):
        self.world, self._url = world, f"http://127.0.0.1:{port}"
        self._names = list(world.table.models)
        count = len(world.traffic.at)
        self.model = np.full(count, -1)
        self.seconds, self.late = np.full(count, np.nan), np.zeros(count)
        self.labels, self.retries, self.failed = 0, 0, []

    async def run(self):
        """Send all requests at their times; return what happened."""
        timeout = aiohttp.ClientTimeout(total=_PATIENCE_SECONDS)
        # A connection for each message, so that the balancer chooses a replica for each.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._free = asyncio.Semaphore(_AT_ONCE)
        async with aiohttp.ClientSession(self._url, connector=connector, timeout=timeout) as http:
            self._http, began = http, time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for request, at in enumerate(self.world.traffic.at):
                    wait = at - (time.perf_counter() - began)
                    if wait > 0.0:
                        await asyncio.sleep(wait)
                    await self._free.acquire()
                    self.late[request] = time.perf_counter() - began - at
                    group.create_task(self._use(request))
        return Served(self.model, self.seconds, self.late, self.labels, self.retries, self.failed)

    async def _use(self, request):
        try:
            decision = await self._ask(request)
        finally:
            self._free.release()
        traffic = self.world.traffic
        if decision is not None and traffic.labelled[request]:
            await asyncio.sleep(traffic.label_after[request])
            score = float(self.world.data.quality[request, self.model[request]])
            _, _, text = await self._send("/v1/feedback", {"decision": decision, "score": score})
            self.labels += not text

    async def _ask(self, request):
        world = self.world
        body = {
            "model": f"floorline/{world.names[world.traffic.sla[request]]}",
            "messages": [{"role": "user", "content": world.table.prompts[request]}],
            "max_tokens": world.longest,
        }
        headers, seconds, _ = await self._send("/v1/chat/completions", body)
        if headers is None:
            return None
        model = self._names.index(headers["x-floorline-model"])
        pause = world.setting.pace * float(world.table.latency[request, model])
        self.seconds[request], self.model[request] = seconds - pause, model
        return headers["x-floorline-decision"]

    async def _send(self, path, body):
        """Return headers, seconds and "" of a good answer, else None, 0 and what was said."""
        text = ""
        for _ in range(_TRIES):
            began = time.perf_counter()
            try:
                async with self._http.post(path, json=body) as answer:
                    text = (await answer.read()).decode(errors="replace")
                    if answer.status == 200:
                        return answer.headers, time.perf_counter() - began, ""
                    if "budget_exhausted" in text:
                        return None, 0.0, text
            except (aiohttp.ClientError, TimeoutError) as error:
                text = repr(error)
            self.retries += 1
            await asyncio.sleep(_RETRY_SECONDS)
        self.failed.append(f"{path}: {text[:300]}")
        return None, 0.0, text


class Spent(NamedTuple):
    """What the log says of the budgets, relative to them.

    Attributes
    ----------
    spent
        (P,) cost of the calls of each period under a budget.
    committed
        The largest sum of costs and of reservations of open calls, in any period at any time.
    open
        The largest sum of reservations of open calls at any time.
    """

    spent: np.ndarray
    committed: float
    open: float


def spent_of(events, slas):
    """Return what the calls of a log spent of the budgets of SLAs."""
    total = {sla.name: sla.budget for sla in slas if sla.budget is not None}
    changes, decisions = [], {}
    for event in events:
        if isinstance(event, Decision) and event.sla in total:
            budget = total[event.sla]
            account = event.sla, period_start(budget.period, event.at)
            decisions[event.id] = event, account
            for reserved in event.reservations.values():
                part = reserved / budget.total
                changes.append((event.at, account, 0.0, part))
        elif isinstance(event, Outcome) and event.decision in decisions:
            decision, account = decisions[event.decision]
            amount = total[decision.sla].total
            reserved = decision.reservations.get(event.model, 0.0)
            changes.append((event.at, account, event.cost / amount, -reserved / amount))
    spent, held, committed, most = {}, {}, 0.0, 0.0
    for _, account, cost, reserved in sorted(changes):
        spent[account] = spent.get(account, 0.0) + cost
        held[account] = held.get(account, 0.0) + reserved
        committed = max(committed, spent[account] + held[account])
        most = max(most, held[account])
    return Spent(np.array(list(spent.values())), committed, most)


async def real_run(world, replicas):
    """Return what users of real replicas met, and what the log says of the budgets."""
    provider = Provider(world)
    async with serving(provider.app()) as endpoint, cluster(world, endpoint, replicas) as servers:
        served = await Users(world, servers.port).run()
        events = await asyncio.to_thread(servers.events)
    return served, spent_of(events, world.slas)


def _path(folder, setting, seed, replicas):
    name = f"real-{replicas}x{setting.rate:g}-{setting.seconds:g}s-seed{seed}.npz"
    return folder / name


def is_cached_real(folder, setting, seed, replicas):
    """Whether the folder has a run."""
    return _path(folder, setting, seed, replicas).exists()


def cached_real_run(folder, world, replicas):
    """Return users and budgets of a run from the folder, or make it and keep it there."""
    path = _path(folder, world.setting, world.seed, replicas)
    if not path.exists():
        served, spent = asyncio.run(real_run(world, replicas))
        part = path.with_suffix(".part.npz")
        np.savez_compressed(part, **served._asdict(), **spent._asdict())
        part.rename(path)
    with np.load(path) as kept:
        served = Served(*(kept[name] for name in Served._fields))
        return served, Spent(*(kept[name] for name in Spent._fields))
