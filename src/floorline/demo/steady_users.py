"""Simulated users who send requests and feedback to a gateway for as long as it runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import msgspec

from floorline.datasets.simulated import SimulatedZoo
from floorline.demo.user_behaviour import MEAN_PAUSE_SECONDS, SimulatedUser, UserRequest

_FIRST_PAUSE_SECONDS = 2.0
"""Time within which every user sends a first request, so that there is something to see at once."""
_TIMEOUT_SECONDS = 60.0
"""Time after which a user gives up an answer."""


class SteadyUsers:
    """Users of a gateway, each with a pause of random length after every answer.

    A refused or failed request is no error here: the user goes on after a pause. The answers do not
    tell whether the user is satisfied; the users know it from the zoo.

    Parameters
    ----------
    zoo
        Prompts, and the probability that each model satisfies them.
    users
        The users.
    url
        URL of the gateway.

    Attributes
    ----------
    answered, failed, labels
        Number of answers, of requests without one, and of feedback messages so far.
    """

    def __init__(self, zoo: SimulatedZoo, users: Sequence[SimulatedUser], url: str) -> None:
        self._zoo = zoo
        self._url = url
        self._users = users
        self._columns = {model.name: m for m, model in enumerate(zoo.models)}
        self.answered = 0
        self.failed = 0
        self.labels = 0

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send requests in this block; at its end the open ones are given up."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        # Every user has a connection of their own, as users do.
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as client,
            asyncio.TaskGroup() as group,
        ):
            for user in self._users:
                group.create_task(self._live(client, user, group))

    async def _live(
        self, client: aiohttp.ClientSession, user: SimulatedUser, group: asyncio.TaskGroup
    ) -> None:
        await asyncio.sleep(user.pause() * _FIRST_PAUSE_SECONDS / MEAN_PAUSE_SECONDS)
        while True:
            messages: list[dict[str, str]] = []
            for request in user.next_conversation():
                prompt = self._zoo.prompts[request.prompt]
                messages.append({"role": "user", "content": prompt})
                answer = None
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    answer = await self._ask(client, user, request, messages)
                if answer is None:
                    self.failed += 1
                    messages.pop()
                else:
                    self.answered += 1
                    id, model, text = answer
                    messages.append({"role": "assistant", "content": text})
                    if request.feedback_after is not None:
                        probability = self._zoo.probabilities[request.prompt, self._columns[model]]
                        satisfied = bool(request.threshold < probability)
                        group.create_task(
                            self._rate(client, user, id, satisfied, request.feedback_after)
                        )
                await asyncio.sleep(user.pause())

    async def _ask(
        self,
        client: aiohttp.ClientSession,
        user: SimulatedUser,
        request: UserRequest,
        messages: list[dict[str, str]],
    ) -> tuple[str, str, str] | None:
        """Send a request; return decision, model and text of the answer, or None if it failed."""
        body = {
            "model": request.target,
            "messages": messages,
            "stream": request.stream,
            "floorline": {"session": request.session},
        }
        url, headers = f"{self._url}/v1/chat/completions", _headers(user)
        async with client.post(url, json=body, headers=headers) as answer:
            data = await answer.read()
            if answer.status != 200:
                return None
            decision = answer.headers["X-Floorline-Decision"]
            model = answer.headers["X-Floorline-Model"]
        text = _stream_text(data) if request.stream else _text(data)
        return None if text is None else (decision, model, text)

    async def _rate(
        self,
        client: aiohttp.ClientSession,
        user: SimulatedUser,
        id: str,
        satisfied: bool,
        after: float,
    ) -> None:
        await asyncio.sleep(after)
        message = {"id": id, "satisfied": satisfied}
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            url, headers = f"{self._url}/v1/feedback", _headers(user)
            async with client.post(url, json=message, headers=headers) as answer:
                self.labels += answer.status == 200


def _headers(user: SimulatedUser) -> dict[str, str]:
    return {"Authorization": f"Bearer {user.key.secret}"} if user.key.secret else {}


def _text(data: bytes) -> str:
    message: dict[str, Any] = msgspec.json.decode(data)["choices"][0]["message"]
    return message["content"] or ""


def _stream_text(data: bytes) -> str | None:
    """Text of a streamed answer; None if the stream ends with an error."""
    lines = [line.removeprefix(b"data: ") for line in data.split(b"\n") if line[:6] == b"data: "]
    chunks = [msgspec.json.decode(line) for line in lines if line != b"[DONE]"]
    if any("error" in chunk for chunk in chunks):
        return None
    return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])
