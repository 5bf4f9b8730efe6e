"""Asks a judge's model about one response: for a score, or which of two responses is better."""

from __future__ import annotations

import asyncio
import secrets
from typing import NamedTuple

from floorline.config.judging import JudgeSettings
from floorline.events import JUDGE_KEY
from floorline.gateway.judging.internal_calls import InternalCalls
from floorline.gateway.judging.repeated_request import may_repeat
from floorline.gateway.judging.rubric import (
    grade_messages,
    pair_messages,
    read_better,
    read_score,
)
from floorline.gateway.judging.transcripts import SeenAnswer, Transcript, read_transcript


class Said(NamedTuple):
    """What a judge said: a score from 0 to 1, or why there is none; and the id of the call."""

    score: float | None
    failure: str
    call: str


class JudgeQuestions:
    """Asks judges.

    Parameters
    ----------
    calls
        Calls the judges' models.
    """

    def __init__(self, calls: InternalCalls) -> None:
        self._calls = calls

    async def grade(self, judge: JudgeSettings, found: Transcript) -> Said:
        """Ask for the score of a response."""
        messages = grade_messages(found, judge.rubric, secrets.token_hex(8))
        key = JUDGE_KEY + judge.name
        reply = await self._calls.ask(key, judge.model, messages, judge.fields)
        if reply.failure or reply.refusal:
            return Said(None, reply.failure or "refused", reply.decision)
        read = read_score(reply.text)
        return Said(read.value, read.failure, reply.decision)

    async def compare(self, judge: JudgeSettings, seen: SeenAnswer, found: Transcript) -> Said:
        """Ask twice whether a response is better than the other model's, in both orders.

        The score is 1 if it is better both times, 0 if it is worse, and the mean otherwise.
        """
        assert judge.against is not None
        key = JUDGE_KEY + judge.name
        if not may_repeat(seen.chat):
            return Said(None, "not repeated", "")
        rival = await self._calls.repeat(key, judge.against, seen.chat)
        if rival.failure:
            return Said(None, rival.failure, rival.decision)
        other = await asyncio.to_thread(
            read_transcript, SeenAnswer(seen.decision, seen.chat, rival.body)
        )
        total, call = 0.0, rival.decision
        for first, second, better in (
            (found.answer, other.answer, 1.0),
            (other.answer, found.answer, 2.0),
        ):
            messages = pair_messages(found, first, second, judge.rubric, secrets.token_hex(8))
            reply = await self._calls.ask(key, judge.model, messages, judge.fields)
            call = reply.decision or call
            read = read_better(reply.text)
            failure = reply.failure or ("refused" if reply.refusal else read.failure)
            if failure or read.value is None:
                return Said(None, failure or "garbage", call)
            total += 0.5 if read.value == 0.0 else float(read.value == better)
        return Said(total / 2.0, "", call)
