"""The ``slas`` section: what is promised."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from floorline.config.types import Amount, Count, Duration, Fix, Number, Section, Text, rule_error
from floorline.sla import SLA, Budget


def _not_reserved(name: str) -> str:
    if name == "auto":
        raise ValueError
    return name


class BudgetSettings(Section):
    """Most that may be spent, in the cost unit."""

    total: Amount | None = Field(None, description="By all models together.")
    per_model: dict[str, Amount] = Field({}, description="By single models, by name.")
    period: Duration | None = Field(
        None,
        description="Renews the budget at every multiple of it in Unix time (1d: midnight UTC); "
        "empty for once and for all.",
    )

    @model_validator(mode="after")
    def _bounds_something(self) -> BudgetSettings:
        if self.total is None and not self.per_model:
            raise rule_error("is missing", "give total or per_model, or remove the budget", "total")
        return self


class SlaSettings(Section):
    """One promise on a stream of requests."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
        AfterValidator(_not_reserved),
        Fix(
            "give letters, digits, '.', '_' or '-' (requests write floorline/NAME), and not auto, "
            "which stands for the first SLA"
        ),
    ] = Field(
        description="Requests ask for it as floorline/NAME; unique. The first is the default."
    )
    floor: Annotated[
        Number, Field(ge=0, le=1), Fix("give the share of satisfied requests, from 0 to 1")
    ] = Field(description="Least long-run share of satisfied requests.")
    budget: BudgetSettings | None = Field(None, description="Most that may be spent.")
    confidence: Annotated[
        Number, Field(gt=0, lt=1), Fix("give a number above 0 and below 1, such as 0.95")
    ] = Field(0.95, description="Confidence of the interval that its status states.")
    label_window: Count | None = Field(
        None, description="Number of latest labels over which the status also states the mean."
    )
    max_latency: Duration | None = Field(
        None, description="Models whose mean latency so far is above it are passed over."
    )
    models: Annotated[
        list[Text] | None, Fix("give a list of names of models, or leave it out for all")
    ] = Field(None, min_length=1, description="Models that may serve; empty for all.")
    guarded: bool = Field(
        False,
        description="Aim so far above the floor that the lower bound reaches it, not just the "
        "mean, where the policy can.",
    )
    per_tenant: bool = Field(
        False, description="Keep the promise, and the budget, for every tenant separately."
    )

    def as_sla(self) -> SLA:
        """Return the promise that a router keeps."""
        budget = self.budget
        return SLA(
            name=self.name,
            floor=self.floor,
            budget=None
            if budget is None
            else Budget(total=budget.total, per_model=budget.per_model, period=budget.period),
            confidence=self.confidence,
            label_window=self.label_window,
            max_latency=self.max_latency,
            models=None if self.models is None else tuple(self.models),
            guarded=self.guarded,
        )
