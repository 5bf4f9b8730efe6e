"""The ``models`` and ``defaults`` sections: who can serve, at which price and how it is called."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from floorline.config.places import quoted
from floorline.config.types import (
    Count,
    Duration,
    Fix,
    Number,
    Price,
    Section,
    Size,
    Text,
    Whole,
    field,
    rule_error,
)
from floorline.zoo import Model

KEY_FIELDS = ("api_key", "api_key_env", "api_key_file")
"""The ways to give a provider's key, of which a model takes one."""


class LoadContext(NamedTuple):
    """What a file refers to: environment variables, and files relative to its own folder."""

    environ: Mapping[str, str]
    folder: Path

    @classmethod
    def of(cls, info: ValidationInfo) -> LoadContext:
        """Return those of a validation, the process's own by default."""
        given = info.context
        return given if isinstance(given, cls) else cls(os.environ, Path())


def _base_url(value: str) -> str:
    # No credentials: an address is shown, a key is not.
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value) or urlsplit(value).port == 0:
        raise ValueError
    value = value.rstrip("/")
    if value.endswith(("/chat/completions", "/models")):
        raise ValueError
    return value


def _model_name(value: str) -> str:
    if re.search(r"\s", value) or value.startswith("floorline/"):
        raise ValueError
    return value


