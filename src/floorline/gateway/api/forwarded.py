"""What a proxy says of a request's client: its address, scheme and host (X-Forwarded-*, RFC 7239).

Anyone can send these headers. They are believed from configured proxies only.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from starlette.types import Scope

from floorline.config.server import UNIX

_MAX_HOPS = 100
"""Addresses of ``X-Forwarded-For`` that are looked at; each proxy adds one."""
_CACHED = 1024
"""Addresses whose check is remembered."""
_PAIR = re.compile(rb'(?:^|[;,\s])(for|proto|host)\s*=\s*("[^"]*"|[^;,\s]*)', re.IGNORECASE)
_PREFIX = re.compile(rb"(/[A-Za-z0-9._~-]+){1,10}/?")


class TrustedProxies:
    """Reads what trusted proxies say of the clients of their requests.

    Parameters
    ----------
    networks
        Networks of the proxies; ``unix`` for all clients of a unix socket.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        names = set(networks)
        self._unix = UNIX in names
        self._networks = [ipaddress.ip_network(name) for name in sorted(names - {UNIX})]
        self._known: dict[str, bool] = {}

    def trust(self, scope: Scope) -> bool:
        """Whether a request comes from a trusted proxy."""
        client = scope.get("client")
        return self._unix if not client else self._trusts(client[0])

    def read(self, scope: Scope) -> bytes | None:
        """Put the address and the scheme of the client in the place of the proxy's.

        Parameters
        ----------
        scope
            ASGI's scope of a request of a trusted proxy; changed.

        Returns
        -------
        bytes or None
            Host that the client asked for; None if the proxy does not say.
        """
        found: dict[bytes, bytes] = {}
        hops: list[bytes] = []
        standard = b""
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                hops += value.split(b",")
            elif name == b"forwarded":
                standard += b"," + value
            elif name in (b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix"):
                # The first proxy is the one that the client asked.
                found.setdefault(name[12:], value.partition(b",")[0].strip())
        for pair in _PAIR.finditer(standard):
            word, value = pair[1].lower(), pair[2].strip(b'"')
            if word == b"for":
                hops.append(value)
            else:
                found.setdefault(word, value)
        address = self._client(hops)
        if address is not None:
            scope["client"] = (address, 0)
        scheme = found.get(b"proto", b"").lower()
        if scheme in (b"http", b"https"):
            scope["scheme"] = scheme.decode()
        prefix = found.get(b"prefix", b"")
        if _PREFIX.fullmatch(prefix):
            scope["app_root_path"] = prefix.decode().rstrip("/")
        return found.get(b"host") or None

    def _client(self, hops: Sequence[bytes]) -> str | None:
        """Address of the last hop before the trusted ones: what is before it, anyone can write."""
        found = None
        for hop in reversed(hops[-_MAX_HOPS:]):
            address = _address(hop.decode("latin-1").strip())
            if address is None:
                break
            found = address
            if not self._trusts(address):
                break
        return found

    def _trusts(self, host: str) -> bool:
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            known = self._known[host] = self._contains(host)
        return known

    def _contains(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)


def _address(written: str) -> str | None:
    """Address of a hop, which may have a port; None if it hides itself or is malformed."""
    if written.startswith("["):
        written = written[1:].partition("]")[0]
    elif written.count(":") == 1:
        written = written.partition(":")[0]
    try:
        return str(ipaddress.ip_address(written))
    except ValueError:
        return None
