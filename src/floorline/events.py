"""Events: immutable records of what happened; the state of a router is a fold of them."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.core.bounds import (
    MAX_COST,
    MAX_ERROR,
    MAX_LATENCY,
    MAX_NAME,
    MAX_SOURCE,
    MAX_TENANT,
    MAX_TIME,
    MAX_TOKENS,
    MIN_TIME,
    canonical_id,
    check_count,
    check_name,
    check_time,
    clean_text,
    is_name,
)
from floorline.core.display import html_table, show_number
from floorline.core.features import SparseFeatures, freeze
from floorline.core.snapshots import array_from_ext, pack
from floorline.errors import InvalidInput, check_number, check_one_of
from floorline.sla import SLA
from floorline.zoo import Zoo

DIRECT = "direct"
"""Policy name of decisions where the caller named the model."""
GATEWAY = "gateway"
"""``Decision.call_by`` where the gateway calls the model and measures the call."""
CLIENT = "client"
"""``Decision.call_by`` where the client calls the model itself and reports the outcome."""


RECOGNISED = "~"
"""Begins the name of a conversation that no one gave to Floorline: another header or field names
it, or its messages tell."""

_CALLERS = ("", GATEWAY, CLIENT)

DISCONNECTED = "the client disconnected"
"""Error in the outcome of a call whose client left before the end of the answer."""
UNREPORTED = "the client did not report the call within an hour"
"""Error in the outcome of a call after ``/v1/route`` that ``/v1/outcomes`` did not report."""
INTERRUPTED = "the gateway ended during the call"
"""Error in the outcome of a call that a stop of the gateway cut off before it was recorded."""
NOT_CALLED = "the gateway calls only the model that serves"
"""Error in the outcome of a call that a policy wanted for exploration and that was not made."""
REFUSED = "the provider answered "
"""Begin of the error in the outcome of a call that the provider refused because of the request. The
client gets the provider's own error, unless another model serves."""
UNTRANSLATED = "the request cannot be translated into the dialect "
"""Begin of the error in the outcome of a call that was not made because the model's provider speaks
another dialect, in which the request cannot be said."""


class Owner(NamedTuple):
    """Who a decision belongs to: its tenant, or its API key where there is no tenant.

    Conversations and ids of completions are names within an owner.

    Attributes
    ----------
    tenant
        The tenant; "" if there is none.
    key
        Id of the API key; "" if there is a tenant, because a tenant's keys share everything, or
        if there are no keys.
    """

    tenant: str = ""
    key: str = ""

    @staticmethod
    @lru_cache(maxsize=4096)
    def of(tenant: str, key: str) -> Owner:
        """Return the owner of what is done with a key of a tenant.

        Examples
        --------
        >>> Owner.of("acme", "k1"), Owner.of("", "k1")
        (Owner(tenant='acme', key=''), Owner(tenant='', key='k1'))
        """
        return Owner(tenant, "" if tenant else key)


class RequestContext(NamedTuple):
    """Origin of a request; its fields become those of the ``Decision``.

    Attributes
    ----------
    tenant, key : str
        Tenant and id of the API key; "" where there is none.
    session : str
        Name of the conversation that the request belongs to, within its owner; "" for none.
    after : str
        Id of the decision that this one replaces because its call failed; "" for none. The outcome
        of that call comes first: a later one counts as a further late request under a promise of
        latency.
    call_by : str
        Who calls the model: ``GATEWAY``, ``CLIENT`` or "" where it is not known.
    prefixes : tuple of str
        Hashes of the prefixes of the request's messages, the shortest first: of what comes before
        the first message, and of that with every message more. A request whose messages begin with
        those of an earlier one continues its conversation. Empty if they are not known.
    head_tokens : int
        Estimated tokens of the first of these prefixes.
    """

    tenant: str = ""
    key: str = ""
    session: str = ""
    after: str = ""
    call_by: str = ""
    prefixes: tuple[str, ...] = ()
    head_tokens: int = 0

    @property
    def owner(self) -> Owner:
        """Who the request belongs to."""
        return Owner.of(self.tenant, self.key)


NO_CONTEXT = RequestContext()


