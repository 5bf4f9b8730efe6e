"""Headers of clients that are passed on to a provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from floorline.config.document import quoted
from floorline.config.secrets import OWN_HEADERS, header_fault, header_name
from floorline.config.types import Fix, Text, cleaned, rule_error

MAX_PASSED = 32
"""Headers that are passed on at most."""
_MAX_CHARACTERS = 8_192
"""Characters of all values together; many servers refuse more than 8 KiB of headers."""
_OF_THE_CLIENT = frozenset(
    {
        "accept",
        "api-key",
        "authorization",
        "cookie",
        "forwarded",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "set-cookie",
        "user-agent",
        "x-api-key",
        "x-goog-api-key",
    }
)
"""Headers that are never passed on: secrets of the client, and what holds for one connection."""


def _passed(name: str) -> str:
    lowered = header_name(name).lower()
    if lowered in _OF_THE_CLIENT or lowered in OWN_HEADERS or lowered.startswith("x-floorline-"):
        fix = "remove it: it is a secret of the client, or is about its connection to the gateway"
        raise rule_error(f"is {quoted(name)}", fix)
    return lowered


PassedHeaders = Annotated[
    list[Annotated[Text, BeforeValidator(cleaned), AfterValidator(_passed)]],
    Field(max_length=MAX_PASSED),
    Fix(f"give a list of at most {MAX_PASSED} names of headers, such as [x-user-id]"),
]


def passed_on(names: Iterable[str], incoming: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request that are passed on.

    Parameters
    ----------
    names
        Names in lower case.
    incoming
        Headers of the request, names in lower case.

    Examples
    --------
    >>> passed_on(["x-user-id"], {"x-user-id": "7", "cookie": "secret"})
    {'x-user-id': '7'}
    """
    found: dict[str, str] = {}
    left = _MAX_CHARACTERS
    for name in names:
        value = incoming.get(name)
        # Values that a request cannot have, or that no provider takes, are left out.
        if value and len(value) <= left and header_fault(value) is None:
            found[name] = value
            left -= len(value)
    return found
