"""Simulated users who send requests and feedback over HTTP to a real gateway.

The gateway is ``floorline serve`` in its own process, with its real store; its upstream is the fake
provider. Users send requests over loopback, read the answers, and some send feedback. Their
satisfaction is known to them only: the answers do not contain it.
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

_START_TIMEOUT = 30.0
"""Seconds within which the gateway must be ready."""
_STOP_TIMEOUT = 15.0
"""Seconds after which a gateway that does not end is killed."""
_DIRECT_CALLS = 200
"""Number of requests that are repeated without the gateway, to compare the latency."""


@dataclass(frozen=True)
class Traffic:
    """Behaviour of the simulated users.

    Parameters
    ----------
    users
        Number N of users; each sends one request.
    floor
        Floor τ of the SLA.
    seed
        Seed of prompts, answers, satisfaction and feedback.
    policy
        Name of the gateway's policy.
    feedback_share
        Share φ of the users who send feedback.
    late_share
        Share of the feedback that is sent later.
    delay
        Number of further users after which late feedback is sent.
    stream_share
        Share of the users whose answer is streamed.
    connections
        Number of users at the same time.

    Raises
    ------
    InvalidInput
        If the floor or the number of users is out of range.
    """

    users: int = 3000
    floor: float = 0.8
    seed: int = 0
    policy: str = "primal_dual"
    feedback_share: float = 0.2
    late_share: float = 0.3
    delay: int = 300
    stream_share: float = 0.25
    connections: int = 16

    def __post_init__(self) -> None:
        check_floor("--floor", self.floor)
        if self.users < 1:
            raise InvalidInput("--users", self.users, "give a number of users of 1 or more")


@dataclass
class TrafficRecord:
    """Record of a run.

    Parameters
    ----------
    traffic, zoo, provider
        What was run.
    thresholds
        (N,) uniform draws: a user is satisfied by an answer whose probability exceeds the draw.
    model
        (N,) positions of the models that served.
    seconds
        (N,) times from the request to the end of the answer, in seconds.
    direct
        Times of up to 200 of the same requests without the gateway, in seconds.
    labels
        Number of feedback messages.
    duration
        Duration of the run in seconds.
    status
        Status of the SLA from the gateway at the end.
    """

    traffic: Traffic
    zoo: SimulatedZoo
    provider: FakeProvider
    thresholds: NDArray[np.float64]
    model: NDArray[np.int64]
    seconds: NDArray[np.float64]
    direct: list[float] = field(default_factory=list)
    labels: int = 0
    duration: float = 0.0
    status: dict[str, Any] = field(default_factory=dict)

    def satisfied(self, user: int, model: int) -> bool:
        """Return whether a user is satisfied with a model's answer; the same at every call."""
        return bool(self.thresholds[user] < self.zoo.probabilities[user, model])