def check_context(context: RequestContext) -> RequestContext:
    """Return a context; InvalidInput if a field of it is no name within its bound."""
    tenant, key, session, after, call_by, prefixes, head_tokens = context
    try:
        names = tenant + key + session + after
        # Nearly all contexts: four texts that keep the bounds together.
        plain = len(names) <= MAX_TENANT and names.isascii() and names.isprintable()
    except TypeError:
        plain = False
    if not plain:
        check_name("RequestContext.tenant", tenant, MAX_TENANT)
        for field in ("key", "session", "after"):
            check_name(f"RequestContext.{field}", getattr(context, field))
    if call_by not in _CALLERS:
        check_one_of("RequestContext.call_by", call_by, _CALLERS)
    if prefixes:
        # The first and the last one get into the log.
        for prefix in (prefixes[0], prefixes[-1]):
            check_name("RequestContext.prefixes", prefix, empty=False)
        check_count("RequestContext.head_tokens", head_tokens)
    return context


def _check_at(event: Any) -> None:
    """Make the time of an event a float within its bounds; InvalidInput if it is none."""
    if not (type(event.at) is float and MIN_TIME <= event.at <= MAX_TIME):
        at = check_time(f"{type(event).__name__}.at", event.at)
        msgspec.structs.force_setattr(event, "at", at)


