"""The sections on how Floorline itself runs: policy, store, server, feedback, telemetry."""

from __future__ import annotations

import inspect
import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from floorline.config.models import BaseUrl, LoadContext
from floorline.config.places import quoted
from floorline.config.types import (
    Count,
    Duration,
    Fix,
    Number,
    SecretField,
    Section,
    Size,
    Text,
    Whole,
    field,
    rule_error,
)
from floorline.errors import InvalidInput
from floorline.policies import POLICIES, Policy, make_policy, policy_class
from floorline.router import Router

DEFAULT_POLICY: str = inspect.signature(Router).parameters["policy"].default

_SERVING = ", ".join(name for name, kind in POLICIES.items() if kind.knows == "feedback")


def _serving_policy(name: str) -> str:
    try:
        kind = policy_class(name)
    except InvalidInput as error:
        raise rule_error(f"is {quoted(name)}", error.fix) from None
    if kind.knows != "feedback":
        fix = f"choose one of {_SERVING}: this one needs answers that only replays know"
        raise rule_error(f"is {quoted(name)}", fix)
    return name


class PolicySettings(Section):
    """Who decides."""

    name: Annotated[Text, AfterValidator(_serving_policy)] = Field(
        DEFAULT_POLICY,
        description=f"Name of a policy ({_SERVING}), or module:Class of your own.",
    )
    options: dict[str, Any] = Field({}, description="Its parameters.")

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


def _database(url: str, info: ValidationInfo) -> str:
    if re.match(r"postgres(ql)?(\+psycopg)?://[^\s]+$", url):
        return "postgresql+psycopg://" + url.partition("://")[2]
    match = re.fullmatch(r"sqlite:///(?P<path>.+)", url)
    if match is None:
        raise ValueError
    return f"sqlite:///{LoadContext.of(info).folder / match['path']}"


class StoreSettings(Section):
    """Where the event log is kept."""

    url: Annotated[
        str,
        AfterValidator(_database),
        SecretField(),
        Fix("write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"),
    ] = field(
        "sqlite:///floorline.db",
        "SQLite file, relative to this file, or PostgreSQL database. Never shown.",
        repr=False,
    )
    store_prompts: bool = Field(
        False, description="Keep the texts of requests too; otherwise only their features are."
    )
    retention: Duration | None = field(
        "90d", "Age at which events and prompts are deleted, looked for every hour; null for never."
    )
    snapshot_every: Count = Field(
        10_000, description="Events between two snapshots of the state, from which a start goes on."
    )


class ServerSettings(Section):
    """The HTTP server."""

    host: Text = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: Annotated[Whole, Field(ge=0, le=65535), Fix("give a port from 0 (any) to 65535")] = Field(
        8080, description="Port to listen on; 0 for any free one."
    )
    max_in_flight: Count = Field(
        1024, description="Requests served at a time; further ones get 429 and Retry-After."
    )
    max_body: Size = field("20MiB", "Longest body of a request.")
    shutdown_grace: Duration = field(
        "30s", "How long open requests may go on after a signal to stop."
    )


class FeedbackSettings(Section):
    """Feedback from users."""

    max_age: Duration = field("30d", "Age of a decision up to which it is accepted.")


class TelemetrySettings(Section):
    """OpenTelemetry traces (extra otel)."""

    otlp_endpoint: BaseUrl | None = Field(
        None, description="OTLP/HTTP receiver, such as http://localhost:4318; empty for no traces."
    )
    service_name: Text = Field("floorline", description="The service's name in traces.")
    sample: Annotated[Number, Field(ge=0, le=1), Fix("give a share from 0 to 1")] = Field(
        1.0, description="Share of new traces to keep; a caller's own choice goes before."
    )
    capture_content: bool = Field(
        False, description="Put the texts of requests and answers into traces."
    )


EncoderName = Annotated[
    str,
    Field(pattern=r"^(hashed(:(projected|sparse))?|lsa:.+|minilm(:.+)?)$"),
    Fix("write hashed, hashed:sparse, lsa:PATH, minilm (downloads it) or minilm:PATH"),
    WithJsonSchema({"type": "string"}),
]


def beside(spec: str, info: ValidationInfo) -> str:
    """Make the path in an encoder's name relative to the folder of the file."""
    name, colon, path = spec.partition(":")
    if name == "hashed" or not colon:
        return spec
    return f"{name}:{LoadContext.of(info).folder / path}"