async def run_traffic(
    traffic: Traffic, progress: Callable[[int], None] = lambda done: None
) -> TrafficRecord:
    """Start a gateway, send it the requests of all users, and stop it.

    Parameters
    ----------
    traffic
        Behaviour of the users.
    progress
        Called after each user with the number of finished users.

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
        thresholds=rng.random(traffic.users),
        model=np.zeros(traffic.users, dtype=np.int64),
        seconds=np.zeros(traffic.users),
    )
    with tempfile.TemporaryDirectory(prefix="floorline-demo-") as folder:
        async with serving(provider.app()) as upstream, aiohttp.ClientSession() as client:
            settings = _settings(traffic, zoo, upstream)
            async with _gateway(settings, Path(folder), client) as url:
                users = _Users(record, client, url, rng)
                started = time.perf_counter()
                await users.send_all(progress)
                record.duration = time.perf_counter() - started
                async with client.get(f"{url}/v1/slas/{SLA}") as answer:
                    record.status = await answer.json()
            await users.call_directly(upstream)
    return record


class _Users:
    """The simulated users, as clients of the gateway."""

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
        self.wants_stream = rng.random(traffic.users) < traffic.stream_share
        self.sends_feedback = rng.random(traffic.users) < traffic.feedback_share
        self.is_late = rng.random(traffic.users) < traffic.late_share
        # Late feedback by the number of finished users after which it is sent.
        self.waiting: dict[int, list[dict[str, Any]]] = {}
        self.done = 0

    async def send_all(self, progress: Callable[[int], None]) -> None:
        """Send the requests of all users, ``connections`` at a time, then the late feedback."""
        queue = iter(range(self.record.traffic.users))
        async with asyncio.TaskGroup() as group:
            for _ in range(self.record.traffic.connections):
                group.create_task(self._send_queued(queue, progress))
        for due in sorted(self.waiting):
            for message in self.waiting[due]:
                await self._send_feedback(message)

    async def _send_queued(self, queue: Iterator[int], progress: Callable[[int], None]) -> None:
        for user in queue:
            started = time.perf_counter()
            model, id = await self._send_request(
                self.url, user, f"floorline/{SLA}", stream=bool(self.wants_stream[user])
            )
            self.record.seconds[user] = time.perf_counter() - started
            served = self.names.index(model)
            self.record.model[user] = served
            self.done += 1
            for message in self.waiting.pop(self.done, ()):
                await self._send_feedback(message)
            if self.sends_feedback[user]:
                satisfied = self.record.satisfied(user, served)
                message = {"id": id, "satisfied": satisfied}
                if self.is_late[user]:
                    due = self.done + self.record.traffic.delay
                    self.waiting.setdefault(due, []).append(message)
                else:
                    await self._send_feedback(message)
            progress(self.done)

    async def _send_request(
        self, url: str, user: int, model: str, *, stream: bool
    ) -> tuple[str, str]:
        """Send the request of a user; return the served model and an id for feedback.

        The id is that of the decision, which never repeats; a provider called directly has none.
        """
        message = {"role": "user", "content": self.record.zoo.prompts[user]}
        body = {"model": model, "messages": [message]} | ({"stream": True} if stream else {})
        async with self.client.post(f"{url}/v1/chat/completions", json=body) as answer:
            data = await answer.read()
            if answer.status != 200:
                raise FloorlineError(
                    f"the answer to user {user} has status {answer.status}: {data[:300]!r}"
                )
            if stream and not data.endswith(b"data: [DONE]\n\n"):
                raise FloorlineError(f"the stream to user {user} ended early: {data[-300:]!r}")
            first = data.split(b"\n", 1)[0].removeprefix(b"data: ") if stream else data
            id = answer.headers.get("X-Floorline-Decision") or msgspec.json.decode(first)["id"]
            return answer.headers.get("X-Floorline-Model", model), id

    async def _send_feedback(self, message: dict[str, Any]) -> None:
        async with self.client.post(f"{self.url}/v1/feedback", json=message) as answer:
            if answer.status != 200:
                text = await answer.text()
                raise FloorlineError(
                    f"the answer to feedback has status {answer.status}: {text[:300]}"
                )
        self.record.labels += 1

    async def call_directly(self, upstream: str) -> None:
        """Send some of the requests again, directly to the provider, and record their times."""
        count = min(_DIRECT_CALLS, self.record.traffic.users)
        queue = iter(range(count))

        async def send_queued() -> None:
            for user in queue:
                model = self.names[int(self.record.model[user])]
                started = time.perf_counter()
                stream = bool(self.wants_stream[user])
                await self._send_request(upstream, user, model, stream=stream)
                self.record.direct.append(time.perf_counter() - started)

        async with asyncio.TaskGroup() as group:
            for _ in range(self.record.traffic.connections):
                group.create_task(send_queued())


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
    """Run ``floorline serve`` in this block; yield its URL when it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    path, log = folder / "floorline.yaml", folder / "serve.log"
    # Every JSON document is a YAML document.
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
        deadline = time.monotonic() + _START_TIMEOUT
        while not await _ready(client, url):
            if process.returncode is not None or time.monotonic() > deadline:
                tail = " ".join(log.read_text("utf-8", "replace").split())[-500:]
                raise FloorlineError(f"the gateway did not start: {tail or 'its log is empty'}")
            await asyncio.sleep(0.02)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_TIMEOUT)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ready(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
