"""Tests of responses by rules, and what comes of them once it is known what is asked next."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from floorline.config.judging import RULES_JUDGE, RuleSettings
from floorline.errors import FloorlineError
from floorline.gateway.judging.recording import JudgementRecorder
from floorline.gateway.judging.rules import asks_again, broken_rules, score_of
from floorline.gateway.judging.transcripts import SeenAnswer, read_transcript

log = logging.getLogger("floorline.gateway")

_AGAIN_SECONDS = 120.0
"""Time in which nearly the same question counts as asked again."""
_AGAIN_PER_SESSION = 8
"""Latest questions of a session that a new one is compared with."""
_MAX_SESSIONS = 5_000
"""Sessions whose latest questions are known: 40 MB at most."""
_MAX_QUESTION = 1_000
"""Characters of a question that are compared."""


class _Ruled(NamedTuple):
    """A response whose rules were tested, until it is known whether its question comes again."""

    due: float
    order: int
    decision: str
    question: str
    broken: list[RuleSettings]
    again: list[RuleSettings]


class RuleTests:
    """Tests rules on responses, and records what they say.

    Parameters
    ----------
    recorder
        Takes what the rules say.
    counts
        Counts how often each rule was broken, and errors, under ``RULES_JUDGE``.
    now
        Returns seconds that never go back.
    """

    def __init__(
        self,
        recorder: JudgementRecorder,
        counts: Counter[tuple[str, str]],
        now: Callable[[], float],
    ) -> None:
        self._recorder = recorder
        self._counts = counts
        self._now = now
        self._ruled: list[_Ruled] = []
        self._sessions: OrderedDict[str, deque[_Ruled]] = OrderedDict()
        self._asked_again: set[str] = set()
        self._order = 0

    async def test(self, seen: SeenAnswer, rules: Sequence[RuleSettings]) -> None:
        """Test the rules on a response; whether it is asked again is known later."""
        try:
            question, broken = await asyncio.to_thread(_tested, seen, rules)
        except asyncio.CancelledError:
            self._counts[RULES_JUDGE, "lost"] += 1
            self._recorder.miss(seen.decision, RULES_JUDGE, "lost", 1.0, "rule")
            raise
        except Exception:
            self._counts[RULES_JUDGE, "error"] += 1
            log.exception("the rules failed on decision %r", seen.decision.id)
            self._recorder.miss(seen.decision, RULES_JUDGE, "lost", 1.0, "rule")
            return
        again = [rule for rule in rules if rule.kind == "asked_again"]
        now = self._now()
        self._order += 1
        due = now + _AGAIN_SECONDS if again else now
        ruled = _Ruled(due, self._order, seen.decision.id, question, broken, again)
        if again and question and seen.chat.session:
            self._note_question(seen, ruled)
        heapq.heappush(self._ruled, ruled)
        await self.settle(now)

    def _note_question(self, seen: SeenAnswer, ruled: _Ruled) -> None:
        """Mark earlier questions of the session that this one asks again."""
        session = f"{seen.decision.owner!r}\n{seen.chat.session}"
        earlier = self._sessions.pop(session, None) or deque(maxlen=_AGAIN_PER_SESSION)
        for one in earlier:
            if one.due > self._now() and asks_again(ruled.question, one.question):
                self._asked_again.add(one.decision)
        earlier.append(ruled)
        self._sessions[session] = earlier
        if len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)

    def _forget_sessions(self, now: float) -> None:
        """Forget sessions whose latest question can no longer be asked again."""
        while self._sessions:
            oldest = next(iter(self._sessions))
            if self._sessions[oldest][-1].due > now:
                return
            del self._sessions[oldest]

    async def settle(self, now: float) -> None:
        """Record what the rules say of responses whose time has come, and forget old sessions."""
        self._forget_sessions(now)
        while self._ruled and self._ruled[0].due <= now:
            one = heapq.heappop(self._ruled)
            broken = list(one.broken)
            if one.decision in self._asked_again:
                self._asked_again.discard(one.decision)
                broken += one.again
            for rule in broken:
                self._counts[RULES_JUDGE, rule.label] += 1
            try:
                await self._recorder.record(
                    one.decision, RULES_JUDGE, score_of(broken), rate=1.0, source="rule"
                )
            except FloorlineError as error:
                self._counts[RULES_JUDGE, "error"] += 1
                log.warning("what the rules say cannot be recorded: %s", error)


def _tested(seen: SeenAnswer, rules: Sequence[RuleSettings]) -> tuple[str, list[RuleSettings]]:
    """The question of a request, cut, and the rules that the response breaks."""
    found = read_transcript(seen)
    return found.question[:_MAX_QUESTION], broken_rules(rules, found)
