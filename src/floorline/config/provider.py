"""How a model's provider is called: endpoint, key, headers, timeouts, retries and limits."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from floorline.config.addresses import read_origin
from floorline.config.document import VARIABLE_NAME, quoted
from floorline.config.types import (
    NOT_SHOWN,
    Count,
    Duration,
    Fix,
    Section,
    Share,
    Size,
    Text,
    Whole,
    field,
    rule_error,
)

KEY_FIELDS = ("api_key", "api_key_env", "api_key_file")
"""The ways to give a provider's key, of which a model takes one."""

_MAX_URL = 2048
"""Characters of an endpoint; it is part of every change of the zoo in the log."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that the HTTP client sets; servers refuse requests that have them twice."""


class LoadContext(NamedTuple):
    """What a file refers to.

    Attributes
    ----------
    environ
        Environment variables.
    folder
        Folder of the file, to which its relative paths are relative.
    """

    environ: Mapping[str, str]
    folder: Path

    @classmethod
    def of(cls, info: ValidationInfo) -> LoadContext:
        """Return the context of a validation; the process's own if it has none."""
        given = info.context
        return given if isinstance(given, cls) else cls(os.environ, Path())


def _base_url(value: str) -> str:
    # An address with credentials is refused, because addresses are shown and logged.
    match = re.fullmatch(r"(https?://[^\s/?#@]+(?:/[^\s?#]*)?)(\?[^\s#]+)?", value)
    if match is None or len(value) > _MAX_URL:
        raise ValueError
    # What the HTTP client cannot read would fail at every call.
    read_origin(value)
    base, query = match[1].rstrip("/"), match[2] or ""
    if base.endswith(("/chat/completions", "/models")):
        raise ValueError
    return base + query


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError
    if name.lower() in _OWN_HEADERS:
        raise rule_error(f"is {quoted(name)}", "remove it: the HTTP client sets this header")
    return name


def _is_one_line(text: str) -> bool:
    """Whether a text can be the value of an HTTP header."""
    return bool(text) and text.isprintable() and text.isascii() and text.strip() == text


def _one_line(value: SecretStr) -> SecretStr:
    if not _is_one_line(value.get_secret_value()):
        raise ValueError
    return value


def _set_variable(name: str, info: ValidationInfo) -> str:
    if not VARIABLE_NAME.fullmatch(name):
        # Often the key itself.
        raise rule_error(NOT_SHOWN, "give the name of an environment variable")
    value = LoadContext.of(info).environ.get(name, "").strip()
    if not value:
        raise rule_error(f"is {quoted(name)}", f"set the environment variable {name}")
    if not _is_one_line(value):
        fix = f"set the environment variable {name} to a text in ASCII on one line"
        raise rule_error(f"is {quoted(name)}", fix)
    return name


def _key_in(path: Path) -> str:
    key = path.read_text(encoding="utf-8").strip()
    if not _is_one_line(key) or " " in key:
        raise ValueError("not one key")
    return key


def _key_file(written: str, info: ValidationInfo) -> str:
    try:
        _key_in(LoadContext.of(info).folder / written)
    except OSError as error:
        # The text may be the key itself.
        fix = f"give a file that can be read ({error.strerror})"
        raise rule_error(NOT_SHOWN, fix) from None
    except ValueError:
        raise rule_error(
            f"is {quoted(written)}", "give a text file in ASCII that holds one key only"
        ) from None
    return written


BaseUrl = Annotated[
    str,
    AfterValidator(_base_url),
    Fix("give the base URL, such as https://api.openai.com/v1, without /chat/completions"),
    WithJsonSchema({"type": "string", "pattern": "^(https?://|\\$\\{)"}),
]
Headers = dict[
    Annotated[str, AfterValidator(_header_name)], Annotated[SecretStr, AfterValidator(_one_line)]
]


