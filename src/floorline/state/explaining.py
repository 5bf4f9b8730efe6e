"""Explain a decision from the events of a log that concern it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from floorline.core.display import show_cost, show_number
from floorline.errors import UnknownDecision, listed
from floorline.events import (
    DIRECT,
    NOT_CALLED,
    UNSEEN,
    Decision,
    Event,
    Feedback,
    Judgement,
    Outcome,
    Recall,
)
from floorline.state.candidate_reasons import MayName, candidates_of, everyone
from floorline.state.explanation import Candidate, Explanation, Step

MAX_CHAIN = 64
"""Most decisions in place of one another that are followed; a request has at most 8 calls."""

_COUNTED = {
    "price": ("costs more than it is worth", "cost more than they are worth"),
    "floor": ("is too weak for the floor now", "are too weak for the floor now"),
    "quality": ("loses more quality than it saves", "lose more quality than they save"),
    "score": ("has a worse score", "have a worse score"),
    "chance": ("was not drawn", "were not drawn"),
    "conversation": ("would change the conversation's model",) * 2,
    "explored_instead": ("was preferred before the draw to explore",) * 2,
    "window": ("has too small a context window", "have too small a context window"),
    "capability": ("lacks a capability", "lack a capability"),
    "budget": ("does not fit the budget", "do not fit the budget"),
    "key_budget": ("does not fit the key's budget", "do not fit the key's budget"),
    "breaker": ("has an open circuit breaker", "have an open circuit breaker"),
    "busy": ("has no free place", "have no free place"),
    "failed": ("failed before", "failed before"),
    "latency": ("is too slow", "are too slow"),
    "sla": ("is not allowed by the SLA", "are not allowed by the SLA"),
    "excluded": ("is excluded", "are excluded"),
    "not_asked": ("was not asked for", "were not asked for"),
}
"""How the summary counts one model, and several, by the code of their reason."""


class _Chain(NamedTuple):
    """Decisions before and after one whose calls failed, in their order."""

    earlier: list[Decision]
    later: list[Decision]


def made_by(events: Iterable[Event], id: str) -> Decision:
    """Return the decision of an id among events.

    Raises
    ------
    UnknownDecision
        If it is not among them.
    """
    made = decisions_among(events).get(id)
    if made is None:
        raise UnknownDecision(f"decision {id!r} is unknown: give the id of one that the log has")
    return made


def decision_history(events: Iterable[Event], id: str) -> list[Event]:
    """Return the events of a log that concern a decision, and those it replaces or is replaced by.

    Parameters
    ----------
    events
        The log, or a part of it.
    id
        Id of the decision.
    """
    kept = list(events)
    made = decisions_among(kept)
    if id not in made:
        return []
    chain = _chain(made[id], made)
    wanted = {id, *(d.id for d in (*chain.earlier, *chain.later))}
    return [event for event in kept if _decision_of(event) in wanted]


def explain(
    decision: Decision,
    events: Iterable[Event],
    *,
    cost_unit: str = "USD",
    may_name: MayName = everyone,
) -> Explanation:
    """Explain a decision: its candidates, and what came of it.

    Parameters
    ----------
    decision
        The decision.
    events
        Events of the log that concern it, as ``decision_history`` returns them; others change
        nothing.
    cost_unit
        Unit of the zoo's costs.
    may_name
        Models that it returns false for are left out, the one that served aside.

    Examples
    --------
    >>> from floorline import SLA, Model, Router, Zoo
    >>> zoo = Zoo([Model("small", call_price=1.0), Model("large", call_price=9.0)])
    >>> router = Router(zoo, "cheapest", [SLA("gold", floor=0.9)], id_prefix="d")
    >>> decision = router.route("Explain CRDTs", at=0.0)
    >>> found = explain(decision, router.log.read())
    >>> [(candidate.model, candidate.reason) for candidate in found.candidates]
    [('small', 'served'), ('large', 'price')]
    """
    history = list(events)
    chain = _chain(decision, {**decisions_among(history), decision.id: decision})
    own = _effective(event for event in history if _decision_of(event) == decision.id)
    outcomes = [event for event in own if isinstance(event, Outcome)]
    not_called = frozenset(event.model for event in outcomes if event.error == NOT_CALLED)
    candidates = candidates_of(decision, not_called, may_name)
    served = [event for event in outcomes if event.model == decision.model]
    estimated = not decision.declined and math.isfinite(decision.expected_quality)
    priced = not decision.declined and math.isfinite(decision.expected_cost)
    steps = _timeline(decision, chain, history, own, cost_unit)
    return Explanation(
        id=decision.id,
        at=decision.at,
        sla=decision.sla,
        floor=decision.floor,
        policy=decision.policy,
        rule=decision.rule,
        model=decision.model,
        explored=decision.explored,
        tenant=decision.tenant,
        key=decision.key,
        session=decision.session,
        input_tokens=decision.input_tokens,
        expected_quality=decision.expected_quality if estimated else None,
        expected_cost=decision.expected_cost if priced else None,
        multipliers={n: v for n, v in decision.multipliers.items() if math.isfinite(v)},
        candidates=candidates,
        timeline=[s for s in steps if s.model in ("", decision.model) or may_name(s.model)],
        after=decision.after,
        replaced_by=chain.later[0].id if chain.later else "",
        cost=sum(event.cost for event in outcomes) if outcomes else None,
        error=served[-1].error if served else None,
        score=_score(decision, own),
        cost_unit=cost_unit,
        summary=summary_of(decision, candidates, cost_unit),
    )


def decisions_among(events: Iterable[Event]) -> dict[str, Decision]:
    """Decisions by id, of their own events and of those that recall them."""
    found: dict[str, Decision] = {}
    for event in events:
        if isinstance(event, Decision):
            found[event.id] = event
        elif isinstance(event, Recall):
            found.setdefault(event.decision.id, event.decision)
    return found


def _decision_of(event: Event) -> str:
    """Id of the decision that an event concerns; "" for none."""
    if isinstance(event, Decision):
        return event.id
    if isinstance(event, Recall):
        return event.decision.id
    return event.decision if isinstance(event, Outcome | Feedback | Judgement) else ""


def _chain(decision: Decision, made: dict[str, Decision]) -> _Chain:
    replaces = {other.after: other for other in made.values() if other.after}
    earlier: list[Decision] = []
    later: list[Decision] = []
    seen = {decision.id}
    at: Decision | None = made.get(decision.after)
    while at is not None and at.id not in seen and len(earlier) < MAX_CHAIN:
        seen.add(at.id)
        earlier.insert(0, at)
        at = made.get(at.after)
    at = replaces.get(decision.id)
    while at is not None and at.id not in seen and len(later) < MAX_CHAIN:
        seen.add(at.id)
        later.append(at)
        at = replaces.get(at.id)
    return _Chain(earlier, later)


def _effective(events: Iterable[Event]) -> list[Event]:
    """Leave out what changed nothing, as the router's fold does: messages that came again."""
    kept: list[Event] = []
    ended: set[str] = set()
    keys: set[str] = set()
    scores: dict[str, float] = {}
    for event in events:
        if isinstance(event, Outcome):
            if event.model in ended:
                continue
            ended.add(event.model)
        elif isinstance(event, Feedback):
            if event.key in keys:
                continue
            if event.key:
                keys.add(event.key)
            if scores.get(event.model) == event.score:
                continue
            scores[event.model] = event.score
        elif isinstance(event, Recall):
            scores |= event.scores
            keys.update(event.keys)
        kept.append(event)
    return kept