class Decision(msgspec.Struct, frozen=True, tag="decision", eq=False, kw_only=True):
    """One routed request.

    Attributes
    ----------
    id : str
        Unique name of the decision.
    seq : int
        Number among all decisions of the router, from 1.
    sla : str
        Name of the SLA that the request asked for; "" where the caller named the model.
    floor : float
        Floor τ in [0, 1] that held for this request.
    model : str
        Name of the served model; "" if the request was declined.
    index : int
        Position of the served model in ``models``; −1 if the request was declined.
    called : tuple of str
        Names of all models whose call is paid, the served one first; more than one where the
        policy explores by querying others, or served a later answer of a cascade.
    models : tuple of str
        Names of the M models of the zoo at the time; arrays over models follow this order.
    propensities : ndarray (M,)
        Probability with which the policy serves each model. What they lack to 1 is the probability
        that it declines the request.
    explored : bool
        Whether the policy chose the model to explore.
    quality_estimates : ndarray (M,)
        Estimated quality q̂ in [0, 1] of each model's response; NaN where nothing is estimated.
        ``quality`` has them by name.
    cost_estimates : ndarray (M,)
        Estimated cost ĉ of one call to each model, in the zoo's cost unit. ``cost`` has them by
        name.
    features : ndarray (dim,) or SparseFeatures
        Features of the request.
    input_tokens : int
        Number of tokens of the prompt.
    policy : str
        Name of the policy; ``DIRECT`` where the caller named the model.
    at : float
        Time of the decision in seconds of the router's clock (Unix time by default).
    tenant, key, session : str
        Tenant, id of the API key and conversation of the request; "" where there is none. A
        name that begins with ``RECOGNISED`` was not given to Floorline.
    prefix, follows, head : str
        Hash of the request's messages, of those of the request that it continues, and of what comes
        before its first message; "" where there is none or it is not known.
    head_tokens : int
        Estimated tokens of ``head``.
    conversation_turns : float
        Mean number of turns, at the time of the decision, of the conversation that a turn belongs
        to; 1 outside of conversations. Labels of one conversation tell less than as many others.
    after : str
        Id of the decision that this one replaces because its call failed; "" if there is none.
    call_by : str
        Who calls the model: ``GATEWAY``, ``CLIENT`` or "" where it is not known. Only a gateway's
        own call is certain to get an outcome, so it is remembered until then.
    reserved : tuple of float
        Cost that the budget of the SLA reserves for each of the ``called`` models until its
        outcome, in the zoo's cost unit; empty where these are the expected costs.
    prediction : ndarray (M,), optional
        What the policy's estimator predicted for this request, before the policy adjusted it to
        ``quality_estimates``; None where the policy carries none.
    added_cost : ndarray (M,), optional
        What serving each model costs beside ``cost_estimates``, by which the policy chose too: what
        it leaves to the later turns of the conversation, and the price of being late. None for
        nothing.
    rule : str
        Which part of the policy decided, such as ``"static mix"``; "" where none is recorded, as in
        version 4.
    scores : ndarray (M,), optional
        Numbers by which that part compared the models: the lowest is best. Infinite for models that
        it did not consider; None where it did not compare by numbers.
    multipliers : dict of str to float
        What the policy weighed cost, satisfaction and budgets by at that moment, by name.
    barred : dict of str to (str, str)
        Code of the reason and text, by name of the models that could not serve the request.
    v : int
        Version of the serialised form.
    """

    id: str
    seq: int
    sla: str
    floor: float
    model: str
    called: tuple[str, ...]
    models: tuple[str, ...]
    propensities: NDArray[np.float64]
    explored: bool
    quality_estimates: NDArray[np.float64]
    cost_estimates: NDArray[np.float64]
    index: int
    features: Any  # Features; msgspec cannot read NumPy's types
    input_tokens: int
    policy: str
    at: float = 0.0
    tenant: str = ""
    key: str = ""
    session: str = ""
    after: str = ""
    call_by: str = ""
    reserved: tuple[float, ...] = ()
    prediction: NDArray[np.float64] | None = None
    added_cost: NDArray[np.float64] | None = None
    prefix: str = ""
    follows: str = ""
    head: str = ""
    head_tokens: int = 0
    conversation_turns: float = 1.0
    rule: str = ""
    scores: NDArray[np.float64] | None = None
    multipliers: dict[str, float] = {}
    barred: dict[str, tuple[str, str]] = {}
    v: int = 5

    def __repr__(self) -> str:
        served = "declined" if self.declined else f"model={self.model!r}"
        shown = [f"id={self.id!r}", f"sla={self.sla!r}", f"floor={self.floor:g}", served]
        if not self.declined:
            quality, cost = self.expected_quality, self.expected_cost
            shown += [f"quality={show_number(quality)}", f"cost={show_number(cost)}"]
        if self.explored:
            shown.append("explored")
        return f"Decision({', '.join(shown)})"

    def _repr_html_(self) -> str:
        rows = [
            ("served", self.model or "no model: declined"),
            ("SLA", f"{self.sla}, floor {self.floor:g}"),
            ("called", ", ".join(self.called) or "–"),
            ("explored", "yes" if self.explored else "no"),
            ("policy", f"{self.policy}: {self.rule}" if self.rule else self.policy),
        ]
        chances = self.propensities.tolist()
        estimates = zip(self.quality.items(), self.cost.values(), chances, strict=True)
        for (name, quality), cost, chance in estimates:
            rows.append(
                (
                    f"estimates of {name}",
                    f"quality {show_number(quality)}, cost {show_number(cost)}, "
                    f"propensity {show_number(chance)}",
                )
            )
        return html_table(f"Decision {self.id}", rows)

    @property
    def owner(self) -> Owner:
        """Who the decision belongs to."""
        return Owner.of(self.tenant, self.key)

    @property
    def declined(self) -> bool:
        """Whether no model served the request."""
        return self.index < 0

    @property
    def quality(self) -> dict[str, float]:
        """Estimated quality q̂ in [0, 1] of each model's response, by model name."""
        return dict(zip(self.models, self.quality_estimates.tolist(), strict=True))

    @property
    def cost(self) -> dict[str, float]:
        """Estimated cost ĉ of one call to each model in the zoo's cost unit, by model name."""
        return dict(zip(self.models, self.cost_estimates.tolist(), strict=True))

    @property
    def scored_costs(self) -> NDArray[np.float64]:
        """(M,) cost by which models were compared: that of a call, and ``added_cost``."""
        added = self.added_cost
        return self.cost_estimates if added is None else self.cost_estimates + added

    @property
    def expected_quality(self) -> float:
        """Estimated quality q̂ of the served model; 0 if declined."""
        return 0.0 if self.declined else float(self.quality_estimates[self.index])

    @property
    def expected_cost(self) -> float:
        """Estimated cost ĉ of the served model; 0 if declined."""
        return 0.0 if self.declined else float(self.cost_estimates[self.index])

    @property
    def reservations(self) -> dict[str, float]:
        """Cost reserved for each called model until its outcome, by name, in the cost unit."""
        if self.reserved:
            return dict(zip(self.called, self.reserved, strict=True))
        positions = [self.models.index(name) for name in self.called]
        return {self.models[m]: float(self.cost_estimates[m]) for m in positions}

    @property
    def propensity(self) -> float:
        """Probability with which the policy served this model, or declined the request."""
        if self.declined:
            return 1.0 - float(self.propensities.sum())
        return float(self.propensities[self.index])


_NAME_FIELDS = (
    "sla", "model", "policy", "key", "session", "after", "call_by", "prefix", "follows", "head",
    "rule",
)  # fmt: skip
"""Fields of a decision that are names or hashes of at most ``MAX_NAME`` characters."""


def _check_decision(decision: Decision) -> None:
    """Check a decision that a caller gives back; those that a router makes keep the bounds."""
    check_name("Decision.id", decision.id, empty=False)
    check_name("Decision.tenant", decision.tenant, MAX_TENANT)
    for field in _NAME_FIELDS:
        check_name(f"Decision.{field}", getattr(decision, field))
    for name in (*decision.models, *decision.called):
        check_name("Decision.models", name)
    for name in (*decision.multipliers, *decision.barred):
        check_name("Decision.multipliers or barred", name)
    check_count("Decision.input_tokens", decision.input_tokens)
    check_count("Decision.head_tokens", decision.head_tokens)
    fix = f"give a number of turns from 1 to {MAX_TOKENS:,}"
    turns = decision.conversation_turns
    check_number("Decision.conversation_turns", turns, low=1.0, high=MAX_TOKENS, fix=fix)
    check_count("Decision.seq", decision.seq)
    check_time("Decision.at", decision.at)


