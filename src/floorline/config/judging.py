"""The sections for judges, rules and shadow calls: labels that users do not give."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from floorline.config.types import (
    Amount,
    Count,
    Duration,
    Fix,
    Number,
    Section,
    Share,
    Size,
    Text,
    field,
    rule_error,
)

JUDGE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
RULES_JUDGE = "rules"
"""Name under which the rules judge."""
RUBRIC = (
    "The response answers the request rightly, completely and in the form that was asked for; a "
    "user who knows the subject would be satisfied with it."
)

_OWN_FIELDS = ("model", "messages", "stream", "n", "tools", "floorline")
"""Fields of a request to a judge that the gateway writes, or that would change what is paid."""
_BOUNDS = ("max_tokens", "max_completion_tokens")
_MAX_REPLY = 2**17
"""Most tokens of a judge's reply: the largest answers of models in use."""

RuleKind = Literal["json", "schema", "tool_call", "code", "refusal", "empty", "cut", "asked_again"]

_Name = Annotated[
    str,
    Field(pattern=JUDGE_NAME),
    Fix("give at most 64 letters, digits, '.', '_' or '-'"),
]
_Rate = Annotated[
    Number, Field(gt=0, le=1), Fix("give the share of responses, above 0 and at most 1")
]


class JudgingBudget(Section):
    """Largest cost of judging, in the cost unit."""

    total: Amount = Field(description="Largest cost in each period.")
    period: Duration | None = field(
        "1d",
        "Time after which it renews, at its multiples in Unix time; null for a budget that never "
        "renews.",
    )


class RateSettings(Section):
    """Another rate for some of the responses."""

    rate: Share = Field(description="Share of these responses that are judged.")
    sla: Text | None = Field(None, description="Only those under this SLA.")
    tenant: Text | None = Field(None, description="Only those of this tenant.")
    model: Text | None = Field(None, description="Only those of this model.")


class JudgeSettings(Section):
    """A model that judges a share of the responses, beside the requests."""

    name: _Name = Field(description="Name in reports; unique.")
    model: Text = Field(description="Name of the model that judges, one of models.")
    rubric: Text = Field(RUBRIC, description="When a response is good, in words for the judge.")
    against: Text | None = Field(
        None,
        description="Name of a model: the judge compares the response with one of this model, "
        "twice and in both orders, and does not grade it.",
    )
    rate: _Rate = Field(0.1, description="Share of the responses that are drawn.")
    rates: list[RateSettings] = Field(
        [], description="Other rates by SLA, tenant and model; the first that fits counts."
    )
    boost: Annotated[Number, Field(ge=1, le=100), Fix("give a factor from 1 to 100")] = Field(
        4.0,
        description="How much more often responses of a model without labels are drawn than those "
        "of one with many. The probability of each draw is logged.",
    )
    labelled: Share = Field(
        1.0,
        description="Share of the responses with a user's label that are judged too, to learn how "
        "the judge differs from users.",
    )
    budget: JudgingBudget = Field(description="Largest cost of this judge. It is reserved first.")
    fields: dict[str, Any] = Field(
        {},
        description="Further fields of each request to the judge's model, such as temperature or "
        "reasoning_effort. A reply has 512 tokens at most, and 4,096 from a model of OpenAI that "
        "reasons, unless max_tokens or max_completion_tokens is given here.",
    )
    concurrency: Annotated[Count, Field(le=256)] = Field(
        4, description="Largest number of its calls at a time, of each process."
    )

    @model_validator(mode="after")
    def _fields_are_free(self) -> JudgeSettings:
        """Refuse fields that the gateway writes, and a bound of the reply that is none."""
        for name, value in self.fields.items():
            if name in _OWN_FIELDS:
                fix = f"leave it out: the gateway writes {', '.join(_OWN_FIELDS)}"
                raise rule_error("is the gateway's", fix, "fields", name)
            if name == "max_output_tokens":
                fix = "give max_tokens or max_completion_tokens: judges are asked in chat requests"
                raise rule_error("bounds no reply", fix, "fields", name)
            if name in _BOUNDS and not (type(value) is int and 1 <= value <= _MAX_REPLY):
                fix = f"give a whole number of tokens from 1 to {_MAX_REPLY:,}"
                raise rule_error("bounds no reply", fix, "fields", name)
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                fix = "give what JSON has"
                raise rule_error(f"is {value!r}", fix, "fields", name) from None
        return self

    @model_validator(mode="after")
    def _pairs_represent_all(self) -> JudgeSettings:
        """Refuse what would make the bounds of users wrong: pairs that lean to some models."""
        uneven = self.boost > 1.0 or any(other.model or other.tenant for other in self.rates)
        if self.labelled < 1.0 and uneven:
            fix = "set labelled: 1, or boost: 1 and no rates by model or tenant"
            raise rule_error(
                "is below 1 while some responses are drawn more often", fix, "labelled"
            )
        for number, other in enumerate(self.rates):
            if other.rate == 0.0 and other.model is not None:
                fix = "give a small rate: without any, the judge's mean leaves this model out"
                raise rule_error("is 0 for a model", fix, "rates", number, "rate")
        return self


class RuleSettings(Section):
    """A test of a response that needs no model."""

    kind: RuleKind = Field(
        description="What breaks the rule. json: the request asks for JSON and the response is "
        "none. schema: it does not fit the request's schema, or the rule's. tool_call: a call of "
        "an unknown tool, or with arguments that do not fit it. code: a fenced block of Python or "
        "JSON that does not parse. refusal, empty, cut: the model refuses, says nothing, or is cut "
        "off at its limit. asked_again: nearly the same request in the same session soon after."
    )
    name: _Name | None = Field(None, description="Name in metrics; the kind by default.")
    weight: Share = Field(
        1.0,
        description="How much of the score a broken rule takes away: a response scores 1 less the "
        "weights of the rules that it breaks, at least 0.",
    )
    schema_: dict[str, Any] | None = Field(
        None, alias="schema", description="JSON schema, for the kind schema."
    )
    slas: list[Text] | None = Field(None, description="Only under these SLAs; empty for all.")

    @property
    def label(self) -> str:
        """Name of the rule in metrics."""
        return self.name or self.kind

    @model_validator(mode="after")
    def _has_its_schema(self) -> RuleSettings:
        if self.schema_ is not None and self.kind != "schema":
            raise rule_error("is given", "leave it out, or set kind: schema", "schema")
        return self


class ShadowSettings(Section):
    """Calls of another model beside the one that serves, whose responses only judges see."""

    rate: _Rate = Field(0.01, description="Share of the requests, drawn at random.")
    judge: Text = Field(description="Name of the judge that scores both responses.")
    models: list[Text] | None = Field(
        None, min_length=1, description="Models that may be called; empty for all of the SLA."
    )
    budget: JudgingBudget = Field(description="Largest cost of these calls, without the judge's.")


class JudgingSettings(Section):
    """Responses that wait for judges."""

    keep: Duration = field(
        "10m",
        "Longest time that a request and its response are kept in memory, for a user's label or "
        "the same question again. They are never written to the disk.",
    )
    memory: Annotated[Size, Field(ge=2**16)] = field(
        "64MiB", "Largest memory of all that are kept, of each process; the oldest go first."
    )
    max_response: Annotated[Size, Field(ge=2**10)] = field(
        "256KiB", "Largest response that is judged; longer ones are passed over, and counted."
    )
