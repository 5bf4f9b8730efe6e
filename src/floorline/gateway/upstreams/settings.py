"""What the gateway must know of an upstream to call it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from floorline.errors import InvalidInput, check_number, check_one_of

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Of these the client speaks for itself; a second one would make requests that servers refuse.
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
KINDS = ("openai", "litellm")
"""An OpenAI-compatible endpoint, or anything else through LiteLLM."""


class Secret:
    """A text that must not be seen: no representation, format or error shows it.

    Examples
    --------
    >>> key = Secret("sk-1234")
    >>> key, f"{key}"
    (Secret('***'), '***')
    >>> key.reveal()
    'sk-1234'
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or not text:
            raise InvalidInput("Secret", Hidden(), "give a text that is not empty")
        if not text.isprintable() or not text.isascii() or text.strip() != text:
            raise InvalidInput(
                "Secret", Hidden(), "take out spaces at its ends, line breaks and what is not ASCII"
            )
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> Any:
        raise TypeError("a Secret is not written anywhere")


class Hidden:
    """Stands in errors for a value that must not be seen."""

    def __repr__(self) -> str:
        return "hidden"


def _positive(field: str, value: float, unit: str) -> None:
    fix = f"give a number of {unit} above 0"
    if not check_number(field, value, low=0.0, fix=fix):
        raise InvalidInput(field, value, fix)


def _whole(field: str, value: float, low: int, unit: str) -> None:
    fix = f"give a whole number of {unit} of {low} or more"
    if check_number(field, value, low=low, high=math.inf, fix=fix) % 1:
        raise InvalidInput(field, value, fix)


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seconds after which a call is given up.

    ``connect`` bounds name lookup, connection and TLS handshake; ``first_byte`` the time from the
    start of an attempt to the first byte of its body (which, where nothing is streamed, comes with
    the whole answer); ``idle`` the silence between two chunks of a body; ``total`` everything,
    attempts and waits between them included.
    """

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 60.0
    total: float = 600.0

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            _positive(f"Timeouts.{field}", getattr(self, field), "seconds")


class Retries(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often and when a call that failed before its first byte is made again.

    Before attempt n + 1 passes a random time between 0 and ``base`` · 2ⁿ⁻¹ seconds, at most
    ``cap``, or what ``Retry-After`` says if that is longer. A provider that asks for more than
    ``longest_wait`` seconds is not asked again: another model serves sooner.
    """

    attempts: int = 3
    base: float = 0.25
    cap: float = 8.0
    longest_wait: float = 20.0

    def __post_init__(self) -> None:
        _whole("Retries.attempts", self.attempts, 1, "attempts")
        for field in ("base", "cap", "longest_wait"):
            check_number(
                f"Retries.{field}", getattr(self, field), low=0.0, fix="give seconds of 0 or more"
            )


class BreakerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Circuit breaker: when to stop calling a failing model, and when to probe for its recovery.

    The breaker opens once the last ``window_seconds`` saw ``failures`` failures or more and these
    are at least the share ``rate`` of all attempts. It stays open for ``open_for`` seconds, then
    lets ``probes`` calls through at a time: as many successes in a row close it, any failure opens
    it again.
    """

    failures: int = 5
    rate: float = 0.5
    window_seconds: float = 30.0
    open_for: float = 15.0
    probes: int = 1

    def __post_init__(self) -> None:
        _whole("BreakerSettings.failures", self.failures, 1, "failures")
        _whole("BreakerSettings.probes", self.probes, 1, "calls")
        _positive("BreakerSettings.window_seconds", self.window_seconds, "seconds")
        _positive("BreakerSettings.open_for", self.open_for, "seconds")
        check_number(
            "BreakerSettings.rate", self.rate, low=0.0, high=1.0, fix="give a share from 0 to 1"
        )


class UpstreamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model's provider.

    Parameters
    ----------
    model
        The provider's name of the model; for LiteLLM with its prefix, as in ``bedrock/...``.
    base_url
        Up to and with the version, as in ``https://api.openai.com/v1``. May be left out for
        LiteLLM only.
    api_key
        Sent as bearer token; None for none.
    headers
        Sent with every request. Values that are a ``Secret`` are as hidden as the key.
    timeouts, retries, breaker
        See there.
    max_concurrency, queue_length, queue_wait
        Calls at a time, calls that may wait for one of them to end, and how many seconds long.
    ask_usage
        Ask for the usage of streams where the client did not, and keep that chunk from it.
    max_body
        Bytes of an answer, streamed or not, above which it is given up.
    kind
        One of ``KINDS``.

    Examples
    --------
    >>> UpstreamSettings(model="llama3", base_url="http://localhost:11434/v1").max_concurrency
    256
    >>> UpstreamSettings(model="llama3", base_url="localhost:11434")
    Traceback (most recent call last):
    ...
    floorline.errors.InvalidInput: UpstreamSettings.base_url is 'localhost:11434': give an ...
    """

    model: str
    base_url: str = ""
    api_key: Secret | None = None
    headers: Mapping[str, str | Secret] = {}
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    breaker: BreakerSettings = BreakerSettings()
    max_concurrency: int = 256
    queue_length: int = 256
    queue_wait: float = 5.0
    ask_usage: bool = False
    max_body: int = 64 * 2**20
    kind: str = "openai"

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model.strip():
            raise InvalidInput("UpstreamSettings.model", self.model, "give the provider's name")
        check_one_of("UpstreamSettings.kind", self.kind, KINDS)
        if self.kind == "openai" or self.base_url:
            _check_url(self.base_url)
        if self.api_key is not None and not isinstance(self.api_key, Secret):
            raise InvalidInput("UpstreamSettings.api_key", Hidden(), "wrap the key in a Secret")
        for name, value in self.headers.items():
            _check_header(name, value, keyed=self.api_key is not None)
        _whole("UpstreamSettings.max_concurrency", self.max_concurrency, 1, "calls")
        _whole("UpstreamSettings.queue_length", self.queue_length, 0, "calls")
        check_number(
            "UpstreamSettings.queue_wait",
            self.queue_wait,
            low=0.0,
            fix="give seconds of 0 or more",
        )
        _whole("UpstreamSettings.max_body", self.max_body, 1, "bytes")

    def secrets(self) -> tuple[str, ...]:
        """Texts that nobody but the provider may see."""
        hidden = [value for value in self.headers.values() if isinstance(value, Secret)]
        if self.api_key is not None:
            hidden.append(self.api_key)
        return tuple(secret.reveal() for secret in hidden)


def _check_url(url: str) -> None:
    field = "UpstreamSettings.base_url"
    fix = "give an http:// or https:// address such as 'https://api.openai.com/v1'"
    if not isinstance(url, str):
        raise InvalidInput(field, url, fix)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidInput(field, url, fix) from None
    if "@" in parts.netloc:
        raise InvalidInput(field, Hidden(), "give the credentials as api_key or headers instead")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise InvalidInput(field, url, fix)
    if parts.fragment or not url.isprintable() or " " in url:
        raise InvalidInput(field, url, fix)


def _check_header(name: str, value: str | Secret, *, keyed: bool) -> None:
    field = "UpstreamSettings.headers"
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise InvalidInput(field, name, "give a header's name of letters, digits and dashes")
    lower = name.lower()
    if lower in _OWN_HEADERS:
        raise InvalidInput(field, name, "leave it out; the client sets it itself")
    if lower == "authorization" and keyed:
        raise InvalidInput(field, name, "give either this header or api_key")
    if isinstance(value, Secret):
        return
    if not isinstance(value, str) or not value.isprintable() or not value.isascii():
        raise InvalidInput(f"{field}[{name!r}]", Hidden(), "give a text in ASCII on one line")
