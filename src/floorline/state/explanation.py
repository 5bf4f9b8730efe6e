"""Explanation of a decision: who could serve, why the others did not, and what came of it."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from floorline.core.display import html_table

Reason = Literal[
    "served",
    "explored_instead",
    "price",
    "floor",
    "quality",
    "score",
    "chance",
    "conversation",
    "window",
    "capability",
    "budget",
    "key_budget",
    "breaker",
    "busy",
    "failed",
    "latency",
    "sla",
    "excluded",
    "not_asked",
]
"""Why a model served a request or did not; docs/explanations.md says what each one means."""

REASONS: frozenset[str] = frozenset(get_args(Reason))
"""All codes of ``Reason``."""

StepKind = Literal["decision", "outcome", "feedback", "judgement", "fallback"]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the zoo at the time of a decision, and why it served or did not.

    Attributes
    ----------
    model : str
        Name of the model.
    quality : float, optional
        Estimated quality q̂ in [0, 1] of its response to this request; None if unknown.
    cost : float, optional
        Estimated cost ĉ of the call in the zoo's cost unit; None if unknown.
    added_cost : float, optional
        What serving it costs beside its call, in the cost unit: what it leaves to the later turns
        of the conversation, and the price of being late. None for nothing.
    score : float, optional
        Number by which the policy compared the models, the lowest is best; its unit depends on
        ``Explanation.rule``. None where the policy did not compare by scores.
    propensity : float
        Probability with which the policy served it.
    served, called : bool
        Whether it served; whether its call was paid, which a policy may do to learn.
    reason : str
        Code of the reason.
    explanation : str
        The reason as a sentence, with its numbers.
    """

    model: str
    quality: float | None = None
    cost: float | None = None
    added_cost: float | None = None
    score: float | None = None
    propensity: float = 0.0
    served: bool = False
    called: bool = False
    reason: Reason = "not_asked"
    explanation: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a decision's timeline; numbers that it does not have are None.

    Attributes
    ----------
    at : float
        Time in seconds of the router's clock (Unix time by default).
    kind : str
        ``"decision"``, ``"outcome"``, ``"feedback"``, ``"judgement"`` or ``"fallback"``.
    model : str
        Model that the step is about; "" for none.
    text : str
        The step as a sentence.
    decision : str
        Id of the decision that the step belongs to: another one for a ``"fallback"``.
    cost : float, optional
        Cost of the call or of the label in the zoo's cost unit.
    latency, first_token : float, optional
        Seconds to the end and to the first content of the response.
    input_tokens, output_tokens, cached_tokens : int, optional
        Tokens that the provider counted.
    error : str, optional
        Message of the failure.
    score : float, optional
        Score from 0 to 1 of a label.
    source : str, optional
        Origin of a label, such as ``"user"``.
    """

    at: float
    kind: StepKind
    model: str
    text: str
    decision: str = ""
    cost: float | None = None
    latency: float | None = None
    first_token: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    error: str | None = None
    score: float | None = None
    source: str | None = None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a model served a request, why the others did not, and what came of it.

    Attributes
    ----------
    id : str
        Id of the decision.
    at : float
        Time of the decision in seconds of the router's clock (Unix time by default).
    sla : str
        Name of the SLA; "" where the caller named the model.
    floor : float
        Floor τ in [0, 1] that held for the request.
    policy, rule : str
        Name of the policy, and which part of it decided; "" where that is not recorded.
    model : str
        The model that serves; "" if the request was declined.
    explored : bool
        Whether the policy chose the model to explore.
    tenant, key, session : str
        Tenant, id of the API key and conversation of the request; "" where there is none.
    input_tokens : int
        Estimated number of tokens of the prompt.
    expected_quality, expected_cost : float, optional
        Estimates q̂ and ĉ of the model that serves; None if unknown or declined.
    multipliers : dict of str to float
        What the policy weighed by at that moment, by name; docs/explanations.md has their units.
    candidates : list of Candidate
        Every model of the zoo at that time, in its order.
    timeline : list of Step
        The decision and what followed, by time.
    after : str
        Id of the decision that this one replaces because its call failed; "" for none.
    replaced_by : str
        Id of the decision that replaces this one because its call failed; "" for none.
    cost : float, optional
        What all calls really cost in the cost unit; None before the first outcome.
    error : str, optional
        Failure of the call to the model that serves; None for none.
    score : float, optional
        Latest score from 0 to 1 of the response; None without a label.
    cost_unit : str
        ``"USD"`` or ``"J"``; unit of all costs.
    summary : str
        The decision in a few plain sentences.
    object : str
        Names the kind of this JSON object.
    """

    id: str
    at: float
    sla: str
    floor: float
    policy: str
    rule: str
    model: str
    explored: bool
    tenant: str
    key: str
    session: str
    input_tokens: int
    expected_quality: float | None
    expected_cost: float | None
    multipliers: dict[str, float]
    candidates: list[Candidate]
    timeline: list[Step]
    after: str = ""
    replaced_by: str = ""
    cost: float | None = None
    error: str | None = None
    score: float | None = None
    cost_unit: str = "USD"
    summary: str = ""
    object: str = "floorline.explanation"

    def _repr_html_(self) -> str:
        rows = [("summary", self.summary)]
        rows += [(one.model, f"{one.reason}: {one.explanation}") for one in self.candidates]
        rows += [(f"{step.at - self.at:+.2f} s", step.text) for step in self.timeline]
        return html_table(f"Decision {self.id}", rows)
