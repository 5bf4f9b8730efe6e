"""Public API: route requests, record outcomes and feedback, report the status of SLAs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.bounds import check_time
from floorline.core.features import Features, freeze, no_features
from floorline.core.ids import IdSource
from floorline.core.random import CounterRng
from floorline.encoders.base import Encoder, Prompt
from floorline.encoders.hashed import HashedNgrams
from floorline.encoders.messages import check_prompt
from floorline.errors import BudgetExhausted, InvalidInput, listed
from floorline.events import (
    NO_CONTEXT,
    Decision,
    Feedback,
    Judgement,
    Outcome,
    Recall,
    RequestContext,
    WarmStart,
    check_context,
    score_of,
)
from floorline.policies import History, Policy, Request, make_policy
from floorline.sla import SLA, check_slas
from floorline.state.budget_left import budget_left
from floorline.state.changing_state import ChangingState
from floorline.state.decisions import called_model, choose, decision_of, direct_decision
from floorline.state.eligibility import call_costs, expected_costs, limits_of
from floorline.state.event_log import EventLog, MemoryLog
from floorline.state.fold import Fold
from floorline.state.history import check_history, pack_history
from floorline.state.judge import Judge
from floorline.state.judge_calibration import Agreement, agreements_of
from floorline.state.previewing import preview
from floorline.state.requests import features_of, make_request, needed_tokens, tokens_of
from floorline.zoo import CallLimits, Zoo

_JUDGE_DRAWS = 0x1D6E << 32
"""Makes the draws for judges independent of the policy's under the same seed."""

_LOG_BYTES = 64 * 2**20
"""Size of the default log in bytes: about 11,000 requests with dense features of length 1,024, with
their outcomes and feedback. A longer log belongs in a durable store."""


