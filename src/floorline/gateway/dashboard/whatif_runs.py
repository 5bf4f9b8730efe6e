"""What-if questions of the dashboard: one at a time, in a process of its own, within limits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from floorline.gateway.errors import ApiError
from floorline.whatif.recent_log import Answer, Question

SECONDS = 60.0
"""Longest time for one question."""
MAX_EVENTS = 60_000
"""Most events for one question, the latest ones: about 6 s of one core for the flagship."""
_FRESH_SECONDS = 300.0
"""Time for which an answer is shown again, so that a page that is reloaded asks only once."""
_KEPT = 50
"""Most answers that are kept."""
_MOST_OUTPUT = 2**20
"""Most bytes of an answer; its estimates by model take a few kilobytes."""


class Asked(NamedTuple):
    """A question as a viewer asks it: it stays the same while time goes on.

    Attributes
    ----------
    policy, sla, floor, tenant
        As in ``Question``; ``policy`` may be ``always:MODEL``.
    span
        Seconds up to now whose requests are used.
    """

    policy: str
    sla: str | None
    floor: float | None
    tenant: str | None
    span: float


class Run(NamedTuple):
    """A question that was asked.

    Attributes
    ----------
    task
        Gives the answer.
    began
        Seconds of a clock that never goes back.
    """

    task: asyncio.Task[Answer]
    began: float


class WhatIfRuns:
    """Runs questions one at a time and keeps their answers for a while.

    Parameters
    ----------
    url
        URL of the store.
    clock
        Returns the Unix time in seconds.
    """

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self._url = url
        self._clock = clock
        self._runs: OrderedDict[Asked, Run] = OrderedDict()

    def start(self, asked: Asked, means: dict[str, float]) -> Run:
        """Return the run of a question; it begins now if there is no fresh answer.

        Parameters
        ----------
        asked
            The question.
        means
            Mean quality by model, for ``static_mix``.

        Raises
        ------
        ApiError
            503 if another question runs.
        """
        now = time.monotonic()
        found = self._runs.get(asked)
        if found is not None and not (found.task.done() and self._is_old(found, now)):
            return found
        if any(not run.task.done() for run in self._runs.values()):
            raise ApiError(
                503,
                "another estimate runs at present, and there is one at a time: load this page "
                "again in some seconds",
                code="estimate_runs",
                retry_after=5.0,
            )
        run = self._runs[asked] = Run(asyncio.create_task(self._answer(asked, means)), now)
        self._runs.move_to_end(asked)
        while len(self._runs) > _KEPT:
            self._runs.popitem(last=False)
        return run

    def answers(self) -> list[tuple[Asked, Answer]]:
        """Return the questions that have an answer, the latest first."""
        return [
            (asked, run.task.result())
            for asked, run in reversed(self._runs.items())
            if run.task.done() and not run.task.cancelled() and run.task.exception() is None
        ]

    @staticmethod
    def _is_old(run: Run, now: float) -> bool:
        failed = run.task.cancelled() or run.task.exception() is not None
        return failed or now - run.began > _FRESH_SECONDS

    async def _answer(self, asked: Asked, means: dict[str, float]) -> Answer:
        always = asked.policy.startswith(ALWAYS)
        question = Question(
            policy="" if always else asked.policy,
            model=asked.policy.removeprefix(ALWAYS) if always else "",
            means=means,
            sla=asked.sla,
            floor=asked.floor,
            tenant=asked.tenant,
            since=self._clock() - asked.span,
            max_events=MAX_EVENTS,
        )
        # One thread for linear algebra: the others belong to the gateway.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "floorline.whatif.recent_log",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # The input stays open: the process ends with the gateway.
            process.stdin.write(msgspec.json.encode(question) + b"\n")
            process.stdin.write(self._url.encode() + b"\n")
            async with asyncio.timeout(SECONDS):
                written = await process.stdout.read(_MOST_OUTPUT)
                while part := await process.stdout.read(_MOST_OUTPUT - len(written)):
                    written += part
            return msgspec.json.decode(written, type=Answer)
        except TimeoutError:
            return Answer(
                problem=f"the estimate took longer than {SECONDS:g} s: choose a shorter time"
            )
        except msgspec.DecodeError:
            return Answer(
                problem="the estimate ended without an answer: run 'floorline whatif' for its error"
            )
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


ALWAYS = "always:"
"""Begins a policy that lets one model serve every request."""