class TimeoutSettings(Section):
    """Seconds after which a call of a provider ends with an error."""

    connect: Duration = field(
        "5s", "Longest time for name lookup, connection and TLS handshake together."
    )
    first_byte: Duration = field(
        "120s",
        "Longest time from the start of an attempt to the first byte of the answer. Without "
        "streaming the first byte comes with the whole answer.",
    )
    idle: Duration = field("60s", "Longest time between two chunks of an answer.")
    total: Duration = field(
        "600s", "Longest time for a call, with all attempts and the waits between them."
    )


class BreakerSettings(Section):
    """Circuit breaker: stop calling a failing model and probe for its recovery.

    The breaker opens once the last ``window_seconds`` saw ``failures`` failures or more and these
    are at least the share ``rate`` of all attempts. It stays open for ``open_for`` seconds, then
    lets ``probes`` calls through at a time: as many successes in a row close it, any failure opens
    it again.

    In the file ``window_seconds`` is ``window``, because its value has a unit there ("30s").
    """

    failures: Count = Field(5, description="Failures within the window that open the breaker.")
    rate: Share = Field(
        0.5, description="Share of all attempts in the window that must have failed, too."
    )
    window_seconds: Duration = field(
        "30s", "Time span of the latest attempts that count.", alias="window"
    )
    open_for: Duration = field("15s", "Time from opening until probes are let through.")
    probes: Count = Field(
        1,
        description="Calls let through at a time after that; as many successes in a row close the "
        "breaker.",
    )


class ProviderSettings(Section):
    """How a model's provider is called: the one declaration, for the file and for the calls."""

    endpoint: BaseUrl | None = Field(
        None,
        description="Base URL of an OpenAI-compatible API, with a query if it needs one; optional "
        "with kind litellm.",
    )
    kind: Literal["openai", "litellm"] = Field(
        "openai",
        description="openai: any OpenAI-compatible endpoint. litellm: another provider, through "
        "LiteLLM (extra litellm).",
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
        None,
        description="File that holds the key, relative to this file; read again when it changes.",
    )
    headers: Annotated[
        Headers, Fix("give header names without spaces, and texts on one line as their values")
    ] = Field({}, description="Further headers of every call. Never shown or logged.")
    timeouts: TimeoutSettings = field({}, "Longest times of the stages of a call.")
    retries: Annotated[Whole, Field(ge=0, le=10), Fix("give a whole number from 0 to 10")] = Field(
        2, description="Attempts after the first one, before another model is called."
    )
    breaker: BreakerSettings = field(
        {}, "Circuit breaker: stop calling a failing model and probe for its recovery."
    )
    max_concurrency: Count = Field(256, description="Largest number of calls at a time.")
    queue_length: Annotated[Whole, Field(ge=0), Fix("give a whole number of 0 or more")] = Field(
        256, description="Largest number of calls that wait while max_concurrency is reached."
    )
    queue_wait: Duration = field("5s", "Longest time that a call waits in the queue.")
    max_answer: Size = field("64MiB", "Largest size of an answer, streamed or not.")
    ask_usage: bool = Field(
        True,
        description="Ask providers for token counts at the end of streams, so that costs are not "
        "estimates; clients that did not ask for them do not see them.",
    )

    _key: SecretStr | None = PrivateAttr(None)
    _key_path: Path | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _find_key(self, info: ValidationInfo) -> ProviderSettings:
        context = LoadContext.of(info)
        self._key = self.api_key
        if self.api_key_env is not None:
            self._key = SecretStr(context.environ[self.api_key_env].strip())
        if self.api_key_file is not None:
            self._key_path = context.folder / self.api_key_file
            self._key = SecretStr(_key_in(self._key_path))
        return self

    @property
    def key(self) -> SecretStr | None:
        """The provider's key, from whichever field it was given in."""
        return self._key

    @property
    def key_path(self) -> Path | None:
        """The file that holds the key, if one does."""
        return self._key_path

    def secrets(self) -> list[str]:
        """Return the texts that no log, message or answer may show."""
        hidden = [*self.headers.values(), *([] if self._key is None else [self._key])]
        return [secret.get_secret_value() for secret in hidden]
