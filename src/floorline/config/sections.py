"""The sections for SLAs and for the server itself: policy, store, feedback, telemetry."""

from __future__ import annotations

import inspect
import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from floorline.config.base_url import BaseUrl
from floorline.config.document import quoted
from floorline.config.secrets import LoadContext, Secret
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
from floorline.errors import InvalidInput
from floorline.policies import POLICIES, Policy, make_policy, policy_class
from floorline.sla import SLA, Budget, check_quantiles
from floorline.stores.urls import normal_url

DEFAULT_POLICY = "primal_dual"
"""The default of ``Router``, too."""


def _serves(kind: type[Policy]) -> bool:
    return kind.knows == "feedback" and "checkpoint" not in kind.needs


_SERVING = ", ".join(name for name, kind in POLICIES.items() if _serves(kind))
"""Policies that decide without the answers of all models, which only replays know."""


def _not_auto(name: str) -> str:
    if name == "auto":
        raise ValueError
    return name


def _known_quantiles(given: dict[str, float]) -> dict[str, float]:
    try:
        return check_quantiles("quantiles", given)
    except InvalidInput as error:
        wrong = f"is {quoted(str(error.value))}"
        named = [name for name in given if error.field == f"quantiles[{name!r}]"]
        raise rule_error(wrong, error.fix, *named) from None


Quantiles = Annotated[
    dict[str, Duration],
    AfterValidator(_known_quantiles),
    Fix("write quantiles with durations, such as {p95: 2s}"),
]


class BudgetSettings(Section):
    """Largest cost under an SLA, in the cost unit."""

    total: Amount | None = Field(None, description="Budget of all models together.")
    per_model: dict[str, Amount] = Field({}, description="Budgets of single models, by name.")
    period: Duration | None = Field(
        None,
        description="Time after which the budget renews, at its multiples in Unix time (1d: "
        "midnight UTC); empty for a budget that never renews.",
    )

    @model_validator(mode="after")
    def _bounds_something(self) -> BudgetSettings:
        if self.total is None and not self.per_model:
            raise rule_error("is missing", "give total or per_model, or remove the budget", "total")
        return self


class SlaSettings(Section):
    """One SLA: a floor on the satisfaction of its requests."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"),
        AfterValidator(_not_auto),
        Fix(
            "give at most 100 letters, digits, '.', '_' or '-' (requests write floorline/NAME), "
            "and not auto, which stands for the first SLA"
        ),
    ] = Field(
        description="Name that requests ask for, as floorline/NAME; unique. The first SLA is the "
        "default."
    )
    floor: Annotated[
        Number, Field(ge=0, le=1), Fix("give the share of satisfied requests, from 0 to 1")
    ] = Field(description="Smallest long-run share of satisfied requests.")
    budget: BudgetSettings | None = Field(None, description="Largest cost under the SLA.")
    confidence: Annotated[
        Number, Field(gt=0, lt=1), Fix("give a number above 0 and below 1, such as 0.95")
    ] = Field(0.95, description="Confidence of the interval in the SLA's status.")
    label_window: Count | None = Field(
        None, description="Number of latest labels over which the status also gives the mean."
    )
    max_latency: Duration | None = Field(
        None,
        description="Largest median latency of a model's latest calls; slower models are "
        "not chosen.",
    )
    ttft: Quantiles | None = Field(
        None,
        description="Promised time to the first content of the answer, by quantile: {p95: 2s} "
        "promises 2 s to at least 95 % of the requests (docs/latency.md).",
    )
    latency: Quantiles | None = Field(
        None, description="Promised time to the end of the answer, such as {p95: 20s}."
    )
    models: Annotated[
        list[Text] | None, Fix("give a list of names of models, or leave it out for all")
    ] = Field(None, min_length=1, description="Models that may serve; empty for all.")
    guarded: bool = Field(
        False,
        description="Aim above the floor, so that the lower confidence bound reaches it and not "
        "just the mean, where the policy can.",
    )
    per_tenant: bool = Field(
        False, description="Give each tenant a floor, a budget and a certificate of its own."
    )

    def as_sla(self) -> SLA:
        """Return the SLA as a router takes it."""
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
            ttft=self.ttft,
            latency=self.latency,
        )


def _serving_policy(name: str) -> str:
    try:
        kind = policy_class(name)
    except InvalidInput as error:
        raise rule_error(f"is {quoted(name)}", error.fix) from None
    if kind.knows != "feedback":
        fix = f"choose one of {_SERVING}: this one needs the answers of all models, which only "
        raise rule_error(f"is {quoted(name)}", fix + "replays have")
    if "checkpoint" in kind.needs:
        fix = "choose another policy: this one needs a trained network, which only replays load"
        raise rule_error(f"is {quoted(name)}", fix)
    return name


class PolicySettings(Section):
    """The policy that decides."""

    name: Annotated[Text, AfterValidator(_serving_policy)] = Field(
        DEFAULT_POLICY,
        description=f"Name of a policy ({_SERVING}), or module:Class of your own.",
    )
    options: dict[str, Any] = Field({}, description="Parameters of the policy.")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _has_options(self) -> PolicySettings:
        known = inspect.signature(policy_class(self.name)).parameters
        for option in self.options:
            if option not in known:
                fix = f"choose one of: {', '.join(known) or 'none'}"
                raise rule_error("is no parameter of the policy", fix, "options", option)
        return self

    def build(self) -> Policy:
        """Build the policy.

        Raises
        ------
        InvalidInput
            If an option breaks its rules.
        """
        return make_policy(self.name, **self.options)


def _database_url(secret: SecretStr, info: ValidationInfo) -> SecretStr:
    """Make the path of a SQLite file relative to the configuration file's folder."""
    url = normal_url(secret.get_secret_value())
    if re.fullmatch(r"postgresql\+psycopg://\S+", url):
        return SecretStr(url)
    match = re.fullmatch(r"sqlite:///(?P<path>.+)", url)
    if match is None:
        raise ValueError
    return SecretStr(f"sqlite:///{LoadContext.of(info).folder / match['path']}")


