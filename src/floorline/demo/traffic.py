"""Simulated users before a real gateway: the SLA under traffic, over HTTP.

The gateway is ``floorline serve`` in a process of its own, with its real store; its upstream is the
fake provider. Users come over loopback, read their answers and now and then say whether they were
satisfied. Only they know the truth: the provider's answers do not tell it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.datasets.simulated import SimulatedZoo
from floorline.demo.fake_provider import FakeProvider, serving
from floorline.errors import FloorlineError, InvalidInput
from floorline.sla import check_floor

SLA = "demo"

_READY_WITHIN = 30.0
_STOPPED_WITHIN = 15.0
_PROBES = 200


@dataclass(frozen=True)
class Traffic:
    """What the users do.

    Parameters
    ----------
    users
        How many come; each asks once.
    floor
        τ of the SLA they ask for.
    seed
        Of prompts, answers, users' judgements and of who says something.
    policy
        Name of the policy that decides.
    told
        φ, the share of users who tell whether they were satisfied.
    late
        Share of those who tell it only after ``delay`` further users came.
    streamed
        Share of users whose answer is streamed.
    connections
        How many ask at a time.
    """

    users: int = 3000
    floor: float = 0.8
    seed: int = 0
    policy: str = "primal_dual"
    told: float = 0.2
    late: float = 0.3
    delay: int = 300
    streamed: float = 0.25
    connections: int = 16

    def __post_init__(self) -> None:
        check_floor("--floor", self.floor)
        if self.users < 1:
            raise InvalidInput("--users", self.users, "give a number of users of 1 or more")


@dataclass
class TrafficRecord:
    """What happened.

    Arrays over users (N,): ``model`` who served as a position in the zoo, ``seconds`` from asking
    to the end of the answer. ``direct`` (_PROBES,) are seconds of the same requests without the
    gateway, ``stand`` is what the gateway said of the SLA in the end.
    """

    traffic: Traffic
    zoo: SimulatedZoo
    provider: FakeProvider
    judgement: NDArray[np.float64]
    model: NDArray[np.int64]
    seconds: NDArray[np.float64]
    direct: list[float] = field(default_factory=list)
    labels: int = 0
    took: float = 0.0
    stand: dict[str, Any] = field(default_factory=dict)

    def satisfied(self, user: int, model: int) -> bool:
        """Whether a user is satisfied with a model's answer: the truth, and always the same."""
        return bool(self.judgement[user] < self.zoo.probabilities[user, model])


async def drive(
    traffic: Traffic, progress: Callable[[int], None] = lambda done: None
) -> TrafficRecord:
    """Let all users through a gateway that is started for them.

    Raises
    ------
    FloorlineError
        If the gateway does not start, or answers a user with an error.
    """
    zoo = SimulatedZoo(traffic.users, seed=traffic.seed)
    provider = FakeProvider(zoo, seed=traffic.seed)
    rng = np.random.default_rng([traffic.seed, 5])
    record = TrafficRecord(
        traffic,
        zoo,
        provider,
        judgement=rng.random(traffic.users),
        model=np.zeros(traffic.users, dtype=np.int64),
        seconds=np.zeros(traffic.users),
    )
    with tempfile.TemporaryDirectory(prefix="floorline-demo-") as folder:
        async with serving(provider.app()) as upstream, aiohttp.ClientSession() as client:
            settings = _settings(traffic, zoo, upstream)
            async with _gateway(settings, Path(folder), client) as url:
                users = _Users(record, client, url, rng)
                started = time.perf_counter()
                await users.all(progress)
                record.took = time.perf_counter() - started
                async with client.get(f"{url}/v1/slas/{SLA}") as answer:
                    record.stand = await answer.json()
            await users.probe(upstream)
    return record