class Router(ChangingState):
    """Routes requests to the cheapest model that keeps each SLA's floor.

    Every call that changes anything appends events to ``log`` and folds them. ``apply`` folds
    events that are in the log already, such as those after the last snapshot.

    Several threads may use one router: calls run one after another, in the order of the log.
    Encoders and judges run outside that order and must be safe to call from several threads; the
    built-in encoders are. Processes do not share a router. A fork gets a copy of its own, which is
    in order if no other thread used the router during the fork.

    Parameters
    ----------
    zoo
        Models that can serve.
    policy
        Name of a policy, or an instance that no other router uses.
    slas
        SLAs; the first one is the default of ``route``.
    encoder
        Turns prompts into features; hashed n-grams by default.
    seed
        Seed of all random choices.
    log
        Event log; by default in memory, with the latest events up to 64 MiB.
    memory
        Number of latest decisions that outcomes and feedback can still come for.
    clock
        Returns the present time in seconds, for calls without ``at``; Unix time by default.
    id_prefix
        Prefix of the ids of decisions. By default it is random, so that no other router, process
        or fork issues the same id. Give one only where runs must repeat exactly.

    Raises
    ------
    InvalidInput
        If there is no SLA, two SLAs have one name, an SLA names a model that the zoo lacks, or
        ``memory`` is below 1.

    Examples
    --------
    >>> from floorline import SLA, Model, Router, Zoo
    >>> zoo = Zoo([Model("small", output_price=0.4), Model("large", output_price=12.0)])
    >>> router = Router(zoo, slas=[SLA("gold", floor=0.9)], seed=1)
    >>> decision = router.route("Explain CRDTs", sla="gold")
    >>> decision.model in zoo.names
    True
    >>> _ = router.outcome(decision.id, cost=0.0001, output_tokens=180)
    >>> router.feedback(decision.id, satisfied=True), router.feedback(decision.id, satisfied=True)
    (True, False)
    >>> router.status("gold").satisfaction
    1.0
    """

    def __init__(
        self,
        zoo: Zoo,
        policy: str | Policy = "primal_dual",
        slas: Sequence[SLA] = (),
        *,
        encoder: Encoder | None = None,
        seed: int = 0,
        log: EventLog | None = None,
        memory: int = 50_000,
        clock: Callable[[], float] = time.time,
        id_prefix: str | None = None,
    ) -> None:
        check_slas(slas, zoo)
        if memory < 1:
            raise InvalidInput("memory", memory, "give a number of decisions of 1 or more")
        encoder = HashedNgrams() if encoder is None else encoder
        built = make_policy(policy) if isinstance(policy, str) else policy
        fold = Fold(built, zoo, slas, encoder.dim, memory=memory)
        log = MemoryLog(_LOG_BYTES) if log is None else log
        super().__init__(fold, log, encoder, seed, IdSource(id_prefix))
        self.clock = clock
        self._rng = CounterRng(seed)
        self._judge_rng = CounterRng(seed ^ _JUDGE_DRAWS)

    def call_costs(
        self, input_tokens: int, limits: CallLimits
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(M,) each: what a budget needs to have left for a call, and its largest cost."""
        with self._lock:
            return call_costs(self.zoo, expected_costs(self._fold, input_tokens), limits)

    def budget_left(
        self, sla: str | None = None, *, at: float | None = None
    ) -> NDArray[np.float64]:
        """(M,) cost that each model may still cause under an SLA's budget at time ``at``.

        In the zoo's cost unit, in zoo order; infinity where no budget bounds a model. Costs of
        open calls count at their estimates. The first SLA and the present time by default.
        """
        when = self._time(at)
        with self._lock:
            agreement = self._fold.sla(sla)
            return budget_left(self._fold, agreement, when)

    def route(
        self,
        prompt: Prompt | None = None,
        sla: str | None = None,
        *,
        floor: float | None = None,
        features: Features | None = None,
        input_tokens: int | None = None,
        needs: Iterable[str] = (),
        exclude: Iterable[str] = (),
        limits: CallLimits | None = None,
        id: str | None = None,
        at: float | None = None,
        context: RequestContext = NO_CONTEXT,
    ) -> Decision:
        """Decide which model serves a request.

        A budget reserves what the call can cost at most (``limits``) until its outcome, so that
        calls at the same time cannot exceed it together. Without ``limits`` it reserves the
        expected cost, so that calls which cost more than expected may exceed it a little.

        Parameters
        ----------
        prompt
            Text or chat messages; None if ``features`` are given.
        sla
            Name of the SLA; the first one by default.
        floor
            Floor τ in [0, 1] for this request instead of the SLA's.
        features
            Features (dim,) instead of the prompt's.
        input_tokens
            Number of tokens of the prompt. By default a quarter of its characters, and at least
            1,024 for each image, recording, video and file.
        needs, exclude
            Capabilities that a model must have; names of models that must not serve. A mapping from
            such names says in its values why, for the decision's explanation.
        limits
            Upper bounds of the call's tokens. A model serves only if its largest cost fits into
            the budget, or its expected cost where ``limits`` does not bound the answer.
        id
            Id of the decision; a new one by default.
        at
            Time in seconds; the present time of ``clock`` by default.
        context
            Tenant, key and conversation of the request. Where models have prices of cached tokens,
            the cost of each model depends on what its provider has cached of the conversation.
            Otherwise a conversation with a name (``session``) stays on the model that served it
            within the last hour, unless that would keep the SLA below its floor.

        Raises
        ------
        InvalidInput
            If an argument breaks its rules or no model can serve the request (``NoModelCanServe``,
            whose text says of each model why).
        InvalidChoice
            If the policy's choice breaks its rules.
        BudgetExhausted
            If the cost of no model that can serve fits into the rest of the SLA's budget.
        """
        when = self._time(at)
        x = features_of(self.encoder, prompt, features)
        tokens = tokens_of(prompt, input_tokens)
        needs = frozenset(needs)
        # An empty one, as nearly all are, need not be looked at twice.
        if not (exclude and isinstance(exclude, Mapping)):
            exclude = frozenset(exclude)
        with self._lock:
            request = make_request(
                self._fold,
                sla,
                x,
                tokens,
                floor=floor,
                needs=needs,
                exclude=exclude,
                at=when,
                limits=limits,
                context=check_context(context),
            )
            (decision,) = self._decide([request], [id], when, context)
            if decision.declined:
                agreement = self._fold.sla(request.sla)
                needed = needed_tokens(tokens, limits)
                bars = limits_of(self._fold, agreement, needed, needs, exclude, request)
                raise BudgetExhausted(request.sla, decision.id, bars)
        return decision

    def preview(
        self,
        prompt: Prompt | None = None,
        sla: str | None = None,
        floors: Sequence[float] = (),
        *,
        features: Features | None = None,
        input_tokens: int | None = None,
        needs: Iterable[str] = (),
        exclude: Iterable[str] = (),
        limits: CallLimits | None = None,
        at: float | None = None,
        context: RequestContext = NO_CONTEXT,
    ) -> list[Decision]:
        """Say who would answer a request at each floor; nothing is logged and nothing changes.

        Each decision is what ``route`` would return now at that floor, without an id; a request
        that the budget cannot pay for is ``declined``. Exploration is drawn as for ``route``.

        Parameters
        ----------
        floors
            Floors in [0, 1], at most 101; by default that of the SLA only.
        prompt, sla, features, input_tokens, needs, exclude, limits, at, context
            As for ``route``.

        Raises
        ------
        InvalidInput
            If an argument breaks its rules or no model can serve the request.

        Examples
        --------
        >>> from floorline import SLA, Model, Router, Zoo
        >>> zoo = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])
        >>> router = Router(zoo, slas=[SLA("gold", floor=0.9)], seed=1)
        >>> [decision.model for decision in router.preview("Explain CRDTs", floors=[0.1, 0.99])]
        ['small', 'large']
        """
        when = self._time(at)
        x = features_of(self.encoder, prompt, features)
        tokens = tokens_of(prompt, input_tokens)
        check_context(context)
        needs = frozenset(needs)
        with self._lock:
            number = self._fold.decisions_ + 1
            return preview(
                self._fold,
                sla,
                x,
                tokens,
                lambda: self._rng.at(number),
                floors=floors or [self._fold.sla(sla).floor],
                needs=needs,
                exclude=exclude if isinstance(exclude, Mapping) else frozenset(exclude),
                limits=limits,
                at=when,
                context=context,
            )

    def request(
        self,
        prompt: Prompt | None = None,
        sla: str | None = None,
        *,
        floor: float | None = None,
        features: Features | None = None,
        input_tokens: int | None = None,
        needs: Iterable[str] = (),
        exclude: Iterable[str] = (),
        limits: CallLimits | None = None,
        at: float | None = None,
        context: RequestContext = NO_CONTEXT,
    ) -> Request:
        """Build a request for ``decide``; arguments and errors as for ``route``."""
        when = self._time(at)
        x = features_of(self.encoder, prompt, features)
        tokens = tokens_of(prompt, input_tokens)
        with self._lock:
            return make_request(
                self._fold,
                sla,
                x,
                tokens,
                floor=floor,
                needs=needs,
                exclude=exclude,
                at=when,
                limits=limits,
                context=check_context(context),
            )

    def decide(
        self,
        requests: Sequence[Request],
        *,
        ids: Sequence[str | None] | None = None,
        at: float | None = None,
        context: RequestContext = NO_CONTEXT,
    ) -> list[Decision]:
        """Decide on several requests at once, for policies that plan batches.

        A request that no model serves, because the policy declines or the budget is exhausted,
        gets a decision that is ``declined``; it is logged and counted like any other.

        Raises
        ------
        InvalidInput
            If a decision of such an id is remembered, or a request was made for another zoo.
        InvalidChoice
            If a choice of the policy breaks its rules.
        """
        when = self._time(at)
        names = [None] * len(requests) if ids is None else ids
        with self._lock:
            return self._decide(requests, names, when, context)

    def _decide(
        self,
        requests: Sequence[Request],
        ids: Sequence[str | None],
        at: float,
        context: RequestContext,
    ) -> list[Decision]:
        check_context(context)
        for id in ids:
            if id is not None and (self._fold.remembered(id) or ids.count(id) > 1):
                raise InvalidInput("id", id, "give every decision its own id")
        choices = choose(self._fold, requests, self._rng.at(self._fold.decisions_ + 1))
        decisions = []
        for request, choice, id in zip(requests, choices, ids, strict=True):
            name = self._new_id(id)
            decisions.append(decision_of(self._fold, request, choice, name, at=at, context=context))
            self._append(decisions[-1])
        return decisions

    def log_direct_call(
        self,
        model: str,
        prompt: Prompt,
        *,
        input_tokens: int | None = None,
        id: str | None = None,
        at: float | None = None,
        context: RequestContext = NO_CONTEXT,
    ) -> Decision:
        """Log a request whose caller named the model; no SLA counts it and no policy learns of it.

        The prompt is encoded only for a policy that learns from histories, of which the log can be
        one. Other decisions of this kind have no features.

        Raises
        ------
        InvalidInput
            If the zoo has no such model or an argument breaks its rules.
        """
        when = self._time(at)
        if "history" in self.policy.needs:
            x = freeze(self.encoder.encode(prompt))
        else:
            check_prompt(prompt)
            x = no_features(self.encoder.dim)
        tokens = tokens_of(prompt, input_tokens)
        check_context(context)
        with self._lock:
            self.zoo.index(model)
            made = direct_decision(
                self._fold, model, x, tokens, self._new_id(id), at=when, context=context
            )
            self._append(made)
        return made

    def outcome(
        self,
        decision: str,
        *,
        cost: float,
        model: str | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        latency: float | None = None,
        first_token: float | None = None,
        error: str | None = None,
        at: float | None = None,
        completion: str | None = None,
        estimated: bool = False,
        billed: bool = False,
    ) -> bool:
        """Record the measured result of a call; see ``Outcome`` for the arguments.

        ``model`` is the served one by default. Returns False if the call has an outcome already;
        nothing changes then.

        Raises
        ------
        UnknownDecision
            If the decision is not, or no longer, remembered.
        InvalidInput
            If a value breaks its rules.
        """
        when = self._time(at)
        with self._lock:
            called = called_model(self._fold, decision, model)
            owner = self._fold.record(decision).decision.owner
            return self._append(
                Outcome(
                    decision=decision,
                    model=called,
                    cost=cost,
                    input_tokens=input_tokens,
                    output_tokens=output_tokens,
                    cached_tokens=cached_tokens,
                    cache_write_tokens=cache_write_tokens,
                    latency=latency,
                    first_token=first_token,
                    error=error,
                    at=when,
                    completion=completion,
                    estimated=estimated,
                    billed=billed,
                    tenant=owner.tenant,
                    key=owner.key,
                )
            )

    def feedback(
        self,
        decision: str,
        satisfied: bool | int | np.bool_ | None = None,
        *,
        score: float | None = None,
        model: str | None = None,
        source: str = "user",
        at: float | None = None,
        key: str = "",
    ) -> bool:
        """Record a label of a response; see ``Feedback`` for the arguments.

        Give ``satisfied`` (a bool, 0 or 1) or a ``score`` from 0 to 1. A later, different score
        for the same response replaces the earlier one, unless its ``key`` is that of an earlier
        message: then it is that message sent again. ``model`` is the served one by default.
        Returns False if the label is known already; nothing changes then.

        Raises
        ------
        UnknownDecision
            If the decision is not, or no longer, remembered.
        InvalidInput
            If a value breaks its rules.
        """
        if (satisfied is None) == (score is None):
            given = {"satisfied": satisfied, "score": score}
            raise InvalidInput("feedback", given, "give one of the two")
        label = score_of(satisfied) if score is None else score
        when = self._time(at)
        with self._lock:
            called = called_model(self._fold, decision, model)
            weight, influence = self._label_weights(decision, called)
            return self._append_label(
                Feedback(
                    decision=decision,
                    model=called,
                    score=label,
                    source=source,
                    at=when,
                    key=key,
                    weight=weight,
                    influence=influence,
                )
            )

    def judgement(
        self,
        decision: str,
        judge: str,
        score: float | None = None,
        *,
        failure: str = "",
        rate: float | None = None,
        model: str | None = None,
        source: str = "judge",
        cost: float = 0.0,
        call: str = "",
        at: float | None = None,
    ) -> bool:
        """Record what a judge says of a response; see ``Judgement`` for the arguments.

        ``model`` is the served one by default. Of one response, the first judgement of a judge
        counts; returns False for another one, and nothing changes then.

        Raises
        ------
        UnknownDecision
            If the decision is not, or no longer, remembered.
        InvalidInput
            If a value breaks its rules.
        """
        when = self._time(at)
        with self._lock:
            record = self._fold.record(decision)
            made = Judgement(
                decision=decision,
                model=record.decision.model if model is None else model,
                judge=judge,
                score=score,
                failure=failure,
                rate=rate,
                source=source,
                cost=cost,
                call=call,
                at=when,
            )
            return self._append(made)

    def judge_agreements(self) -> list[Agreement]:
        """Compare each judge with the users, on all models and on each one."""
        with self._lock:
            return agreements_of(self._fold.judges_.judges_)

    def _label_weights(self, decision: str, model: str) -> tuple[float, float]:
        """Weight and influence of a label that comes now; the caller holds the lock."""
        return self._fold.label_weights(decision, model)

    def restore_decision(
        self,
        decision: Decision,
        scores: Mapping[str, float] | None = None,
        keys: Iterable[str] = (),
        weights: Mapping[str, tuple[float, float]] | None = None,
        judged: Mapping[str, Mapping[str, float | None]] | None = None,
        unseen: Mapping[str, Iterable[str]] | None = None,
        *,
        at: float | None = None,
    ) -> bool:
        """Remember a forgotten decision of this log again, so that late feedback finds it.

        ``scores`` are the latest scores by model name, ``keys`` the keys of the feedback so far,
        ``weights`` the weights of its labels, ``judged`` what judges said and ``unseen`` what they
        did not see, as ``Recall`` has them.
        Returns False if the decision is still remembered; nothing changes then.
        """
        when = self._time(at)
        with self._lock:
            if self._fold.remembered(decision.id):
                return False
            return self._append(
                Recall(
                    decision=decision,
                    scores=dict(scores or {}),
                    keys=tuple(keys),
                    weights=dict(weights or {}),
                    judged={judge: dict(said) for judge, said in (judged or {}).items()},
                    unseen={judge: tuple(models) for judge, models in (unseen or {}).items()},
                    at=when,
                )
            )

    def judge_response(
        self, judge: Judge, decision: str, response: str = "", *, at: float | None = None
    ) -> bool:
        """Let a judge label the served response, if it is drawn and has no label.

        The draw depends on the seed and the decision's number only. A judge whose cost does not fit
        into the rest of the SLA's total budget is not asked. Returns whether the judge labelled the
        response.

        Raises
        ------
        UnknownDecision
            If the decision is not, or no longer, remembered.
        InvalidInput
            If the judge's score breaks its rules.
        """
        when = self._time(at)
        with self._lock:
            record = self._fold.record(decision)
            made = record.decision
            drawn = self._judge_rng.at(made.seq).random() < judge.rate
            if made.declined or made.model in record.scores or not drawn:
                return False
            ledger = self._fold.ledger(made)
            if ledger is not None:
                if judge.cost > ledger.total_left(self._fold.slas_[made.sla], when):
                    return False
                ledger.hold_judge(judge.cost)
        try:
            score = judge.score(made, response)
        except BaseException:
            with self._lock:
                if ledger is not None:
                    ledger.release_judge(judge.cost)
            raise
        with self._lock:
            if ledger is not None:
                ledger.release_judge(judge.cost)
            # Meanwhile a user may have labelled the response, or the decision may be forgotten.
            if made.model in self._fold.record(decision).scores:
                return False
            weight, influence = self._label_weights(decision, made.model)
            return self._append_label(
                Feedback(
                    decision=decision,
                    model=made.model,
                    score=score,
                    source="judge",
                    cost=judge.cost,
                    at=when,
                    weight=weight,
                    influence=influence,
                )
            )

    def warm_start(
        self,
        history: History,
        *,
        models: Sequence[str] | None = None,
        source: str = "",
        at: float | None = None,
    ) -> bool:
        """Let the policy learn labelled requests from before.

        The log keeps the history as a compressed artefact, so that a fold of the log alone gives
        the same state. Returns False if the policy learned the same history already; nothing
        changes then.

        Parameters
        ----------
        history
            Features, quality, cost and tokens of the requests.
        models
            Names of the models of its columns; the zoo's by default. Columns of models that the
            zoo lacks are not learned.
        source
            Where the history comes from, such as the name of a file; for readers of the log.
        at
            Time in seconds; the present time of ``clock`` by default.

        Raises
        ------
        InvalidInput
            If shapes do not fit the zoo and the encoder, or a value is out of its range.
        """
        when = self._time(at)
        names = self.zoo.names if models is None else tuple(models)
        check_history(history, len(names), self.encoder.dim)
        packed = pack_history(history, names)
        with self._lock:
            if not set(names) & set(self.zoo.names):
                fix = "name a model of the zoo: " + listed(self.zoo.names)
                raise InvalidInput("models", names, fix)
            if packed.digest in self._fold.warm_starts_:
                return False
            return self._append(
                WarmStart(
                    digest=packed.digest,
                    rows=len(history.features),
                    source=source,
                    at=when,
                    history=packed.body,
                )
            )

    def _time(self, at: float | None) -> float:
        return check_time("at", self.clock() if at is None else at)