class StoreSettings(Section):
    """Where the event log is kept, and for how long."""

    url: Annotated[
        Secret,
        AfterValidator(_database_url),
        Fix("write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"),
    ] = field(
        "sqlite:///floorline.db",
        "SQLite file, relative to this file, or PostgreSQL database. Never shown or logged.",
    )
    store_prompts: bool = Field(
        False, description="Keep the texts of requests, and not only their features."
    )
    retention: Duration | None = field(
        "90d",
        "Age at which events and prompts are deleted, checked every hour; null keeps them all.",
    )
    snapshot_every: Count = Field(
        10_000,
        description="Number of events between two snapshots of the state. A start reads the last "
        "snapshot and the events after it.",
    )


class FeedbackSettings(Section):
    """Feedback from users."""

    max_age: Duration = field("30d", "Largest age of a decision that still gets feedback.")
    rate: Count | None = field(
        6_000,
        "Largest number of feedback messages a minute from one API key; each message of a batch "
        "counts. A key can have a rate of its own. null for no limit.",
    )


def _in_folder_of_file(given: str, info: ValidationInfo) -> str:
    return str(LoadContext.of(info).folder / given)


class SpoolSettings(Section):
    """Where a replica keeps events while PostgreSQL cannot be reached."""

    folder: Annotated[Text, AfterValidator(_in_folder_of_file)] | None = field(
        "floorline-spool",
        "Folder on a disk that outlives the process, relative to this file; several processes may "
        "share it. null for no spool: requests are then refused (503) while the database is away. "
        "A store in SQLite needs none.",
    )
    max: Annotated[Size, Field(ge=2**20)] = field(
        "256MiB",
        "Largest size of one process's events there. Requests are refused (503) beyond it.",
    )


class ReplicaSettings(Section):
    """Several processes that keep one promise (docs/replicas.md)."""

    enabled: bool = Field(
        False,
        description="Share the log in store.url with other processes: any number of servers, of "
        "which one at a time learns. 'floorline serve --workers N' sets it.",
    )
    publish: Duration = field("250ms", "Pause between two states that the learner publishes.")
    lease: Annotated[Duration, Field(ge=0.5)] = field(
        "5s", "Time after which another process learns in place of one that was killed."
    )
    spool: SpoolSettings = field({}, "Where events wait while PostgreSQL cannot be reached.")


class DashboardSettings(Section):
    """The dashboard, which the gateway serves below ``/dashboard``."""

    enabled: bool = Field(True, description="Serve the dashboard.")
    playground: bool = Field(
        False,
        description="With auth: none, let the playground send prompts to models; otherwise it only "
        "shows who would answer. With keys, the scope chat of the viewer's key decides.",
    )
    max_viewers: Annotated[Count, Field(le=10_000)] = Field(
        50,
        description="Largest number of pages that get live updates at a time; others show what "
        "they have until they are loaded again.",
    )


class TelemetrySettings(Section):
    """OpenTelemetry traces and metrics (extra otel)."""

    otlp_endpoint: BaseUrl | None = Field(
        None, description="OTLP/HTTP receiver, such as http://localhost:4318; empty for no traces."
    )
    service_name: Text = Field("floorline", description="Name of the service in traces.")
    sample: Share = Field(
        1.0,
        description="Share of new traces to keep; a trace that a client began follows the "
        "client's choice.",
    )
    capture_content: bool = Field(
        False, description="Put the texts of requests and answers into traces."
    )
    metrics: bool = Field(
        False,
        description="Send gen_ai metrics to the receiver too, of all calls whatever sample is.",
    )


EncoderName = Annotated[
    str,
    Field(pattern=r"^(hashed(:(projected|sparse))?|lsa:.+|minilm(:.+)?)$"),
    Fix("write hashed, hashed:sparse, lsa:PATH, minilm (downloads it) or minilm:PATH"),
    WithJsonSchema({"type": "string"}),
]


def relative_to_file(spec: str, info: ValidationInfo) -> str:
    """Make the path in an encoder's name relative to the folder of the file."""
    name, colon, path = spec.partition(":")
    if name == "hashed" or not colon:
        return spec
    return f"{name}:{LoadContext.of(info).folder / path}"


OWN_LOG = "log"
"""Value of ``history`` that stands for the server's own log."""


def history_file(history: str | None, info: ValidationInfo) -> str | None:
    """Make the path of a history relative to the folder of the file, and check that it exists."""
    if history is None or history == OWN_LOG:
        return history
    path = LoadContext.of(info).folder / history
    if not path.is_file():
        raise rule_error(f"is {quoted(history)}", "give the path of a file that exists, or log")
    return str(path)
