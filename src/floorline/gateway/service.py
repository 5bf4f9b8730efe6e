"""What the endpoints share: the router and all that surrounds it in a serving process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from floorline.config import Settings
from floorline.errors import InvalidInput
from floorline.events import Decision
from floorline.gateway.auth import Auth, Caller
from floorline.gateway.chat_request import ROUTED, ChatBody
from floorline.gateway.errors import ApiError
from floorline.gateway.observability.metrics import Metrics
from floorline.gateway.observability.spans import CallSpan, Telemetry
from floorline.gateway.reload import Reloader
from floorline.gateway.runtime_models import RuntimeModels
from floorline.gateway.startup import TENANT, reconcile, tenant_sla
from floorline.gateway.upstream_config import upstream
from floorline.gateway.upstreams import (
    Answer,
    UpstreamError,
    Upstreams,
    UpstreamSettings,
    Usage,
    cost_of,
    estimate_usage,
)
from floorline.router import RequestContext, Router
from floorline.stores.sql import SqlStore

log = logging.getLogger("floorline.gateway")

Ended = Literal["ok", "client_error", "upstream_error", "disconnected"]
LEFT = "the client disconnected"
"""Error of a call whose answer nobody waited for."""
UNASKED = "the gateway asks only the model that serves"
"""Error of a call that a policy wanted for its own sake and that was not made."""


class Gateway:
    """A router at work: its log, its upstreams, its callers.

    Everything here runs on one event loop; the router is called from nowhere else.

    Parameters
    ----------
    settings
        What the file says, at this moment.
    router, store, upstreams, auth, metrics, models, telemetry
        The parts, started.
    """

    def __init__(
        self,
        settings: Settings,
        router: Router,
        store: SqlStore,
        upstreams: Upstreams,
        auth: Auth,
        metrics: Metrics,
        models: RuntimeModels,
        telemetry: Telemetry,
    ) -> None:
        self.settings = settings
        self.router = router
        self.store = store
        self.upstreams = upstreams
        self.auth = auth
        self.metrics = metrics
        self.models = models
        self.telemetry = telemetry
        self.changing = asyncio.Lock()
        self.in_flight = 0
        self.stopping = False
        self.reloader: Reloader | None = None
        self._calls: dict[str, UpstreamSettings] = {}
        self._completions: OrderedDict[str, str] = OrderedDict()
        self._saved = len(store)
        metrics.watch(
            router=router,
            store=store,
            in_flight=lambda: self.in_flight,
            breakers=lambda: {m: health.breaker for m, health in upstreams.health().items()},
            waiting=lambda: {m: health.waiting for m, health in upstreams.health().items()},
        )

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the places for requests in flight.

        Raises
        ------
        ApiError
            If there is none left.
        """
        if self.in_flight >= self.settings.server.max_in_flight:
            self.metrics.shed()
            raise ApiError(
                429,
                "the gateway is serving as many requests as it may: try again shortly",
                code="overloaded",
                retry_after=1,
            )
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def apply(self, settings: Settings) -> None:
        """Serve by these settings from now on; requests in flight end as they began.

        Raises
        ------
        FloorlineError
            If they cannot be kept together, such as an SLA that names a model that is gone.
        """
        wanted = self.models.promises(settings)
        for sla in wanted.slas:
            sla.check_against(wanted.zoo)
        self._calls = {m.name: upstream(m) for m in self.models.models(settings)}
        self.upstreams.configure(self._calls)
        reconcile(self.router, wanted, at=time.time())
        self.settings = settings

    async def reload(self, old: Settings, new: Settings) -> None:
        """Take over settings whose file has changed; errors as for ``apply``."""
        async with self.changing:
            self.apply(new)
        await self.store.committed()

    def readiness_errors(self) -> list[str]:
        """Why the gateway should get no traffic now; empty if it should."""
        problems = []
        if self.stopping:
            problems.append("the gateway is stopping")
        if self.store.failure is not None:
            problems.append(f"the event log cannot be written: {self.store.failure}")
        if len(self.upstreams.blocked()) == len(self.router.zoo):
            problems.append("no model can be called at present")
        return problems

    def warnings(self) -> list[str]:
        """What somebody should look at though requests are served."""
        notes = [f"model {name!r} is not called at present" for name in self.upstreams.blocked()]
        if self.reloader is not None and self.reloader.error is not None:
            notes.append(f"the configuration is not in force: {self.reloader.error}")
        if self.reloader is not None and self.reloader.restart:
            notes.append("waiting for a restart: " + ", ".join(self.reloader.restart))
        return notes

    def check_log(self) -> None:
        """Raise ApiError while the log cannot be written: nothing may happen unrecorded."""
        if self.store.failure is not None:
            raise ApiError(
                503,
                f"the event log cannot be written ({self.store.failure}): try again later",
                code="log_unavailable",
                retry_after=5,
            )

    def sla_for(self, name: str, caller: Caller) -> str:
        """Find the SLA that a caller asks for; their tenant's own one where it has one.

        ``name`` is "" for the default: the first one of the key's list, or of the settings.
        """
        slas = self.router.slas
        if not name:
            name = caller.slas[0] if caller.slas else next(iter(slas))
        if name not in slas or TENANT in name or not caller.may_use(name):
            known = [n for n in slas if TENANT not in n and caller.may_use(n)]
            raise ApiError(
                404,
                f"there is no SLA {name!r}: use one of "
                + ", ".join(ROUTED + n for n in (*known, "auto")),
                code="model_not_found",
                param="model",
            )
        if not caller.tenant or name not in self.settings.own_slas:
            return name
        own = tenant_sla(slas[name], caller.tenant)
        if own.name not in slas:
            self.router.set_sla(own, at=time.time())
        return own.name

    def decide(
        self, chat: ChatBody, caller: Caller, *, exclude: Sequence[str] = (), after: str = ""
    ) -> Decision:
        """Decide which model serves a chat request; the decision is on its way into the log.

        Raises
        ------
        ApiError
            If there is no such model or SLA, or the log cannot be written.
        InvalidInput
            If no model can serve the request, or its floor or messages are malformed.
        BudgetExhausted
            If no model that can serve fits into the SLA's budget.
        """
        self.check_log()
        began = time.perf_counter()
        at = time.time()
        options, zoo = chat.options, self.router.zoo
        session = f"{caller.tenant}/{options.session}" if options.session else ""
        context = RequestContext(caller.tenant, caller.key, session, after)
        if chat.sla is None:
            if chat.model not in zoo:
                raise ApiError(
                    404,
                    f"there is no model {chat.model!r}: name one of {', '.join(zoo.names)}, or an "
                    f"SLA as {ROUTED}NAME",
                    code="model_not_found",
                    param="model",
                )
            decision = self.router.log_direct_call(
                chat.model, chat.messages, input_tokens=chat.input_tokens, at=at, context=context
            )
        else:
            for name in options.exclude:
                if name not in zoo:
                    fix = "name models of " + ", ".join(zoo.names)
                    raise InvalidInput("floorline.exclude", name, fix)
            decision = self.router.route(
                chat.messages,
                self.sla_for(chat.sla, caller),
                floor=options.floor,
                input_tokens=chat.input_tokens,
                needs=chat.needs,
                exclude=self._excluded(chat, [*options.exclude, *exclude]),
                at=at,
                context=context,
            )
            for model in decision.called:
                # A policy that explores may want several answers; users get, and pay for, one.
                if model != decision.model:
                    self.router.outcome(decision.id, model=model, cost=0.0, error=UNASKED, at=at)
        self.metrics.decided(time.perf_counter() - began)
        if self.settings.store.store_prompts:
            self.store.append_prompt(decision.id, bytes(chat.fields["messages"]))
        return decision

    def _excluded(self, chat: ChatBody, barred: list[str]) -> list[str]:
        """Models barred by the caller, by the length of the answer and by their state."""
        zoo = self.router.zoo
        if chat.reserve and zoo.limited:
            needed = chat.input_tokens + chat.reserve
            barred += [m.name for m in zoo.models if needed > (m.context_window or needed)]
        blocked = self.upstreams.blocked()
        if not blocked:
            return barred
        # If nothing else is left, one that is blocked may tell how long to wait.
        left = set(zoo.names) - set(barred) - set(blocked)
        return [*barred, *blocked] if left else barred

    async def call(
        self, decision: Decision, chat: ChatBody, incoming: Mapping[str, str]
    ) -> tuple[Answer, CallSpan]:
        """Send a chat request to the model that was decided on; ``incoming`` are its headers.

        Raises
        ------
        UpstreamError
            If no answer came; that is written down then, and nothing is charged for it.
        """
        provider = self._calls[decision.model]
        body = chat.with_fields(model=provider.model)
        span = self.telemetry.call(decision, provider, incoming, stream=chat.stream, content=body)
        try:
            answer = await self.upstreams.call(
                decision.model, body, stream=chat.stream, headers=span.headers
            )
        except UpstreamError as failure:
            self.router.outcome(decision.id, cost=0.0, error=str(failure), at=time.time())
            span.end(failure.kind, str(failure))
            raise
        except BaseException:
            self._abandon(decision)
            span.end("disconnected", LEFT)
            raise
        return answer, span

    def usage(self, decision: Decision, answer: Answer) -> Usage:
        """Tokens of an answer as its provider counted them, else as its length tells."""
        if answer.status >= 400:
            return Usage(0, 0)
        return answer.usage or estimate_usage(decision.input_tokens, answer.output_characters)

    def cost(self, decision: Decision, answer: Answer) -> float:
        """Cost of an answer in the zoo's unit."""
        if answer.status >= 400:
            return 0.0
        zoo = self.router.zoo
        if decision.model not in zoo:
            return decision.expected_cost
        return cost_of(zoo.models[zoo.index(decision.model)], self.usage(decision, answer))

    def settle(
        self,
        decision: Decision,
        answer: Answer,
        span: CallSpan,
        ended: Ended,
        error: str = "",
        content: bytes | None = None,
    ) -> None:
        """Write down what a call took, whether its answer went to its end or not."""
        usage = self.usage(decision, answer)
        cost = self.cost(decision, answer)
        self.router.outcome(
            decision.id,
            cost=cost,
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            latency=answer.total_s,
            error=error or None,
            at=time.time(),
            completion=answer.completion_id,
            estimated=usage.estimated,
        )
        if answer.completion_id is not None:
            self._completions[answer.completion_id] = decision.id
            if len(self._completions) > self.router.memory:
                self._completions.popitem(last=False)
        self.auth.charge(decision.key, cost)
        metrics = self.metrics
        metrics.request(decision.model, decision.sla, ended)
        metrics.retried(decision.model, answer.attempts - 1)
        metrics.call(
            decision.model,
            decision.sla,
            first_byte=answer.first_byte_s,
            total=answer.total_s,
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            cost=cost,
        )
        span.answered(
            status=answer.status,
            completion=answer.completion_id,
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            finish_reasons=answer.finish_reasons,
            cost=cost,
            content=content,
        )
        span.end(None if ended == "ok" else ended, error)

    def _abandon(self, decision: Decision) -> None:
        """Write down that the client left before the provider answered."""
        cost = decision.expected_cost
        self.router.outcome(decision.id, cost=cost, error=LEFT, at=time.time(), estimated=True)
        self.auth.charge(decision.key, cost)
        self.metrics.request(decision.model, decision.sla, "disconnected")

    async def remembered(self, id: str, caller: Caller) -> Decision:
        """Find the decision of a caller by its id or by its completion's, however old.

        Raises
        ------
        ApiError
            404 if there is none or it is another tenant's, 410 if it is too old for feedback.
        """
        find = self.router.find
        record = find(id) or find(self._completions.get(id, ""))
        decision = await self._recalled(id) if record is None else record.decision
        if decision is None or decision.tenant != caller.tenant:
            raise ApiError(
                404,
                f"there is no decision or completion {id!r} of yours: give the id of a completion, "
                "or the X-Floorline-Decision header that came with it",
                code="decision_not_found",
                param="id",
            )
        age = self.settings.feedback.max_age
        if time.time() - decision.at > age:
            raise ApiError(
                410,
                f"decision {decision.id} is older than {age / 86400:g} days: feedback comes too "
                "late",
                code="feedback_too_late",
                param="id",
            )
        if find(decision.id) is None:
            scores, keys = await asyncio.to_thread(self.store.feedback_of, decision.id)
            self.router.restore_decision(decision, scores, keys, at=time.time())
        return decision

    async def _recalled(self, id: str) -> Decision | None:
        # What was just appended may not be readable yet.
        await self.store.committed()
        return await asyncio.to_thread(self._look_up, id)

    def _look_up(self, id: str) -> Decision | None:
        decision = self.store.decision(id)
        if decision is None and (named := self.store.decision_of(id)) is not None:
            decision = self.store.decision(named)
        return decision

    async def save(self) -> None:
        """Write a snapshot, so that the next start need not fold the whole log."""
        router, store = self.router, self.store
        position = len(store)
        body = router.snapshot(decisions=False)
        oldest = next(iter(router.remembered), None)
        await store.committed(position)
        await asyncio.to_thread(store.write_snapshot, position, body, oldest)
        self._saved = position

    @property
    def unsaved(self) -> int:
        """Events since the last snapshot."""
        return len(self.store) - self._saved