def _score(decision: Decision, own: Sequence[Event]) -> float | None:
    """Latest score of the served response; a recall has those whose events are deleted."""
    score = None
    for event in own:
        if isinstance(event, Feedback) and event.model == decision.model:
            score = float(event.score)
        elif isinstance(event, Recall):
            score = event.scores.get(decision.model, score)
    return score


def _timeline(
    decision: Decision, chain: _Chain, history: Sequence[Event], own: Sequence[Event], unit: str
) -> list[Step]:
    errors = {
        event.decision: event.error
        for event in history
        if isinstance(event, Outcome) and event.error is not None and event.error != NOT_CALLED
    }
    steps = [_replaced(other, errors.get(other.id)) for other in chain.earlier]
    steps.append(
        Step(
            at=decision.at,
            kind="decision",
            model=decision.model,
            text=_decided(decision),
            decision=decision.id,
        )
    )
    scores: dict[str, float] = {}
    for event in own:
        if isinstance(event, Outcome):
            steps.append(_called(event, unit))
        elif isinstance(event, Feedback):
            steps.append(_labelled(event, scores.get(event.model)))
            scores[event.model] = float(event.score)
        elif isinstance(event, Judgement):
            steps.append(_judged(event))
        elif isinstance(event, Recall):
            scores |= event.scores
    steps += [_replacing(other) for other in chain.later]
    # The order of the log holds among steps of one time.
    return sorted(steps, key=lambda step: step.at)


def _judged(event: Judgement) -> Step:
    if event.failure in UNSEEN:
        said = f"did not see the response: {event.failure}"
    elif event.score is None:
        said = f"gave no score: {event.failure}"
    else:
        said = f"scored {event.score:g}"
    drawn = "" if event.rate is None else f"; drawn with probability {event.rate:.3g}"
    name = listed([event.judge])
    text = f"{event.source} {name} {said}{drawn}"
    return Step(at=event.at, kind="judgement", model=event.model, text=text, score=event.score)