_SCORE_FIX = "give a number from 0 (dissatisfied) to 1 (satisfied)"


class Outcome(msgspec.Struct, frozen=True, tag="outcome", kw_only=True):
    """Measured result of one call; one outcome for each called model.

    Attributes
    ----------
    decision, model : str
        Id of the decision and name of the called model.
    cost : float
        Cost of the call in the zoo's cost unit, 0 or more.
    input_tokens, output_tokens : int, optional
        Number of tokens; None if unknown.
    cached_tokens, cache_write_tokens : int, optional
        Number of the input tokens that the provider read from its cache, and that it wrote to it;
        None if unknown.
    latency : float, optional
        Seconds from the request to the end of the response; None if unknown.
    first_token : float, optional
        Seconds from the request to the first content of the response; None if unknown.
    error : str, optional
        Message of the failure; None if the call succeeded. Longer ones than ``bounds.MAX_ERROR``
        characters are cut.
    at : float
        Time in seconds of the router's clock.
    completion : str, optional
        Id that the provider gave to the response, in the form of ``bounds.canonical_id``: one
        that no store could hold is replaced by its digest.
    estimated : bool
        Whether the cost is computed from the lengths of the texts, because the provider reported
        no tokens.
    billed : bool
        Whether the cost is what the provider said it bills for the call, instead of its tokens at
        list prices.
    tenant, key : str
        Owner of the decision, in which ``completion`` is looked up: its tenant, or the id of its
        API key if it has no tenant; "" for none.
    v : int
        Version of the serialised form.

    Raises
    ------
    InvalidInput
        If a number or a name is out of the bounds of ``floorline.core.bounds``.
    """

    decision: str
    model: str
    cost: float
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    latency: float | None = None
    first_token: float | None = None
    error: str | None = None
    at: float = 0.0
    completion: str | None = None
    estimated: bool = False
    billed: bool = False
    tenant: str = ""
    key: str = ""
    v: int = 3

    def __post_init__(self) -> None:
        if not self._is_plain():
            self._check()

    def _is_plain(self) -> bool:
        """Whether all texts and numbers have their types and are within their bounds.

        So are nearly all outcomes: a log of a million is read in seconds.
        """
        cost, latency, error, completion = self.cost, self.latency, self.error, self.completion
        given, answered = self.input_tokens, self.output_tokens
        cached, written, first = self.cached_tokens, self.cache_write_tokens, self.first_token
        try:
            names = self.decision + self.model + ("" if completion is None else completion)
            names += self.tenant + self.key + ("" if error is None else error)
            return (
                len(names) <= MAX_NAME
                and len(self.tenant) <= MAX_TENANT
                and names.isascii()
                and names.isprintable()
                and type(cost) is float
                and 0.0 <= cost <= MAX_COST
                and type(self.at) is float
                and MIN_TIME <= self.at <= MAX_TIME
                and (latency is None or (type(latency) is float and 0.0 <= latency <= MAX_LATENCY))
                and (given is None or (type(given) is int and 0 <= given <= MAX_TOKENS))
                and (answered is None or (type(answered) is int and 0 <= answered <= MAX_TOKENS))
                and (cached is None or (type(cached) is int and 0 <= cached <= MAX_TOKENS))
                and (written is None or (type(written) is int and 0 <= written <= MAX_TOKENS))
                and (first is None or (type(first) is float and 0.0 <= first <= MAX_LATENCY))
            )
        except TypeError:
            return False

    def _check(self) -> None:
        fix = f"give the measured cost, a number from 0 to {MAX_COST:g}"
        check_number("Outcome.cost", self.cost, low=0.0, high=MAX_COST, fix=fix)
        for field in ("latency", "first_token"):
            seconds = getattr(self, field)
            if seconds is not None:
                fix = f"give seconds from 0 to {MAX_LATENCY:g}, or None"
                check_number(f"Outcome.{field}", seconds, low=0.0, high=MAX_LATENCY, fix=fix)
        for field in ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens"):
            tokens = getattr(self, field)
            if tokens is not None:
                whole = check_count(f"Outcome.{field}", tokens)
                if whole is not tokens:
                    # A log could not give a float back.
                    msgspec.structs.force_setattr(self, field, whole)
        for field in ("estimated", "billed"):
            flag = getattr(self, field)
            if flag is not True and flag is not False:
                # Nor a number that stands for a bool.
                msgspec.structs.force_setattr(self, field, bool(flag))
        _check_at(self)
        check_name("Outcome.decision", self.decision)
        check_name("Outcome.model", self.model)
        check_name("Outcome.tenant", self.tenant, MAX_TENANT)
        check_name("Outcome.key", self.key)
        error, completion = self.error, self.completion
        if error is not None:
            if not isinstance(error, str):
                raise InvalidInput("Outcome.error", error, "give a text, or None")
            if not is_name(error, MAX_ERROR):
                msgspec.structs.force_setattr(self, "error", clean_text(error))
        if completion is not None and not is_name(completion):
            if not isinstance(completion, str):
                raise InvalidInput("Outcome.completion", completion, "give a text, or None")
            msgspec.structs.force_setattr(self, "completion", canonical_id(completion))


