"""The path of a chat request: decide which model serves, then call its provider."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.errors import (
    BudgetExhausted,
    InvalidInput,
    NoModelCanServe,
    abbreviated,
    closest_name,
    did_you_mean,
    listed,
    shown_limits,
)
from floorline.events import GATEWAY, Decision, RequestContext
from floorline.gateway.active_config import ActiveConfig
from floorline.gateway.auth import Auth, Caller
from floorline.gateway.call_recorder import CallRecorder
from floorline.gateway.chat_request import ROUTED, ChatBody
from floorline.gateway.errors import ApiError
from floorline.gateway.observability.metrics import Metrics
from floorline.gateway.observability.spans import CallSpan, Telemetry
from floorline.gateway.readiness import Readiness
from floorline.gateway.tenants import split_tenant, tenant_sla
from floorline.gateway.upstreams import Answer, UpstreamError, Upstreams
from floorline.router import Router
from floorline.sla import SLA
from floorline.state.eligibility import unable
from floorline.stores.sql import SqlStore
from floorline.zoo import Model, Zoo

MAX_TENANT_SLAS = 1_000
"""Most SLAs that tenants have of their own: each takes about 30 kB of memory and of a snapshot."""
NOT_CALLED = "the gateway calls only the model that serves"
"""Error in the outcome of a call that a policy wanted for exploration and that was not made."""
_AUTO, _PREFIX = "auto", ROUTED[:-1]
_OPEN = "circuit breaker open: its provider keeps failing"
_FULL = "all its places are taken (max_concurrency)"
_BLOCKED = frozenset({_OPEN, _FULL})
"""What bars a model whose call would be refused at once."""
_BLOCKED_RETRY_SECONDS = 5.0
"""Seconds after which a request is worth sending again whose only able models are blocked."""


class _KeyCosts(NamedTuple):
    """What a key's budget has left, and ``Router.call_costs``.

    ``bounded`` says whether the request bounds its answer, so that the largest cost is certain.
    """

    left: float
    bounded: bool
    needed: NDArray[np.float64]
    largest: NDArray[np.float64]

    def too_dear(self, zoo: Zoo, barred: Collection[str]) -> dict[str, str]:
        """Return what the budget lacks for each model that is not barred by another cause."""
        fitting = self.fitting(zoo, barred)
        return {
            name: f"a call needs {self.needed[zoo.index(name)]:.6g} of the API key's budget, and "
            f"{max(0.0, self.left):.6g} is left"
            for name in zoo.names
            if name not in barred and name not in fitting
        }

    def fitting(self, zoo: Zoo, excluded: Collection[str] = ()) -> list[str]:
        """Names of the models whose call the budget holds, of those that are not excluded.

        What is left is never too little for a request that does not bound its answer: if no
        expected cost fits, the cheapest model may serve, and all that is left is reserved.
        """
        # A budget that is spent holds no call, also none that is expected to be free.
        names = [] if self.left <= 0.0 else [name for name in zoo.names if name not in excluded]
        fit = [name for name in names if self.needed[zoo.index(name)] <= self.left]
        if fit or self.bounded or not names:
            return fit
        return [min(names, key=lambda name: float(self.needed[zoo.index(name)]))]

    def reserved(self, model: int) -> float:
        """What to reserve for a call: its largest cost, or all that is left if that is less."""
        return min(float(self.largest[model]), self.left)


class ChatService:
    """Decides on chat requests and calls the chosen models.

    All methods run on the event loop's thread, which is the only one that uses the router.

    Parameters
    ----------
    config
        Settings in force, and how providers are called.
    router, store, upstreams
        Decide, keep the log, call providers.
    auth
        Holds what a call can cost at most against the budget of the caller's key.
    recorder
        Records calls that got no answer; the caller records those that did.
    metrics, telemetry
        Measure decisions, trace calls.
    readiness
        Refuses requests while the log cannot be written.
    """

    def __init__(
        self,
        config: ActiveConfig,
        router: Router,
        store: SqlStore,
        upstreams: Upstreams,
        auth: Auth,
        recorder: CallRecorder,
        metrics: Metrics,
        telemetry: Telemetry,
        readiness: Readiness,
    ) -> None:
        self._config = config
        self._router = router
        self._store = store
        self._upstreams = upstreams
        self._auth = auth
        self._recorder = recorder
        self._metrics = metrics
        self._telemetry = telemetry
        self._readiness = readiness

    def decide(
        self,
        chat: ChatBody,
        caller: Caller,
        *,
        exclude: Sequence[str] = (),
        after: str = "",
        call_by: str = GATEWAY,
    ) -> Decision:
        """Decide which model serves a chat request, and append the decision to the log.

        The budgets of the SLA and of the key reserve what the call can cost at most.

        Parameters
        ----------
        chat, caller
            The request and who sent it.
        exclude
            Models that must not serve, beside those that the request excludes.
        after
            Id of the decision whose call failed, if this one replaces it.
        call_by
            Who calls the model: ``GATEWAY``, or ``CLIENT`` for a decision without a call.

        Raises
        ------
        ApiError
            If there is no such model or SLA, the key's budget holds no call, or the log cannot be
            written.
        InvalidInput
            If no model can serve the request, or its floor is malformed.
        BudgetExhausted
            If no model that can serve fits into the SLA's budget.
        """
        self._readiness.check_log()
        began = time.perf_counter()
        at = self._router.clock()
        context = RequestContext(caller.tenant, caller.key, chat.options.session, after, call_by)
        costs = self._key_costs(chat, caller)
        if chat.sla is None:
            decision = self._decide_directly(chat, caller, context, at, costs)
        else:
            decision = self._route(chat, caller, context, at, exclude, costs)
            for model in decision.called:
                # A policy may explore by several answers; a client gets, and pays for, one.
                if model != decision.model:
                    self._router.outcome(
                        decision.id, model=model, cost=0.0, error=NOT_CALLED, at=at
                    )
        if costs is not None:
            self._auth.hold(caller.key, decision.id, costs.reserved(decision.index))
        self._metrics.decided(time.perf_counter() - began)
        if self._config.settings.store.store_prompts:
            self._store.append_prompt(decision.id, bytes(chat.fields.get("messages", b"")))
        return decision

    def _key_costs(self, chat: ChatBody, caller: Caller) -> _KeyCosts | None:
        """What calls cost and what the key's budget has left; None without such a budget."""
        left = self._auth.left(caller.key)
        if left == math.inf:
            return None
        bounded = chat.limits.output_tokens is not None
        needed, largest = self._router.call_costs(chat.input_tokens, chat.limits)
        return _KeyCosts(left, bounded, needed, largest)

    def _route(
        self,
        chat: ChatBody,
        caller: Caller,
        context: RequestContext,
        at: float,
        exclude: Sequence[str],
        costs: _KeyCosts | None,
    ) -> Decision:
        """Let the policy decide among the models that the key's budget can pay."""
        sla = self._sla_for(chat.sla or "", caller)
        zoo, bars = self._router.zoo, self._excluded(chat, caller, exclude, sla)
        dear: dict[str, str] = {}
        if costs is not None:
            barred = self._unable(chat, sla, bars)
            dear = costs.too_dear(zoo, barred)
            if dear and len(dear) + len(barred) == len(zoo):
                raise self._out_of_budget(caller, {**barred, **bars, **dear})
        try:
            return self._router.route(
                chat.prompt,
                sla.name,
                floor=chat.options.floor,
                input_tokens=chat.input_tokens,
                needs=chat.needs,
                exclude=[*bars, *dear],
                limits=chat.limits,
                at=at,
                context=context,
            )
        except NoModelCanServe as error:
            # What no time changes comes first.
            lasting = self._unable(chat, sla, chat.options.exclude)
            limits = {**error.limits, **bars, **dear, **lasting}
            if dear:
                # Those that could serve it cost more than the key has left.
                raise self._out_of_budget(caller, limits) from error
            raise self._no_model(chat, caller, limits) from None
        except BudgetExhausted as error:
            limits = _known({**error.limits, **bars, **dear}, caller)
            raise BudgetExhausted(error.sla, error.decision, limits) from None

    def _unable(self, chat: ChatBody, sla: SLA, exclude: Collection[str]) -> dict[str, str]:
        """Return what bars each model that cannot serve a request at any time."""
        tokens = chat.input_tokens + chat.reserve
        return unable(self._router.zoo, sla, tokens, chat.needs, exclude)

    def _no_model(
        self, chat: ChatBody, caller: Caller, limits: Mapping[str, str]
    ) -> ApiError | NoModelCanServe:
        """Error of a request that no model can serve; it names only models that the key may."""
        known = _known(limits, caller)
        if not _BLOCKED.isdisjoint(limits.values()):
            return ApiError(
                503,
                f"no model can serve the request now{shown_limits(known)}: send it again later",
                code="no_model_available",
                retry_after=_BLOCKED_RETRY_SECONDS,
            )
        asked = {"input_tokens": chat.input_tokens, "max_tokens": chat.reserve}
        return NoModelCanServe(asked | {"needs": sorted(chat.needs)}, known)

    def _out_of_budget(self, caller: Caller, bars: Mapping[str, str]) -> ApiError:
        error = self._auth.out_of_budget(caller.key)
        text = error.text + shown_limits(_known(bars, caller))
        return ApiError(error.status, text, code=error.code, headers=error.headers)

    def _decide_directly(
        self,
        chat: ChatBody,
        caller: Caller,
        context: RequestContext,
        at: float,
        costs: _KeyCosts | None,
    ) -> Decision:
        """Log the model that the client named; no policy decides."""
        zoo = self._router.zoo
        if chat.model not in zoo or not caller.may_call(chat.model):
            known = [name for name in zoo.names if caller.may_call(name)]
            fix = f"name one of {listed(known)}, or an SLA as" if known else "name an SLA as"
            raise ApiError(
                404,
                f"there is no model {abbreviated(chat.model)}: "
                f"{self._suggestion(chat.model, caller)}{fix} {ROUTED}NAME",
                code="model_not_found",
                param="model",
            )
        if costs is not None:
            others = [name for name in zoo.names if name != chat.model]
            if not costs.fitting(zoo, others):
                raise self._auth.out_of_budget(context.key)
        return self._router.log_direct_call(
            chat.model, chat.prompt, input_tokens=chat.input_tokens, at=at, context=context
        )

    def _sla_for(self, name: str, caller: Caller) -> SLA:
        """Find the SLA that a caller asks for, or their tenant's own one.

        ``name`` is "" for the default: the first SLA of the key's list, else of the settings.
        """
        slas = self._router.slas
        if not name:
            name = caller.slas[0] if caller.slas else next(iter(slas))
        if name not in slas or split_tenant(name)[1] or not caller.may_use(name):
            known = self._usable_slas(caller)
            raise ApiError(
                404,
                f"there is no SLA {abbreviated(name)}: {self._suggestion(name, caller)}use one of "
                + listed([*(ROUTED + n for n in known), f"{ROUTED}auto"]),
                code="model_not_found",
                param="model",
            )
        if not caller.tenant or name not in self._config.settings.per_tenant_slas:
            return slas[name]
        own = tenant_sla(slas[name], caller.tenant)
        if own.name not in slas:
            if sum(split_tenant(other)[1] != "" for other in slas) >= MAX_TENANT_SLAS:
                raise ApiError(
                    403,
                    f"the gateway keeps {MAX_TENANT_SLAS:,} SLAs of single tenants already: "
                    "its operator must remove tenants, or per_tenant in floorline.yaml",
                    code="too_many_tenants",
                )
            self._router.set_sla(own)
            return own
        return slas[own.name]

    def _usable_slas(self, caller: Caller) -> list[str]:
        """SLAs that a caller may name, without those of single tenants."""
        return [n for n in self._router.slas if not split_tenant(n)[1] and caller.may_use(n)]

    def _suggestion(self, asked: str, caller: Caller) -> str:
        """Question for the model or the SLA that a caller probably meant; "" for none.

        Only names that the caller may use count, so it does not show which others there are.
        """
        # "Floorline:gold", "floorlin/gold" and "gold" are all meant for an SLA.
        _, _, name = asked.rpartition("/")
        if name.lower().startswith(_PREFIX):
            name = name[len(_PREFIX) :].strip("-_:. ")
        models = [n for n in self._router.zoo.names if caller.may_call(n)]
        slas = [*self._usable_slas(caller), _AUTO]
        model = "" if name in slas else closest_name(asked.removeprefix(ROUTED), models)
        sla = name if name in slas else closest_name(name, slas)
        if model or sla:
            return f"did you mean {listed([model or ROUTED + sla])}? "
        return ""

    def _block(self, model: str, needed: int) -> str:
        """Return why a call of a model would be refused now."""
        if self._upstreams.health()[model].breaker != "closed":
            return _OPEN
        if model in self._upstreams.windows.refused_by(needed):
            return f"its provider refused a request of {needed:,} tokens or less as too long"
        return _FULL

    def _excluded(
        self, chat: ChatBody, caller: Caller, tried: Sequence[str], sla: SLA
    ) -> dict[str, str]:
        """Return what bars models by the request, by earlier attempts or by their state.

        Context windows and capabilities are the router's to check. A key that may not name all
        models cannot find out by an error which ones there are.
        """
        zoo = self._router.zoo
        for name in chat.options.exclude:
            if name not in zoo and caller.models is None:
                fix = did_you_mean(name, zoo.names) + "name models of " + listed(zoo.names)
                raise InvalidInput("floorline.exclude", name, fix)
        bars = dict.fromkeys(chat.options.exclude, "excluded by the request")
        bars |= dict.fromkeys(tried, "its call failed")
        needed = chat.input_tokens + chat.reserve
        blocked = self._upstreams.blocked(needed)
        if not blocked and not chat.prefers - chat.needs:
            return bars
        barred = self._unable(chat, sla, bars)
        able = [name for name in zoo.names if name not in barred and name not in blocked]
        lacking = [name for name in able if chat.prefers - zoo.models[zoo.index(name)].capabilities]
        if len(lacking) < len(able):
            # A model without tools would leave the results of earlier calls out of the prompt.
            bars |= dict.fromkeys(lacking, "lacks " + listed(sorted(chat.prefers)))
        if set(zoo.names) - set(bars) - set(blocked):
            bars = {**{name: self._block(name, needed) for name in blocked}, **bars}
        # If only blocked models are left, the error of the call has the seconds to wait.
        return bars

    def too_small(self, failed: Decision, failure: UpstreamError) -> list[str]:
        """Models that cannot serve a request that was too long for another: no larger window.

        A model whose window is not known may serve.

        Parameters
        ----------
        failed, failure
            The decision whose call failed, and how.
        """
        meaning = failure.meaning
        if meaning is None or meaning.reason != "context_length_exceeded":
            return []
        windows = {model.name: self._window(model) for model in self._router.zoo.models}
        refused = max(windows.get(failed.model) or 0, (meaning.requested or 1) - 1)
        return [name for name, window in windows.items() if window and window <= refused]

    def _window(self, model: Model) -> int | None:
        learned = self._upstreams.windows.tokens(model.name)
        known = [size for size in (model.context_window, learned) if size]
        return min(known, default=None)

    async def call(
        self, decision: Decision, chat: ChatBody, incoming: Mapping[str, str]
    ) -> tuple[Answer, CallSpan]:
        """Send a chat request to the model that was decided on.

        Parameters
        ----------
        decision, chat
            The decision and its request.
        incoming
            Headers of the client's request, names in lower case.

        Raises
        ------
        UpstreamError
            If no answer came. The outcome is recorded then, at no cost.
        """
        try:
            provider = self._config.calls[decision.model]
            body = chat.with_fields(model=provider.model)
            span = self._telemetry.call(
                decision, provider, incoming, stream=chat.stream, content=body
            )
        except BaseException as error:
            self._recorder.uncalled(
                decision, f"the call could not be prepared: {type(error).__name__}"
            )
            raise
        try:
            own_id = decision.id if self._config.settings.completion_ids == "own" else ""
            answer = await self._upstreams.call(
                decision.model, body, stream=chat.stream, headers=span.headers, own_id=own_id
            )
        except UpstreamError as failure:
            self._recorder.failed(decision, failure, span)
            if failure.meaning is not None and failure.meaning.teaches_window:
                needed = chat.input_tokens + chat.reserve
                self._upstreams.windows.learn(decision.model, needed, failure.meaning.window)
            raise
        except BaseException:
            # The client left: its request's task was cancelled.
            self._recorder.abandoned(decision, span)
            raise
        return answer, span


def _known(bars: Mapping[str, str], caller: Caller) -> dict[str, str]:
    """Those of the models that a caller may name."""
    return {name: limit for name, limit in bars.items() if caller.may_call(name)}