def _header(name: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise ValueError
    return name


def _one_line(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text or not text.isprintable() or not text.isascii() or text.strip() != text:
        raise ValueError
    return value


def _set_variable(name: str, info: ValidationInfo) -> str:
    if not LoadContext.of(info).environ.get(name, "").strip():
        raise rule_error(f"is {quoted(name)}", f"set the environment variable {name}")
    return name


def _key_in(path: Path) -> str:
    key = path.read_text(encoding="utf-8").strip()
    if not key or re.search(r"\s", key):
        raise ValueError("not one key")
    return key


def _key_file(written: str, info: ValidationInfo) -> str:
    try:
        _key_in(LoadContext.of(info).folder / written)
    except OSError as error:
        fix = f"give a file that can be read ({error.strerror})"
        raise rule_error(f"is {quoted(written)}", fix) from None
    except ValueError:
        raise rule_error(
            f"is {quoted(written)}", "give a text file that holds one key only"
        ) from None
    return written


BaseUrl = Annotated[
    str,
    AfterValidator(_base_url),
    Fix("give the base URL, such as https://api.openai.com/v1, without /chat/completions"),
    WithJsonSchema({"type": "string", "pattern": "^(https?://|\\$\\{)"}),
]
Headers = dict[
    Annotated[str, AfterValidator(_header)], Annotated[SecretStr, AfterValidator(_one_line)]
]


class TimeoutsSection(Section):
    """How long each stage of a call may take."""

    connect: Duration = field("5s", "For looking up the name, connection and TLS handshake.")
    first_byte: Duration = field("120s", "From the start of an attempt to its first byte.")
    idle: Duration = field("60s", "Longest silence between two chunks of a stream.")
    total: Duration = field("600s", "For everything, attempts and waits between them included.")


class BreakerSection(Section):
    """Circuit breaker: stop calling a failing model and probe for its recovery."""

    failures: Count = Field(5, description="Failures within the window that open the breaker.")
    rate: Annotated[Number, Field(ge=0, le=1), Fix("give a share from 0 to 1")] = Field(
        0.5, description="Least share of all attempts that must have failed too."
    )
    window: Duration = field("30s", "How far back failures count.")
    open_for: Duration = field("15s", "How long it stays open before calls may try again.")
    probes: Count = Field(
        1, description="Calls let through then; as many successes in a row close the breaker."
    )


class ModelDefaults(Section):
    """Fields that hold for every model that does not set them itself."""

    endpoint: BaseUrl | None = Field(
        None, description="Base URL of an OpenAI-compatible API. Not needed with kind litellm."
    )
    kind: Literal["openai", "litellm"] = Field(
        "openai",
        description="openai for any OpenAI-compatible endpoint; litellm for all else (extra).",
    )
    api_key: (
        Annotated[
            SecretStr,
            AfterValidator(_one_line),
            Fix("give a text in ASCII on one line, in quotes if it looks like a number"),
        ]
        | None
    ) = Field(
        None, description="The provider's key, best written as ${NAME}. Never shown or logged."
    )
    api_key_env: Annotated[Text, AfterValidator(_set_variable)] | None = Field(
        None, description="Environment variable that holds the key."
    )
    api_key_file: Annotated[Text, AfterValidator(_key_file)] | None = Field(
        None, description="File that holds the key, relative to this one; read again on changes."
    )
    headers: Annotated[
        Headers, Fix("give header names without spaces, and texts on one line as their values")
    ] = Field({}, description="Further headers of every call. Never shown or logged.")
    input_price: Price = Field(0.0, description="Cost per million input tokens.")
    output_price: Price = Field(0.0, description="Cost per million output tokens.")
    call_price: Annotated[Price, Fix("give a price of 0 or more (cost unit per call)")] = Field(
        0.0, description="Cost of a call beside its tokens."
    )
    context_window: Count | None = Field(
        None, description="Most tokens a request may have; empty for no limit."
    )
    capabilities: Annotated[
        list[Text], Fix("give a list of texts, such as [tools, vision, json]")
    ] = Field(
        [], description="What it can do beside text: tools, vision, json or names of your own."
    )
    typical_output_tokens: Annotated[
        Number, Field(ge=1), Fix("give a number of tokens of 1 or more")
    ] = Field(256.0, description="Expected length of an answer before any was seen.")
    timeouts: TimeoutsSection = field({}, "How long each stage of a call may take.")
    retries: Annotated[Whole, Field(ge=0, le=10), Fix("give a whole number from 0 to 10")] = Field(
        2, description="Further attempts at the same model before the next best one is called."
    )
    breaker: BreakerSection = field(
        {}, "Circuit breaker: stop calling a failing model and probe for its recovery."
    )
    max_concurrency: Count = Field(256, description="Most calls at a time.")
    queue_length: Annotated[Whole, Field(ge=0), Fix("give a whole number of 0 or more")] = Field(
        256, description="Most calls that wait for one of them to end."
    )
    queue_wait: Duration = field("5s", "Longest such wait.")
    max_answer: Size = field("64MiB", "Longest answer, streamed or not.")
    ask_usage: bool = Field(
        True,
        description="Ask for token counts at the end of streams, so that costs are real; clients "
        "that did not ask for them do not see them.",
    )

    _key: SecretStr | None = PrivateAttr(None)
    _key_path: Path | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _find_key(self, info: ValidationInfo) -> ModelDefaults:
        around = LoadContext.of(info)
        self._key = self.api_key
        if self.api_key_env is not None:
            self._key = SecretStr(around.environ[self.api_key_env].strip())
        if self.api_key_file is not None:
            self._key_path = around.folder / self.api_key_file
            self._key = SecretStr(_key_in(self._key_path))
        return self

    @property
    def key(self) -> str | None:
        """The provider's key, wherever it was given; keep it out of logs."""
        return None if self._key is None else self._key.get_secret_value()

    @property
    def key_path(self) -> Path | None:
        """The file that holds the key, if one does."""
        return self._key_path


class ModelSettings(ModelDefaults):
    """One model that can serve."""

    name: Annotated[
        Text,
        AfterValidator(_model_name),
        Fix("give a name without spaces that does not begin with floorline/"),
    ] = Field(description="How requests, decisions and reports call it; unique.")
    model: Text | None = Field(None, description="What its provider calls it; the name by default.")

    @property
    def upstream_model(self) -> str:
        """What its provider calls it."""
        return self.name if self.model is None else self.model

    def completed(self, defaults: ModelDefaults) -> ModelSettings:
        """Return it with what it leaves open taken from the defaults."""
        taken = _left_open(self, defaults)
        own_key = any(name in self.model_fields_set for name in KEY_FIELDS)
        if own_key:
            taken = {name: value for name, value in taken.items() if name not in KEY_FIELDS}
        whole = self.model_copy(update=taken)
        if not own_key:
            whole._key, whole._key_path = defaults._key, defaults._key_path
        return whole

    def as_model(self) -> Model:
        """Return what routing knows of it."""
        return Model(
            name=self.name,
            input_price=self.input_price,
            output_price=self.output_price,
            call_price=self.call_price,
            typical_output_tokens=self.typical_output_tokens,
            endpoint=self.endpoint or "",
            context_window=self.context_window,
            capabilities=frozenset(self.capabilities),
        )


def _left_open(section: Section, defaults: Section) -> dict[str, Any]:
    """Fields that ``defaults`` sets and ``section`` does not, nested sections merged."""
    taken: dict[str, Any] = {}
    for name in defaults.model_fields_set:
        default = getattr(defaults, name)
        if name not in section.model_fields_set:
            taken[name] = default
        elif isinstance(default, Section):
            own = getattr(section, name)
            taken[name] = own.model_copy(update=_left_open(own, default))
        elif name == "headers":
            taken[name] = default | getattr(section, name)
    return taken
