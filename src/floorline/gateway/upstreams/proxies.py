"""Through which HTTP proxy a provider is called, if any."""

from __future__ import annotations

import base64
import urllib.request
from typing import NamedTuple

from yarl import URL

from floorline.config.proxy import ENVIRONMENT, NO_PROXY, bypassed, read_proxy
from floorline.errors import InvalidInput
from floorline.gateway.upstreams.settings import UpstreamSettings


class Proxy(NamedTuple):
    """A proxy for one URL.

    Attributes
    ----------
    url
        The proxy's address.
    request_headers
        Headers for the proxy in requests that it forwards.
    tunnel_headers
        Headers for the proxy in requests for a tunnel; None if there is no tunnel.
    """

    url: URL
    request_headers: dict[str, str]
    tunnel_headers: dict[str, str] | None

    @property
    def place(self) -> str:
        """Host and port, for errors."""
        return f"{self.url.host}:{self.url.port}"


def proxy_of(settings: UpstreamSettings, url: URL) -> Proxy | None:
    """Return the proxy of a model's calls; None if they go straight to the provider.

    Models that were added over HTTP have none: the addresses are checked that this process
    connects to.

    Parameters
    ----------
    settings
        How the model is called.
    url
        The URL that is called.

    Raises
    ------
    InvalidInput
        If the environment's proxy is no URL of an HTTP proxy.
    """
    if settings.proxy is None or settings.check_addresses or url.host is None:
        return None
    given, excepted = settings.proxy.get_secret_value(), list(settings.no_proxy)
    if given == ENVIRONMENT:
        found = urllib.request.getproxies_environment()
        excepted += found.get("no", "").replace(",", " ").split()
        given = found.get(url.scheme) or found.get("all") or ""
    if given in ("", NO_PROXY) or bypassed(url.host, url.port, excepted):
        return None
    try:
        address, user, password = read_proxy(given)
    except ValueError as error:
        # The proxy can hold a password, and is not shown.
        fix = f"{error}: set HTTPS_PROXY and HTTP_PROXY to one as http://proxy.example:3128"
        raise InvalidInput("proxy", ENVIRONMENT, fix) from None
    headers = {}
    if user is not None:
        token = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
        headers["Proxy-Authorization"] = f"Basic {token}"
    if url.scheme == "https":
        return Proxy(URL(address), {}, headers)
    return Proxy(URL(address), headers, None)