class Feedback(msgspec.Struct, frozen=True, tag="feedback", kw_only=True):
    """Label of one model's response.

    Attributes
    ----------
    decision, model : str
        Id of the decision and name of the model whose response is labelled.
    score : float
        Satisfaction from 0 (not satisfied) to 1 (fully satisfied).
    source : str
        Origin of the label, such as ``"user"``, ``"judge"`` or ``"rule"``.
    cost : float
        Cost of the label in the zoo's cost unit: 0 for a user, the price of a call for a judge.
    at : float
        Time in seconds of the router's clock.
    key : str
        Idempotency key of this message, so that sending it again changes nothing; "" for none.
    weight, influence : float
        Weight of the label from 0 to 1: in the certificate and the surplus of its SLA, and in what
        all SLAs learn of the models. Both are known before the score (docs/poisoning.md). A
        correction has the weights of the label that it corrects.
    v : int
        Version of the serialised form.

    Raises
    ------
    InvalidInput
        If a number or a name is out of the bounds of ``floorline.core.bounds``.
    """

    decision: str
    model: str
    score: float
    source: str = "user"
    cost: float = 0.0
    at: float = 0.0
    key: str = ""
    weight: float = 1.0
    influence: float = 1.0
    v: int = 2

    def __post_init__(self) -> None:
        score, cost = self.score, self.cost
        try:
            names = self.decision + self.model + self.source + self.key
            plain = (
                len(names) <= MAX_NAME
                and names.isascii()
                and names.isprintable()
                and type(score) is float
                and 0.0 <= score <= 1.0
                and type(cost) is float
                and 0.0 <= cost <= MAX_COST
                and type(self.at) is float
                and MIN_TIME <= self.at <= MAX_TIME
            )
        except TypeError:
            plain = False
        if not plain:
            self._check()

    def _check(self) -> None:
        if isinstance(self.score, bool):
            # A log could not give a bool back.
            msgspec.structs.force_setattr(self, "score", float(self.score))
        check_number("Feedback.score", self.score, low=0.0, high=1.0, fix=_SCORE_FIX)
        fix = f"give the cost of the label, a number from 0 to {MAX_COST:g}"
        check_number("Feedback.cost", self.cost, low=0.0, high=MAX_COST, fix=fix)
        _check_at(self)
        check_name("Feedback.decision", self.decision)
        check_name("Feedback.model", self.model)
        check_name("Feedback.source", self.source)
        check_name("Feedback.key", self.key)
        if not (self.weight == 1.0 == self.influence):
            fix = "give a weight from 0 to 1"
            check_number("Feedback.weight", self.weight, low=0.0, high=1.0, fix=fix)
            check_number("Feedback.influence", self.influence, low=0.0, high=1.0, fix=fix)


JUDGE_KEY = "judge:"
"""Begins the ids of the keys that judges' calls are charged to."""
SHADOW_KEY = "shadow"
"""Id of the key that shadow calls are charged to."""
UNSEEN = frozenset({"budget", "unavailable", "rejected", "lost", "too large"})
"""Failures of judgements by which the judge did not see the response: its budget had too little
left; its model did not answer; its provider does not take the request; too much waited for it, or
the server stopped; the response is larger than ``judging.max_response``."""


