"""Fields that say through which HTTP proxy providers are called."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from floorline.config.addresses import read_origin
from floorline.config.types import Fix, Text, cleaned

ENVIRONMENT = "environment"
"""Value of ``proxy`` that means the variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY."""
NO_PROXY = "none"
"""Value of ``proxy`` with which a model does not use the proxy of the defaults."""
_MAX_EXCEPTIONS = 1_000


def read_proxy(url: str) -> tuple[str, str | None, str | None]:
    """Split the URL of a proxy into its address, user and password.

    Raises
    ------
    ValueError
        If it is no URL of an HTTP proxy. The text does not repeat the URL, which can hold a
        password.

    Examples
    --------
    >>> read_proxy("http://me:s%40crt@proxy.example:3128/")
    ('http://proxy.example:3128', 'me', 's@crt')
    """
    text = url if "://" in url else f"http://{url}"
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https"):
        raise ValueError("the proxy is not http:// or https://")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("the proxy has a path")
    credentials, _, host = parts.netloc.rpartition("@")
    address = f"{parts.scheme}://{host}"
    read_origin(address)
    user, colon, password = credentials.partition(":")
    if not credentials:
        return address, None, None
    return address, unquote(user), unquote(password) if colon else None


def bypassed(host: str, port: int | None, exceptions: Iterable[str]) -> bool:
    """Whether a host is called without the proxy.

    Parameters
    ----------
    host, port
        Of the provider.
    exceptions
        Names, which stand for the names below them too, addresses, networks, each maybe with a
        port; ``*`` stands for all.

    Examples
    --------
    >>> bypassed("api.example.com", 443, [".example.com"]), bypassed("10.1.2.3", 80, ["10.0.0.0/8"])
    (True, True)
    >>> bypassed("example.com.evil.org", 443, ["example.com"])
    False
    """
    host = host.casefold().strip("[]").removesuffix(".")
    return any(_matches(host, port, one.strip().casefold()) for one in exceptions)


def _matches(host: str, port: int | None, exception: str) -> bool:
    if exception == "*":
        return True
    name, colon, given = exception.rpartition(":")
    if colon and given.isdecimal() and (":" not in name or name.endswith("]")):
        if int(given) != port:
            return False
        exception = name
    exception = exception.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(exception, strict=False)
    except ValueError:
        name = exception.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))


def _proxy(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text not in (ENVIRONMENT, NO_PROXY):
        read_proxy(text)
    return value


def proxy_secrets(proxy: SecretStr | None) -> list[str]:
    """Return the texts of a proxy's URL that no message may show."""
    text = "" if proxy is None else proxy.get_secret_value()
    if text in ("", ENVIRONMENT, NO_PROXY):
        return []
    _, user, password = read_proxy(text)
    return [] if password is None else [password, f"{user}:{password}"]


ProxyUrl = Annotated[
    SecretStr,
    BeforeValidator(cleaned),
    AfterValidator(_proxy),
    Fix(
        "give the URL of an HTTP proxy, such as http://user:${PROXY_PASSWORD}@proxy.example:3128, "
        "environment for HTTPS_PROXY, HTTP_PROXY and NO_PROXY, or none"
    ),
]
NoProxy = Annotated[
    list[Text],
    Field(max_length=_MAX_EXCEPTIONS),
    Fix("give a list of hosts, such as [localhost, .internal.example, 10.0.0.0/8]"),
]