class _Users:
    """Everybody who asks."""

    def __init__(
        self,
        record: TrafficRecord,
        client: aiohttp.ClientSession,
        url: str,
        rng: np.random.Generator,
    ) -> None:
        traffic = record.traffic
        self.record = record
        self.client = client
        self.url = url
        self.names = [model.name for model in record.zoo.models]
        self.streams = rng.random(traffic.users) < traffic.streamed
        self.tells = rng.random(traffic.users) < traffic.told
        self.late = rng.random(traffic.users) < traffic.late
        # By the number of users after which they are sent.
        self.waiting: dict[int, list[dict[str, Any]]] = {}
        self.done = 0

    async def all(self, progress: Callable[[int], None]) -> None:
        """Let them ask, so many at a time, and send what is late in the end."""
        queue = iter(range(self.record.traffic.users))
        async with asyncio.TaskGroup() as group:
            for _ in range(self.record.traffic.connections):
                group.create_task(self._some(queue, progress))
        for due in sorted(self.waiting):
            for message in self.waiting[due]:
                await self._tell(message)

    async def _some(self, queue: Iterator[int], progress: Callable[[int], None]) -> None:
        for user in queue:
            started = time.perf_counter()
            model, completion = await self._ask(
                self.url, user, f"floorline/{SLA}", stream=bool(self.streams[user])
            )
            self.record.seconds[user] = time.perf_counter() - started
            served = self.names.index(model)
            self.record.model[user] = served
            self.done += 1
            for message in self.waiting.pop(self.done, ()):
                await self._tell(message)
            if self.tells[user]:
                satisfied = self.record.satisfied(user, served)
                message = {"id": completion, "satisfied": satisfied}
                if self.late[user]:
                    due = self.done + self.record.traffic.delay
                    self.waiting.setdefault(due, []).append(message)
                else:
                    await self._tell(message)
            progress(self.done)

    async def _ask(self, url: str, user: int, model: str, *, stream: bool) -> tuple[str, str]:
        """Return who served, and the completion's id."""
        message = {"role": "user", "content": self.record.zoo.prompts[user]}
        body = {"model": model, "messages": [message]} | ({"stream": True} if stream else {})
        async with self.client.post(f"{url}/v1/chat/completions", json=body) as answer:
            data = await answer.read()
            if answer.status != 200:
                raise FloorlineError(f"user {user} was answered {answer.status}: {data[:300]!r}")
            if stream and not data.endswith(b"data: [DONE]\n\n"):
                raise FloorlineError(f"the stream of user {user} ended early: {data[-300:]!r}")
            first = data.split(b"\n", 1)[0].removeprefix(b"data: ") if stream else data
            return answer.headers.get("X-Floorline-Model", model), msgspec.json.decode(first)["id"]

    async def _tell(self, message: dict[str, Any]) -> None:
        async with self.client.post(f"{self.url}/v1/feedback", json=message) as answer:
            if answer.status != 200:
                text = await answer.text()
                raise FloorlineError(f"feedback was answered {answer.status}: {text[:300]}")
        self.record.labels += 1

    async def probe(self, upstream: str) -> None:
        """Ask the provider some of it again without a gateway, as many at a time."""
        count = min(_PROBES, self.record.traffic.users)
        queue = iter(range(count))

        async def some() -> None:
            for user in queue:
                model = self.names[int(self.record.model[user])]
                started = time.perf_counter()
                await self._ask(upstream, user, model, stream=bool(self.streams[user]))
                self.record.direct.append(time.perf_counter() - started)

        async with asyncio.TaskGroup() as group:
            for _ in range(self.record.traffic.connections):
                group.create_task(some())


def _settings(traffic: Traffic, zoo: SimulatedZoo, upstream: str) -> dict[str, Any]:
    models = [
        {
            "name": model.name,
            "endpoint": f"{upstream}/v1",
            "input_price": model.input_price,
            "output_price": model.output_price,
        }
        for model in zoo.models
    ]
    return {
        "models": models,
        "slas": [{"name": SLA, "floor": traffic.floor}],
        "policy": traffic.policy,
        "seed": traffic.seed,
        "auth": "none",
    }


@contextlib.asynccontextmanager
async def _gateway(
    settings: dict[str, Any], folder: Path, client: aiohttp.ClientSession
) -> AsyncIterator[str]:
    """Run ``floorline serve`` and give its URL once it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    path, log = folder / "floorline.yaml", folder / "serve.log"
    # JSON is YAML.
    path.write_bytes(msgspec.json.encode({**settings, "server": {"port": port}}))
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "floorline", "serve", "--config", str(path)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, "NO_COLOR": "1"},
        )
    try:
        deadline = time.monotonic() + _READY_WITHIN
        while not await _ready(client, url):
            if process.returncode is not None or time.monotonic() > deadline:
                tail = " ".join(log.read_text("utf-8", "replace").split())[-500:]
                raise FloorlineError(f"the gateway did not start: {tail or 'no reason given'}")
            await asyncio.sleep(0.02)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOPPED_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ready(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
