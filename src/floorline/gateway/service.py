"""The path of a chat request: decide which model serves, then call its provider."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from floorline.config.passed_headers import passed_on
from floorline.errors import BudgetExhausted, NoModelCanServe
from floorline.events import GATEWAY, NOT_CALLED, Decision, RequestContext
from floorline.gateway.active_config import ActiveConfig
from floorline.gateway.auth import Auth, Caller
from floorline.gateway.call_recorder import CallRecorder
from floorline.gateway.candidates import Candidates
from floorline.gateway.chat_request import ChatBody
from floorline.gateway.dialects.responses.item_memory import ItemMemory
from floorline.gateway.errors import ApiError
from floorline.gateway.key_costs import KeyCosts
from floorline.gateway.model_names import ModelNames
from floorline.gateway.observability.metrics import Metrics
from floorline.gateway.observability.spans import CallSpan, Telemetry
from floorline.gateway.readiness import Readiness
from floorline.gateway.replicas.session_recall import SessionRecall, has_earlier_turns
from floorline.gateway.request_views import NamedPath
from floorline.gateway.session_keys import request_prefixes
from floorline.gateway.translation import for_provider, stateful_field, untranslated
from floorline.gateway.upstreams import Answer, UpstreamError, Upstreams, UpstreamSettings
from floorline.router import Router
from floorline.stores.queued import QueuedStore

_OPERATIONS: dict[NamedPath, str] = {
    "": "chat",
    "/completions": "text_completion",
    "/embeddings": "embeddings",
}
"""What spans call a request, by its path."""
_WITH_PATHS = ("openai", "azure", "responses")
"""Kinds of providers that are called for more than answers."""
_ANTHROPIC_HEADERS = ("anthropic-version", "anthropic-beta")
"""Headers of clients that belong to a request that is passed on to Anthropic as it is."""


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
    sessions
        Looks up conversations that other replicas serve; None without replicas.

    Attributes
    ----------
    names : ModelNames
        Finds what the names in requests mean.
    candidates : Candidates
        Says what bars models from a request.
    """

    def __init__(
        self,
        config: ActiveConfig,
        router: Router,
        store: QueuedStore,
        upstreams: Upstreams,
        auth: Auth,
        recorder: CallRecorder,
        metrics: Metrics,
        telemetry: Telemetry,
        readiness: Readiness,
        sessions: SessionRecall | None = None,
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
        self._sessions = sessions
        # The last request whose conversation was looked up, so that it is hashed once.
        self._recalled: tuple[ChatBody, RequestContext] | None = None
        self.names = ModelNames(config, router)
        self.candidates = Candidates(router, upstreams, auth)
        self._items = ItemMemory(time.monotonic)

    async def recall_session(self, chat: ChatBody, caller: Caller) -> None:
        """Find out which model a conversation is on that another replica served, before ``decide``.

        It takes time only for a later turn of a conversation that is not known here.
        """
        if self._sessions is not None and chat.sla is not None and has_earlier_turns(chat.prompt):
            context = self._context(chat, caller, GATEWAY)
            await self._sessions.recall(context)
            self._recalled = chat, context

    def decide(
        self,
        chat: ChatBody,
        caller: Caller,
        *,
        exclude: Sequence[str] = (),
        after: str = "",
        call_by: str = GATEWAY,
        store_prompt: bool = True,
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
        store_prompt
            Whether the prompt may be stored, where the configuration says so.

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
        if chat.options.floors:
            raise ApiError(
                400,
                "floorline.floors is for /v1/preview: leave it out, or give floorline.floor",
                code="invalid_value",
                param="floorline.floors",
            )
        if chat.dialect != "openai":
            self._check_stateless(chat)
        began = time.perf_counter()
        at = self._router.clock()
        context = self._context(chat, caller, call_by, after)
        costs = self._key_costs(chat, caller)
        if chat.path and chat.sla is not None:
            raise self.names.needs_model(chat, caller)
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
        if store_prompt and self._config.settings.store.store_prompts:
            self._store.append_prompt(decision.id, chat.prompt_json)
        return decision

    def preview(self, chat: ChatBody, caller: Caller) -> list[Decision]:
        """Say who would answer a chat request at each of ``floorline.floors``.

        Nothing is logged, no money is reserved, and no model is called.

        Parameters
        ----------
        chat, caller
            The request, which names an SLA, and who sent it.

        Raises
        ------
        ApiError
            If there is no such SLA, or the key's budget holds no call.
        InvalidInput
            If no model can serve the request, or a floor is malformed.
        """
        options, at = chat.options, self._router.clock()
        given = () if options.floor is None else (options.floor,)
        sla = self.names.sla_for(chat.sla or "", caller, create=False)
        barred = self.candidates.bars(chat, caller, sla, (), self._key_costs(chat, caller), at)
        try:
            return self._router.preview(
                chat.prompt,
                sla.name,
                options.floors or given,
                input_tokens=chat.input_tokens,
                needs=chat.needs,
                exclude=barred.all,
                limits=chat.limits,
                at=at,
                context=self._context(chat, caller, GATEWAY),
            )
        except NoModelCanServe as error:
            raise self.candidates.refusal(chat, caller, sla, error, barred) from None

    def _check_stateless(self, chat: ChatBody) -> None:
        """Refuse a request that needs what one provider keeps, unless it names a model of it."""
        provider = self._config.calls.get(chat.model)
        own_ids = self._config.settings.completion_ids == "own"
        if provider is None or provider.dialect != chat.dialect or own_ids:
            refusal = stateful_field(chat, own_ids=own_ids)
            if refusal is not None:
                raise refusal

    def _check_path(self, chat: ChatBody) -> None:
        """Refuse a request for an endpoint that the provider of its model does not have."""
        kind = self._config.calls[chat.model].kind
        if kind not in _WITH_PATHS:
            raise ApiError(
                400,
                f"model is {chat.model!r}, whose provider of kind {kind} is not called at "
                f"{chat.path}: name a model of kind openai, azure or responses",
                code="invalid_value",
                param="model",
            )

    def _key_costs(self, chat: ChatBody, caller: Caller) -> KeyCosts | None:
        """What calls cost and what the key's budget has left; None without such a budget."""
        left = self._auth.left(caller.key)
        if left == math.inf:
            return None
        bounded = chat.limits.output_tokens is not None
        needed, largest = self._router.call_costs(chat.input_tokens, chat.limits)
        return KeyCosts(left, bounded, needed, largest)

    def _route(
        self,
        chat: ChatBody,
        caller: Caller,
        context: RequestContext,
        at: float,
        exclude: Sequence[str],
        costs: KeyCosts | None,
    ) -> Decision:
        """Let the policy decide among the models that the key's budget can pay."""
        sla = self.names.sla_for(chat.sla or "", caller)
        barred = self.candidates.bars(chat, caller, sla, exclude, costs, at)
        try:
            return self._router.route(
                chat.prompt,
                sla.name,
                floor=chat.options.floor,
                input_tokens=chat.input_tokens,
                needs=chat.needs,
                exclude=barred.all,
                limits=chat.limits,
                at=at,
                context=context,
            )
        except NoModelCanServe as error:
            raise self.candidates.refusal(chat, caller, sla, error, barred) from None
        except BudgetExhausted as error:
            limits = self.candidates.known({**error.limits, **barred.all}, caller)
            raise BudgetExhausted(error.sla, error.decision, limits) from None

    def _context(
        self, chat: ChatBody, caller: Caller, call_by: str, after: str = ""
    ) -> RequestContext:
        """Origin of a request, with its conversation where models have prices of cached tokens."""
        context = RequestContext(caller.tenant, caller.key, chat.session, after, call_by)
        if not self._router.zoo.caches:
            return context
        recalled, self._recalled = self._recalled, None
        if recalled is not None and recalled[0] is chat:
            known = recalled[1]
            return context._replace(prefixes=known.prefixes, head_tokens=known.head_tokens)
        hashes, head_tokens = request_prefixes(chat.prompt, chat.fields)
        return context._replace(prefixes=hashes, head_tokens=head_tokens)

    def _decide_directly(
        self,
        chat: ChatBody,
        caller: Caller,
        context: RequestContext,
        at: float,
        costs: KeyCosts | None,
    ) -> Decision:
        """Log the model that the client named; no policy decides."""
        zoo = self._router.zoo
        self.names.check_model(chat.model, caller)
        if chat.path:
            self._check_path(chat)
        if costs is not None:
            others = [name for name in zoo.names if name != chat.model]
            if not costs.fitting(zoo, others):
                raise self._auth.out_of_budget(context.key)
        return self._router.log_direct_call(
            chat.model, chat.prompt, input_tokens=chat.input_tokens, at=at, context=context
        )

    async def call(
        self,
        decision: Decision,
        chat: ChatBody,
        incoming: Mapping[str, str],
        trace: Mapping[str, str] | None = None,
    ) -> tuple[Answer, CallSpan]:
        """Send a chat request to the model that was decided on.

        Parameters
        ----------
        decision, chat
            The decision and its request.
        incoming
            Headers of the client's request, names in lower case.
        trace
            Trace context of the request's span; that of ``incoming`` by default.

        Raises
        ------
        UpstreamError
            If no answer came. The outcome is recorded then, at no cost.
        """
        try:
            provider = self._config.calls[decision.model]
            zoo = self._router.zoo
            model = zoo.models[zoo.index(decision.model)]
            body, conversation = for_provider(chat, model, provider)
            span = self._telemetry.call(
                decision,
                provider,
                incoming if trace is None else trace,
                stream=chat.stream,
                content=body,
                operation=_OPERATIONS[chat.path],
            )
        except UpstreamError as failure:
            self._recorder.uncalled(decision, failure)
            raise
        except BaseException as error:
            self._recorder.uncalled(
                decision, f"the call could not be prepared: {type(error).__name__}"
            )
            raise
        try:
            passed = _passed_headers(chat, provider, incoming)
            headers = {**passed, **span.headers} if passed else span.headers
            query = chat.query if chat.dialect == provider.dialect else ""
            own_id = decision.id if self._config.settings.completion_ids == "own" else ""
            answer = await self._upstreams.call(
                decision.model,
                body,
                stream=chat.stream,
                headers=headers,
                own_id=own_id,
                dialect=chat.dialect,
                query=query,
                conversation=conversation,
                path=chat.path,
            )
            if conversation is not None:
                answer.losses = conversation.losses
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

    def keep_items(self, decision: Decision, answer: Answer) -> None:
        """Keep the items of an answer that was translated into OpenAI's responses."""
        if answer.written is not None:
            self._items.keep(repr(decision.owner), answer.written().get("output", ()))

    def with_items(self, chat: ChatBody, caller: Caller) -> ChatBody:
        """Put the items that were kept in place of references to them.

        This comes before the decision, so that the items count in the size of the request.

        Raises
        ------
        ApiError
            413 if the items have more bytes than a body may have.
        """
        if chat.dialect != "responses" or b"item_reference" not in chat.prompt_json:
            return chat
        given = chat.values().get("input")
        limit = self._config.settings.server.max_body
        items = self._items.resolved(repr(caller.owner), given, limit)
        return chat if items == given else chat.with_input(items)

    async def ask(
        self, chat: ChatBody, path: str, incoming: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Send a request that costs nothing to another path of a model's provider.

        Parameters
        ----------
        chat
            The request; it names a model whose provider speaks its dialect.
        path
            Path below the endpoint.
        incoming
            Headers of the client's request, names in lower case.

        Returns
        -------
        tuple
            Status and body of the answer.

        Raises
        ------
        UpstreamError
            If no answer came.
        """
        provider = self._config.calls[chat.model]
        return await self._upstreams.ask(
            chat.model,
            untranslated(chat, provider.model),
            path,
            headers=_passed_headers(chat, provider, incoming),
            dialect=chat.dialect,
            query=chat.query,
        )


def _passed_headers(
    chat: ChatBody, provider: UpstreamSettings, incoming: Mapping[str, str]
) -> dict[str, str]:
    """Return the headers of a client that its request's provider gets."""
    names = provider.pass_headers
    if chat.dialect == provider.dialect == "anthropic":
        names = [*_ANTHROPIC_HEADERS, *names]
    return passed_on(names, incoming) if names else {}
