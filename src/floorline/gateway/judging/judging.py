"""Lets judges and rules see some responses, beside the requests, and records what they say."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec

from floorline.config import Settings
from floorline.config.judging import RULES_JUDGE, JudgeSettings
from floorline.errors import FloorlineError
from floorline.events import DIRECT, JUDGE_KEY, SHADOW_KEY, Decision
from floorline.gateway.auth import Auth
from floorline.gateway.chat_request import ChatBody
from floorline.gateway.judging.internal_calls import InternalCalls, internal_keys
from floorline.gateway.judging.questions import JudgeQuestions, Said
from floorline.gateway.judging.recent_answers import RecentAnswers
from floorline.gateway.judging.recording import JudgementRecorder
from floorline.gateway.judging.repeated_request import may_repeat
from floorline.gateway.judging.rule_tests import RuleTests
from floorline.gateway.judging.sampling import another_model, draw, rate_of
from floorline.gateway.judging.transcripts import SeenAnswer, read_transcript
from floorline.gateway.tenants import split_tenant
from floorline.router import Router

log = logging.getLogger("floorline.gateway")

_MAX_WAITING = 1_000
"""Responses that wait for one judge; further draws are lost and counted, as when the judge is
slower than the requests."""
_MAX_TASKS = 1_000
"""Responses whose rules are being tested, and shadow calls, at a time."""
_TICK_SECONDS = 1.0
"""Pause between two looks at what is old."""


class ToJudge(NamedTuple):
    """A response that a judge is to see, and with which probability it was drawn.

    ``since`` is when the gateway got it.
    """

    seen: SeenAnswer
    rate: float | None
    since: float
    shadow: SeenAnswer | None = None

    @property
    def size(self) -> int:
        """Bytes that it needs."""
        return self.seen.size + (0 if self.shadow is None else len(self.shadow.body))


class Judging:
    """Judges, rules and shadow calls of one process.

    It runs on the event loop. Nothing waits for it: a response is handed over by ``saw`` once the
    client has it, and a user's label by ``labelled``.

    Parameters
    ----------
    settings
        Returns the settings in force.
    router
        Says how many labels the policy learned of each model.
    calls
        Calls the judges' models.
    auth
        Has the budgets of judges and shadow calls.
    recorder
        Takes what judges say.
    now
        Returns seconds that never go back.

    Attributes
    ----------
    counts : Counter
        How often something happened, by judge and word: ``judged``, failures, ``budget`` (too
        little is left), ``lost`` (too many or too large ones wait, or for too long), ``too large``;
        for the rules, how often each was broken.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        router: Router,
        calls: InternalCalls,
        auth: Auth,
        recorder: JudgementRecorder,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._settings = settings
        self._router = router
        self._calls = calls
        self._questions = JudgeQuestions(calls)
        self._auth = auth
        self._recorder = recorder
        self._now = now
        self._waiting: dict[str, deque[ToJudge]] = {}
        self._running: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rules = RuleTests(recorder, self.counts, now)
        # Bytes of what waits for judges and rules; the rest of the memory is for recent answers.
        self._held = 0
        judging = settings().judging
        self._memory = int(judging.memory)
        self._recent = RecentAnswers(judging.keep, int(judging.memory))
        auth.set_internal_keys(internal_keys(settings()))

    @property
    def wanted(self) -> bool:
        """Whether anything is judged at all, so that responses need to be kept."""
        settings = self._settings()
        return bool(settings.judges or settings.rules)

    def saw(self, decision: Decision, chat: ChatBody, body: bytes, *, streamed: bool) -> None:
        """Take a whole response that a client has got."""
        if decision.policy == DIRECT or chat.path:
            return
        settings = self._settings()
        seen, now = SeenAnswer(decision, chat, body, streamed), self._now()
        drawn = dict[str, float]()
        labels = self._labels() if settings.judges else {}
        for judge in settings.judges:
            rate = rate_of(judge, decision, labels)
            if draw(settings.seed, JUDGE_KEY + judge.name, decision.id) < rate:
                drawn[judge.name] = rate
        sla, _ = split_tenant(decision.sla)
        rules = [rule for rule in settings.rules if rule.slas is None or sla in rule.slas]
        labelled = any(judge.labelled and judge.name not in drawn for judge in settings.judges)
        if len(body) > int(settings.judging.max_response):
            self.counts["", "too large"] += 1
            for name in (*drawn, *([RULES_JUDGE] if rules else [])):
                self._miss(name, ToJudge(seen, drawn.get(name, 1.0), now), "too large")
            if labelled:
                bare = msgspec.structs.replace(chat, fields={}, prompt="")
                kept = SeenAnswer(decision, bare, b"", drawn=frozenset(drawn), too_large=True)
                self._recent.add(kept, now)
            return
        shadow = self._shadow_of(decision, chat)
        for judge in settings.judges:
            # One that a shadow call is made beside is judged once, after that call.
            if judge.name in drawn and (shadow is None or judge.name != shadow[0].name):
                self._put(judge, ToJudge(seen, drawn[judge.name], now))
        if shadow is not None:
            beside, model = shadow
            item = ToJudge(seen, drawn.get(beside.name), now)
            work = partial(self._call_shadow, item, beside, model)
            if self._start_extra(SHADOW_KEY, seen, work):
                drawn.setdefault(beside.name, 0.0)
            elif item.rate is not None:
                self._put(beside, item)
        if rules and not self._start_extra(
            RULES_JUDGE, seen, partial(self._rules.test, seen, rules)
        ):
            self._miss(RULES_JUDGE, ToJudge(seen, 1.0, now), "lost", count=False)
        if labelled:
            self._recent.add(seen._replace(drawn=frozenset(drawn)), now)

    def labelled(self, decision: str) -> None:
        """Let judges see a response that a user has labelled, if they have not."""
        try:
            self._judge_pair(decision)
        except Exception:
            # The label is recorded, whatever happens here.
            log.exception("judges cannot see the labelled decision %r", decision)

    def _judge_pair(self, decision: str) -> None:
        seen = self._recent.take(decision)
        if seen is None:
            return
        settings = self._settings()
        for judge in settings.judges:
            # A rate of 0 means that the judge must not see these responses.
            if judge.name in seen.drawn or not rate_of(judge, seen.decision, {}):
                continue
            if draw(settings.seed, f"labelled:{judge.name}", decision) < judge.labelled:
                item = ToJudge(seen, None, self._now())
                if seen.too_large:
                    self._miss(judge.name, item, "too large")
                else:
                    self._put(judge, item)

    async def run(self) -> None:
        """Forget what is old, and settle the rules, until the task is cancelled."""
        try:
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                now = self._now()
                # The configuration may have changed.
                self._auth.set_internal_keys(internal_keys(self._settings()))
                self._recent.forget(now)
                self._forget_waiting(now)
                await self._rules.settle(now)
                await self._recorder.record_missed()
        finally:
            await self._rules.settle(float("inf"))

    async def stop(self) -> None:
        """End the calls that run; what they were to judge, and what waits, is lost."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._forget_waiting(math.inf)
        await self._recorder.record_missed()

    async def idle(self) -> None:
        """Wait until nothing is being judged."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _shadow_of(self, decision: Decision, chat: ChatBody) -> tuple[JudgeSettings, str] | None:
        """Judge and model of the shadow call beside a decision's; None if none is made."""
        settings = self._settings()
        shadow, seed = settings.shadow, settings.seed
        if shadow is None or draw(seed, "shadow", decision.id) >= shadow.rate:
            return None
        judge = next(one for one in settings.judges if one.name == shadow.judge)
        allowed = decision.models if shadow.models is None else shadow.models
        # One that was added at run time may have no price, and no budget bounds its calls.
        unpriced = self._router.zoo.unpriced
        model = another_model(seed, decision, [name for name in allowed if name not in unpriced])
        if model is None or not may_repeat(chat):
            return None
        both = (decision, msgspec.structs.replace(decision, model=model))
        # A rate of 0 means that the judge must not see these responses.
        return (judge, model) if all(rate_of(judge, one, {}) for one in both) else None

    def _hold(self, size: int) -> bool:
        """Take memory for what waits; False if there is too little."""
        if self._held + size > self._memory:
            return False
        self._set_held(self._held + size)
        return True

    def _set_held(self, held: int) -> None:
        self._held = held
        self._recent.memory = self._memory - held
        self._recent.forget(self._now())

    def _labels(self) -> Mapping[str, float]:
        """Number of labels that the policy learned of each model; empty if it does not say."""
        known = self._router.policy.model_estimates()
        if known is None:
            return {}
        return dict(zip(known.models, known.labels.tolist(), strict=True))

    def _put(self, judge: JudgeSettings, item: ToJudge) -> None:
        """Let a response wait for a judge, and start to judge if it is free."""
        waiting = self._waiting.setdefault(judge.name, deque())
        if len(waiting) >= _MAX_WAITING or not self._hold(item.size):
            self._miss(judge.name, item, "lost")
            return
        waiting.append(item)
        if self._running[judge.name] < judge.concurrency:
            self._running[judge.name] += 1
            self._start(self._work(judge.name))

    def _start_extra(
        self, judge: str, seen: SeenAnswer, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> bool:
        """Start what is lost, and counted, while too much is being done; False if it is lost."""
        size = seen.size
        if len(self._tasks) >= _MAX_TASKS or not self._hold(size):
            self.counts[judge, "lost"] += 1
            return False
        task = self._start(work())
        task.add_done_callback(lambda _: self._set_held(self._held - size))
        return True

    def _miss(self, judge: str, item: ToJudge, reason: str, *, count: bool = True) -> None:
        """Record that a judge does not see a response that it was to see."""
        if count:
            self.counts[judge, reason] += 1
        source = "rule" if judge == RULES_JUDGE else "judge"
        self._recorder.miss(item.seen.decision, judge, reason, item.rate, source)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _forget_waiting(self, now: float) -> None:
        """Forget what waits for too long: a judge is slow, or its provider does not answer."""
        for name, waiting in self._waiting.items():
            while waiting and now - waiting[0].since > self._recent.seconds:
                item = waiting.popleft()
                self._set_held(self._held - item.size)
                self._miss(name, item, "lost")

    async def _work(self, name: str) -> None:
        """Judge what waits for a judge, one after the other."""
        try:
            waiting = self._waiting[name]
            while waiting:
                item = waiting.popleft()
                judge = next((j for j in self._settings().judges if j.name == name), None)
                try:
                    if judge is None:
                        self._miss(name, item, "lost")
                        continue
                    await self._judge(judge, item)
                except asyncio.CancelledError:
                    self._miss(name, item, "lost")
                    raise
                except FloorlineError as error:
                    self.counts[name, "error"] += 1
                    log.warning("judge %r cannot record what it says: %s", name, error)
                    self._miss(name, item, "lost", count=False)
                except Exception:
                    self.counts[name, "error"] += 1
                    log.exception("judge %r failed on decision %r", name, item.seen.decision.id)
                    self._miss(name, item, "lost", count=False)
                finally:
                    self._set_held(self._held - item.size)
        finally:
            self._running[name] -= 1

    async def _judge(self, judge: JudgeSettings, item: ToJudge) -> None:
        """Let a judge see one response, and another model's response of a shadow call."""
        found = await asyncio.to_thread(read_transcript, item.seen)
        decision = item.seen.decision
        if judge.against is None:
            said = await self._questions.grade(judge, found)
        else:
            said = await self._questions.compare(judge, item.seen, found)
        await self._record(judge, decision, decision.model, item.rate, said)
        if item.shadow is not None:
            other = await asyncio.to_thread(read_transcript, item.shadow)
            said = await self._questions.grade(judge, other)
            await self._record(judge, decision, item.shadow.decision.model, None, said)

    async def _record(
        self,
        judge: JudgeSettings,
        decision: Decision,
        model: str,
        rate: float | None,
        said: Said,
    ) -> None:
        self.counts[judge.name, said.failure or "judged"] += 1
        await self._recorder.record(
            decision.id,
            judge.name,
            said.score,
            failure=said.failure,
            rate=rate,
            model=model,
            call=said.call,
        )

    async def _call_shadow(self, item: ToJudge, judge: JudgeSettings, model: str) -> None:
        """Call another model with a request, and let a judge see both responses."""
        seen = item.seen
        try:
            reply = await self._calls.repeat(SHADOW_KEY, model, seen.chat)
            failure = reply.failure
        except FloorlineError as error:
            failure = "error"
            log.warning("a shadow call of model %r failed: %s", model, error)
        except asyncio.CancelledError:
            if item.rate is not None:
                self._miss(judge.name, item, "lost")
            raise
        except Exception:
            failure = "error"
            log.exception("a shadow call beside decision %r failed", seen.decision.id)
        self.counts[SHADOW_KEY, failure or "called"] += 1
        if not failure:
            made = msgspec.structs.replace(seen.decision, model=model)
            self._put(judge, item._replace(shadow=SeenAnswer(made, seen.chat, reply.body)))
        elif item.rate is not None:
            # The judge drew the response whether or not the other model answers.
            self._put(judge, item)
        else:
            # A label that comes later is to make a pair, as without the shadow.
            self._recent.undraw(seen.decision.id, judge.name)