class Judgement(msgspec.Struct, frozen=True, tag="judgement", kw_only=True):
    """What a judge says of one model's response; a judge is a model or a rule, and not a user.

    Its scores are not the labels that an SLA's floor is about. They are corrected by the labels of
    users where both exist (``state.judge_calibration``).

    Attributes
    ----------
    decision, model : str
        Id of the decision and name of the model whose response is judged.
    judge : str
        Name of the judge.
    score : float or None
        Satisfaction from 0 to 1 by the judge; None if it gave no score.
    failure : str
        Why there is no score, such as ``"refused"``; "" if there is one. Those of ``UNSEEN`` say
        that the judge did not see the response, although it was drawn.
    rate : float or None
        Probability with which the response was drawn, which depended on nothing that came after
        the decision; None if it was drawn for another reason, such as a user's label.
    source : str
        ``"judge"`` for a model, ``"rule"`` for a rule.
    cost : float
        Cost that the SLA pays, in the zoo's cost unit; 0 where the judge has a budget of its own.
    call : str
        Id of the decision by which the judge was called; "" for none.
    at : float
        Time in seconds of the router's clock.
    v : int
        Version of the serialised form.

    Raises
    ------
    InvalidInput
        If a number or a name is out of the bounds of ``floorline.core.bounds``, or both or neither
        of score and failure are given.
    """

    decision: str
    model: str
    judge: str
    score: float | None = None
    failure: str = ""
    rate: float | None = None
    source: str = "judge"
    cost: float = 0.0
    call: str = ""
    at: float = 0.0
    v: int = 1

    def __post_init__(self) -> None:
        for field in ("decision", "model", "judge", "failure", "call"):
            check_name(f"Judgement.{field}", getattr(self, field))
        if not self.judge:
            raise InvalidInput("Judgement.judge", self.judge, "give the judge's name")
        check_one_of("Judgement.source", self.source, ("judge", "rule"))
        if (self.score is None) == (not self.failure):
            given = {"score": self.score, "failure": self.failure}
            raise InvalidInput("Judgement", given, "give either a score or a failure")
        if self.score is not None:
            check_number("Judgement.score", self.score, low=0.0, high=1.0, fix=_SCORE_FIX)
            msgspec.structs.force_setattr(self, "score", float(self.score))
        if self.rate is not None:
            fix = "give the probability of the draw, a number above 0 and at most 1, or None"
            if not check_number("Judgement.rate", self.rate, low=0.0, high=1.0, fix=fix):
                raise InvalidInput("Judgement.rate", self.rate, fix)
        fix = f"give the cost of the label, a number from 0 to {MAX_COST:g}"
        check_number("Judgement.cost", self.cost, low=0.0, high=MAX_COST, fix=fix)
        _check_at(self)


def score_of(satisfied: Any) -> float:
    """Score of a satisfied (1.0) or dissatisfied (0.0) user.

    Parameters
    ----------
    satisfied
        A bool, a NumPy bool, or the integer 0 or 1.

    Raises
    ------
    InvalidInput
        If it is anything else, such as the text ``"no"``, NaN or 0.4, which are true to Python.

    Examples
    --------
    >>> score_of(True), score_of(np.False_), score_of(1)
    (1.0, 0.0, 1.0)
    """
    if satisfied is True or satisfied is False:
        return float(satisfied)
    whole = isinstance(satisfied, int | np.integer) and (satisfied == 0 or satisfied == 1)
    if not (whole or isinstance(satisfied, np.bool_)):
        fix = "give True or False; a number from 0 to 1 goes into score"
        raise InvalidInput("satisfied", satisfied, fix)
    return float(satisfied)


class ZooChange(msgspec.Struct, frozen=True, tag="zoo", kw_only=True):
    """From now on these models can serve, at these prices."""

    zoo: Zoo
    at: float = 0.0
    v: int = 2

    def __post_init__(self) -> None:
        _check_at(self)


class SlaChange(msgspec.Struct, frozen=True, tag="sla", kw_only=True):
    """From now on this SLA holds under its name; ``removed`` ends it."""

    sla: SLA
    removed: bool = False
    at: float = 0.0
    v: int = 2

    def __post_init__(self) -> None:
        _check_at(self)


