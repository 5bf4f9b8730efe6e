"""The base URL of an API: the one reader of URLs that the configuration names."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from yarl import URL

from floorline.config.addresses import BadUrl, read_origin
from floorline.config.types import Fix, cleaned, value_error
from floorline.core.bounds import MAX_URL

URL_SCHEMA: dict[str, Any] = {"type": "string", "pattern": r"^([Hh][Tt][Tt][Pp][Ss]?://|\$\{)"}
"""JSON Schema of a URL, or of a reference to the environment."""

_CHAT = "/chat/completions"
_OF_THE_API = re.compile(r"(.*/v\d+\w*)/(?:models|completions|responses|embeddings)")
"""Addresses below a version that are not the base URL. Without a version they can be one: that of
Azure's models is .../models."""


def read_base_url(url: str) -> str:
    """Return a base URL as it is called: scheme and host in lower case and ASCII, its query kept.

    The address of the chat completions, which providers' pages show, stands for its base URL.

    Raises
    ------
    BadUrl
        If it cannot be called.

    Examples
    --------
    >>> read_base_url("HTTPS://Example.org/openai/v1/?api-version=preview")
    'https://example.org/openai/v1?api-version=preview'
    >>> read_base_url("http://localhost:8000/v1/chat/completions")
    'http://localhost:8000/v1'
    """
    if len(url) > MAX_URL:
        raise BadUrl("is too long", f"give a URL of at most {MAX_URL:,} characters")
    if url[:1] in "\"'“”„«‘":
        raise BadUrl("is in quotes", "remove the quotes that are part of the value")
    read_origin(url)
    if "#" in url:
        raise BadUrl("has a fragment, which no server receives", "remove # and what follows it")
    match = re.fullmatch(r"\w+://(?P<authority>[^/?]+)(?P<path>[^?]*)(?:\?(?P<query>.*))?", url)
    if match is None:
        raise BadUrl("has no valid host", "give the name of a host or its IP address")
    parsed = URL(url)
    authority = parsed.raw_host or ""
    if ":" in authority:
        authority = f"[{authority}]"
    if match["authority"].endswith("."):
        # A dot at the end stops the search for names of the local domain.
        authority = f"{authority.removesuffix('.')}."
    if parsed.explicit_port is not None:
        authority += f":{parsed.explicit_port}"
    path, query = match["path"].rstrip("/"), match["query"]
    if path.endswith(_CHAT):
        path = path.removesuffix(_CHAT).rstrip("/")
    base = f"{parsed.scheme}://{authority}"
    other = _OF_THE_API.fullmatch(path)
    if other is not None:
        corrected = f"{base}{other[1]}" + (f"?{query}" if query else "")
        raise BadUrl(
            "is the address of one of its parts", "give the base URL of the API", corrected
        )
    return base + path + (f"?{query}" if query else "")


def _base_url(value: str) -> str:
    try:
        return read_base_url(value)
    except BadUrl as error:
        raise value_error(error.wrong, error.fix, error.corrected) from None


BaseUrl = Annotated[
    str,
    BeforeValidator(cleaned),
    AfterValidator(_base_url),
    Fix("give the base URL, such as https://api.openai.com/v1"),
    WithJsonSchema(URL_SCHEMA),
]
"""A field that holds a base URL."""