def _decided(decision: Decision) -> str:
    if decision.declined:
        return "no model serves: the request was declined"
    name = listed([decision.model])
    if decision.policy == DIRECT:
        return f"the request names {name}"
    how = "to explore, " if decision.explored else ""
    rule = f"by the rule {decision.rule!r} " if decision.rule else ""
    return f"{name} chosen {how}{rule}of {decision.policy}, probability {decision.propensity:.3g}"


def _replaced(other: Decision, error: str | None) -> Step:
    name = listed([other.model])
    failed = f": {error}" if error else ""
    return Step(
        at=other.at,
        kind="fallback",
        model=other.model,
        text=f"{name} was chosen first, and its call failed{failed}",
        decision=other.id,
        error=error,
    )


def _replacing(other: Decision) -> Step:
    name = listed([other.model])
    text = f"{name} serves in its place" if other.model else "no model could serve in its place"
    return Step(at=other.at, kind="fallback", model=other.model, text=text, decision=other.id)


def _called(event: Outcome, unit: str) -> Step:
    name = listed([event.model])
    if event.error == NOT_CALLED:
        text = f"{name} was not called: {event.error}"
    elif event.error is not None:
        text = f"the call to {name} ended with an error: {event.error}"
    else:
        tokens = "" if event.output_tokens is None else f" {event.output_tokens:,} tokens"
        took = "" if event.latency is None else f" after {event.latency:.3g} s"
        between = "," if tokens or took else ""
        text = f"the call to {name} ended{took}{between}{tokens}".rstrip(",")
        text += f" for {show_cost(event.cost)} {unit}"
    values: dict[str, Any] = {
        field: getattr(event, field)
        for field in (
            "cost", "latency", "first_token", "input_tokens", "output_tokens", "cached_tokens",
            "error",
        )
    }  # fmt: skip
    return Step(
        at=event.at, kind="outcome", model=event.model, text=text, decision=event.decision, **values
    )


def _labelled(event: Feedback, previous: float | None) -> Step:
    score = float(event.score)
    text = f"score {score:g} of {listed([event.model])} from {event.source}"
    if previous is not None:
        text += f", in place of {previous:g}"
    return Step(
        at=event.at,
        kind="feedback",
        model=event.model,
        text=text,
        decision=event.decision,
        cost=float(event.cost) or None,
        score=score,
        source=event.source,
    )


def summary_of(decision: Decision, candidates: Sequence[Candidate], unit: str) -> str:
    """The decision in a few plain sentences."""
    others = Counter(one.reason for one in candidates if not one.served)
    counted = "; ".join(
        f"{count} {_COUNTED[reason][count > 1]}" for reason, count in others.most_common()
    )
    if decision.declined:
        under = f" under SLA {decision.sla!r}" if decision.sla else ""
        # The one who reads it may not be allowed to name any model.
        why = f": {counted}" if counted else ""
        return f"No model serves this request{under}{why}." + _stand(decision, unit)
    name = listed([decision.model])
    if decision.policy == DIRECT:
        return f"{name} serves, because the request names it."
    estimates = (
        f"expected quality {decision.expected_quality:.3f}, "
        f"expected cost {show_cost(decision.expected_cost)} {unit}"
    )
    why = f"by the rule {decision.rule!r}" if decision.rule else f"by {decision.policy}"
    why = f"to explore, with probability {decision.propensity:.3g}" if decision.explored else why
    again = " in place of a call that failed" if decision.after else ""
    first = f"{name} serves{again} at floor {decision.floor:g} ({estimates}), chosen {why}."
    rest = f" Of the other models, {counted}." if counted else ""
    return first + _stand(decision, unit) + rest


def _stand(decision: Decision, unit: str) -> str:
    """What the policy weighed by at that moment, in a sentence; "" where that is not recorded."""
    known = decision.multipliers
    if "surplus" in known and "buffer" in known:
        surplus, buffer = known["surplus"], known["buffer"]
        if surplus < 0.0:
            short = f" The SLA is {-surplus:.1f} satisfied requests short of its floor"
            return f"{short}, so satisfaction comes first."
        first, side = ("satisfaction", "less") if surplus < buffer else ("cost", "more")
        text = f" The SLA has {surplus:.1f} satisfied requests in hand over its floor, {side} than"
        return f"{text} its buffer of {buffer:.1f}, so {first} comes first."
    if "satisfaction_price" in known:
        price = show_cost(known["satisfaction_price"])
        return f" One more satisfied request is worth {price} {unit} now."
    if "budget_price" in known:
        price = show_number(known["budget_price"])
        return f" The budget asks for {price} satisfied requests per {unit} now."
    return ""