class Recall(msgspec.Struct, frozen=True, tag="recall", eq=False, kw_only=True):
    """A forgotten decision is remembered again, because late feedback needs it.

    Attributes
    ----------
    decision : Decision
        The decision.
    scores : dict of str to float
        Latest score in the log, by model name, of the models whose response has a label.
    keys : tuple of str
        Idempotency keys of the feedback that came.
    weights : dict of str to (float, float)
        ``Feedback.weight`` and ``influence`` by model name, of the labels that have others than 1.
    judged : dict of str to dict of str to (float or None)
        What judges said, by judge and model name: the score, or None for a judgement without one.
    unseen : dict of str to tuple of str
        By judge: names of the models whose responses it was to see and did not.
    at : float
        Time in seconds of the router's clock.
    v : int
        Version of the serialised form.
    """

    decision: Decision
    scores: dict[str, float] = {}
    keys: tuple[str, ...] = ()
    weights: dict[str, tuple[float, float]] = {}
    judged: dict[str, dict[str, float | None]] = {}
    unseen: dict[str, tuple[str, ...]] = {}
    at: float = 0.0
    v: int = 4

    def __post_init__(self) -> None:
        _check_at(self)
        _check_decision(self.decision)
        for model, score in self.scores.items():
            check_name("Recall.scores", model)
            check_number(f"Recall.scores[{model!r}]", score, low=0.0, high=1.0, fix=_SCORE_FIX)
        for key in self.keys:
            check_name("Recall.keys", key)
        for judge, said in self.judged.items():
            check_name("Recall.judged", judge)
            for model, given in said.items():
                field = f"Recall.judged[{judge!r}]"
                check_name(field, model)
                if given is not None:
                    check_number(f"{field}[{model!r}]", given, low=0.0, high=1.0, fix=_SCORE_FIX)
        for name in (*self.unseen, *(model for models in self.unseen.values() for model in models)):
            check_name("Recall.unseen", name)


class WarmStart(msgspec.Struct, frozen=True, tag="warm_start", eq=False, kw_only=True):
    """The policy learned a labelled history.

    Attributes
    ----------
    digest : str
        SHA-256 of the history's uncompressed bytes, in hexadecimal. A second warm start with the
        same digest changes nothing.
    rows : int
        Number of labelled requests.
    source : str
        Where the history comes from, such as the name of a file; "" if unknown.
    at : float
        Time in seconds of the router's clock.
    history : bytes
        The history itself, as ``state.history.pack_history`` serialises it. A durable store keeps
        it beside the log and adds it to the event when it is read.
    v : int
        Version of the serialised form.
    """

    digest: str
    rows: int
    source: str = ""
    at: float = 0.0
    history: bytes = b""
    v: int = 1

    def __post_init__(self) -> None:
        _check_at(self)
        check_name("WarmStart.digest", self.digest)
        check_name("WarmStart.source", self.source, MAX_SOURCE)
        check_count("WarmStart.rows", self.rows)

    def __repr__(self) -> str:
        return f"WarmStart(digest={self.digest[:12]!r}…, rows={self.rows}, source={self.source!r})"


class ConfigChange(msgspec.Struct, frozen=True, tag="config", kw_only=True):
    """A changed configuration file was applied; changes of models and SLAs are events of their own.

    It has names only and no values, because some are secret.

    Attributes
    ----------
    changed : tuple of str
        What changed at once: fields of the file, and models and SLAs by kind of change.
    waiting : tuple of str
        Fields that take effect at the next start.
    at : float
        Time in seconds of the router's clock.
    v : int
        Version of the serialised form.
    """

    changed: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    at: float = 0.0
    v: int = 1

    def __post_init__(self) -> None:
        _check_at(self)
        for name in (*self.changed, *self.waiting):
            check_name("ConfigChange", name, MAX_ERROR)


class QualityChange(msgspec.Struct, frozen=True, tag="drift", kw_only=True):
    """The policy detected that the quality of a model has changed.

    It follows the label by which that was detected. A fold of the labels detects it too, so that
    this event changes no state: it tells people when it was.

    Attributes
    ----------
    model : str
        Name of the model.
    decision : str
        Id of the decision whose label it was.
    at : float
        Time in seconds of the router's clock.
    v : int
        Version of the serialised form.
    """

    model: str
    decision: str = ""
    at: float = 0.0
    v: int = 1

    def __post_init__(self) -> None:
        _check_at(self)
        check_name("QualityChange.model", self.model)
        check_name("QualityChange.decision", self.decision)


class Tombstone(msgspec.Struct, frozen=True, tag="tombstone", kw_only=True):
    """Takes the position of an event that the store could not write, or that was damaged.

    Attributes
    ----------
    lost : str
        Kind of the lost event; "" if unknown.
    reason : str
        Why it is lost.
    decision : str
        Id of the decision that is lost with it; "" for none.
    at : float
        Time of the lost event in seconds of the router's clock.
    v : int
        Version of the serialised form.
    """

    lost: str
    reason: str
    decision: str = ""
    at: float = 0.0
    v: int = 1


def _as_array(kind: Any, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    raise ValueError(f"expected an array, got a {type(value).__name__}")


Event = (
    Decision
    | Outcome
    | Feedback
    | Judgement
    | ZooChange
    | SlaChange
    | Recall
    | WarmStart
    | ConfigChange
    | QualityChange
    | Tombstone
)

_decoder = msgspec.msgpack.Decoder(Event, ext_hook=array_from_ext, dec_hook=_as_array)
_NOTHING = np.empty(0)
_shape_decoder = msgspec.msgpack.Decoder(Event, ext_hook=lambda code, data: _NOTHING)
_set_encoder = msgspec.msgpack.Encoder(order="deterministic")


@cache
def _versions(kind: type[Event]) -> tuple[int, ...]:
    """Versions of an event that can be read, the written one last."""
    written = int(kind.__struct_defaults__[-1])
    # Decisions of version 4 lack ``rule``, ``scores``, ``multipliers`` and ``barred`` only, and
    # recalls of version 3 what judges said.
    before = {Decision: 4, Recall: 3}.get(kind)
    return (written,) if before is None else (before, written)


def encode_event(event: Event) -> bytes:
    """Encode an event as MessagePack; arrays keep every bit, and equal events give equal bytes."""
    # A set of capabilities has no order of its own, and another one in every process.
    return _set_encoder.encode(event) if isinstance(event, ZooChange) else pack(event)


def check_readable(event: Event, data: bytes) -> None:
    """Check that the bytes of an encoded event can be read again, arrays aside.

    A value of a wrong type can be encoded although no decoder takes it. Nearly all decisions and
    outcomes have the right types, which takes a fifth of the time to see.

    Raises
    ------
    ValueError
        If they cannot.
    """
    if type(event) is Decision and _has_right_types(event):
        return
    if (
        type(event) is Outcome
        and event._is_plain()
        and type(event.estimated) is type(event.billed) is bool
        and type(event.v) is int
    ):
        return
    _shape_decoder.decode(data)


def _has_right_types(event: Decision) -> bool:
    texts = (event.id, event.sla, event.model, event.policy, event.tenant, event.key)
    others = (event.session, event.after, event.call_by, event.prefix, event.follows, event.head)
    multipliers, barred, scores = event.multipliers, event.barred, event.scores
    try:
        # Raises TypeError for what is no text.
        "".join((*texts, *others, event.rule, *event.called, *event.models, *multipliers))
        return (
            isinstance(event.called, tuple)
            and isinstance(event.models, tuple)
            and isinstance(event.reserved, tuple)
            and type(event.seq) is type(event.index) is type(event.input_tokens) is int
            and type(event.head_tokens) is int
            and type(event.floor) is type(event.at) is type(event.conversation_turns) is float
            and all(type(cost) is float for cost in event.reserved)
            and type(event.explored) is bool
            and type(event.v) is int
            and isinstance(event.propensities, np.ndarray)
            and isinstance(event.quality_estimates, np.ndarray)
            and isinstance(event.cost_estimates, np.ndarray)
            and (event.prediction is None or isinstance(event.prediction, np.ndarray))
            and (event.added_cost is None or isinstance(event.added_cost, np.ndarray))
            and (scores is None or isinstance(scores, np.ndarray))
            and type(multipliers) is dict
            and all(type(value) is float for value in multipliers.values())
            and type(barred) is dict
            and (not barred or _are_bars(barred))
        )
    except TypeError:
        return False


def _are_bars(barred: dict[Any, Any]) -> bool:
    texts = [*barred]
    for bar in barred.values():
        if type(bar) is not tuple or len(bar) != 2:
            return False
        texts += bar
    # Raises TypeError for what is no text.
    return bool("".join((":", *texts)))


def decode_event(data: bytes) -> Event:
    """Decode what ``encode_event`` wrote.

    Raises
    ------
    InvalidInput
        If the bytes are no event, or an event of another version of the serialised form.

    Examples
    --------
    >>> event = Outcome(decision="d1", model="small", cost=0.5)
    >>> decode_event(encode_event(event)) == event
    True
    """
    fix = "give bytes written by encode_event of this version of Floorline"
    try:
        event: Event = _decoder.decode(data)
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidInput("event", data[:20], f"{fix} ({error})") from error
    decision = event.decision if isinstance(event, Recall) else event
    for part in (event, decision):
        if part.v not in _versions(type(part)):
            raise InvalidInput("event.v", part.v, fix)
    if isinstance(decision, Decision):
        given = decision.features
        try:
            features = freeze(SparseFeatures(*given) if isinstance(given, list) else given)
        except (TypeError, ValueError) as error:
            raise InvalidInput("event.features", given, f"{fix} ({error})") from error
        msgspec.structs.force_setattr(decision, "features", features)
    return event
