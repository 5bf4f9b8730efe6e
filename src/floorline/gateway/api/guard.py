"""Checks of every request before its endpoint: ``Host``, ``Origin``, type and size of its body.

A browser sends requests of any web page to any server, and to a server on this machine, too. A page
cannot do so here: its ``Origin`` is refused unless it is configured (CORS), its forms and other
requests without a preflight have no ``Content-Type`` of JSON (CSRF), and a name that its owner
points to this machine is no ``Host`` of it (DNS rebinding).

The pages of the dashboard are the gateway's own: below their path its own origin is allowed, and
forms are. Forms of other pages are refused by their ``Origin``, and the endpoints ask for a token
that only the dashboard's pages have.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Message, Scope, Send

from floorline.config import Settings
from floorline.config.addresses import names_loopback
from floorline.gateway.api.body import too_large
from floorline.gateway.api.forwarded import TrustedProxies
from floorline.gateway.errors import ApiError

CorsHeaders = list[tuple[bytes, bytes]]

_JSON = b"application/json"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_FORM = b"application/x-www-form-urlencoded"
PAGES = "/dashboard"
"""Path of the gateway's own pages; all of them are at it or below it."""
_UNCHECKED = frozenset({"/healthz"})
"""Paths that tell nothing, for probes that send any host."""
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?", re.IGNORECASE)
_TOKENS = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{0,2000}")
_CACHED = 1024
"""Hosts whose check is remembered; clients send few, and attackers as many as they like."""
_MAX_HOST = 262
"""Characters of a host: the longest name of DNS, and a port."""
_SHOWN = 80
"""Characters of a header that an error repeats."""
_PREFLIGHT_SECONDS = b"600"
"""Time for which browsers keep the answer of a preflight: Chromium's own limit is 7,200 s."""
_EXPOSED = (
    b"x-floorline-decision, x-floorline-model, x-floorline-cost, x-floorline-expected-cost, "
    b"x-floorline-expected-quality, x-floorline-attempts, x-floorline-losses, "
    b"x-floorline-explanation, retry-after, content-length"
)
"""Headers that scripts of allowed pages may read."""


class RequestGuard:
    """Checks where a request comes from and what it says its body is.

    Parameters
    ----------
    settings
        Returns the settings in force; a reload may change them.
    """

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._current = settings
        self._settings: Settings | None = None
        self._hosts: _Hosts | None = None
        self._proxies: TrustedProxies | None = None
        self._origins: frozenset[bytes] = frozenset()
        self._max_body = 0
        self._long = 0

    def check(self, scope: Scope) -> Response | CorsHeaders | None:
        """Check a request.

        Returns
        -------
        Response, list or None
            The answer, if the request is refused or is a preflight; the headers that the answer
            must have, if it is of an allowed page; None for all others.
        """
        settings = self._current()
        if settings is not self._settings:
            self._configure(settings)
        host = origin = kind = None
        hosts = 0
        length = b"0"
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
                hosts += 1
            elif name == b"content-type":
                # Of two, the one that is no JSON counts.
                kind = value if kind is None or kind == _JSON else kind
            elif name == b"origin":
                origin = value if origin is None else b"two origins"
            elif name == b"content-length":
                length = value
        if self._hosts is not None and scope["path"] not in _UNCHECKED:
            if host is None and scope["http_version"] == "1.0":
                # HTTP/1.0 has no Host, and no browser speaks it.
                pass
            elif hosts != 1 or host is None:
                text = f"the request has {hosts or 'no'} Host headers: send one"
                return ApiError(400, text, code="invalid_host").response()
            elif not self._hosts.allows(host):
                return _wrong_host("Host", host)
        if self._proxies is not None and self._proxies.trust(scope):
            refusal = self._read_forwarded(scope, self._proxies)
            if refusal is not None:
                return refusal
        own_page = scope["path"].startswith(PAGES) and _is_page(scope["path"])
        if own_page and origin is not None:
            if not _is_own(origin, scope):
                return _wrong_page(origin)
            origin = None
        if origin is not None and origin not in self._origins:
            return _wrong_origin(origin)
        sends_form = own_page and _is_kind(kind, _FORM)
        if scope["method"] in _WITH_BODY and not (_is_kind(kind, _JSON) or sends_form):
            refusal = _wrong_kind(kind)
            if origin is not None:
                refusal.raw_headers.extend(_cors(origin))
            return refusal
        if len(length) >= self._long and int(length) > self._max_body:
            # The endpoint would read as much as it may before it refused the rest.
            return too_large(self._max_body).response()
        if origin is None:
            return None
        if scope["method"] == "OPTIONS":
            return _preflight(scope, origin)
        return _cors(origin)

    def _read_forwarded(self, scope: Scope, proxies: TrustedProxies) -> Response | None:
        """Let the request be that of the proxy's client; return a refusal if its host is wrong."""
        host = proxies.read(scope)
        if host is None:
            return None
        if self._hosts is not None and scope["path"] not in _UNCHECKED:
            # Beside Host, because some proxies pass on what the client sent.
            if not self._hosts.allows(host):
                return _wrong_host("X-Forwarded-Host", host)
        elif not _HOST.fullmatch(host.decode("latin-1")):
            return None
        others = [pair for pair in scope["headers"] if pair[0] != b"host"]
        scope["headers"] = [(b"host", host), *others]
        return None

    def _configure(self, settings: Settings) -> None:
        server = settings.server
        behind_keys = settings.auth == "keys" and not names_loopback(server.host.strip("[]"))
        # No page of a browser reaches a unix socket, and a proxy sends it any name.
        if (behind_keys or server.unix_socket is not None) and not server.allowed_hosts:
            self._hosts = None
        else:
            self._hosts = _Hosts([server.host, *server.allowed_hosts])
        proxies = server.trusted_proxies
        self._proxies = TrustedProxies(proxies) if proxies else None
        self._origins = frozenset(origin.encode() for origin in server.cors_origins)
        self._max_body = int(server.max_body)
        # Digits of the limit: shorter lengths need not be read as numbers.
        self._long = len(str(self._max_body))
        self._settings = settings


def with_headers(send: Send, headers: CorsHeaders) -> Send:
    """Return a ``send`` that adds headers to an answer."""

    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return adding


class _Hosts:
    """Names that the ``Host`` header may have, with any port."""

    def __init__(self, names: list[str]) -> None:
        plain = [name.lower().strip("[]") for name in names]
        self._names = frozenset(name for name in plain if not name.startswith("*."))
        self._below = tuple(name[1:] for name in plain if name.startswith("*."))
        self._known: dict[bytes, bool] = {}

    def allows(self, host: bytes) -> bool:
        known = self._known.get(host)
        if known is None:
            if len(host) > _MAX_HOST:
                return False
            if len(self._known) >= _CACHED:
                self._known.clear()
            known = self._known[host] = self._check(host.decode("latin-1"))
        return known

    def _check(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match["name"].lower().strip("[]").removesuffix(".")
        try:
            if names_loopback(name):
                return True
        except ValueError:
            return False
        return name in self._names or name.endswith(self._below or ("\n",))


def _is_kind(kind: bytes | None, wanted: bytes) -> bool:
    """Whether a ``Content-Type`` is a media type, with or without parameters."""
    if kind == wanted:
        return True
    return kind is not None and kind.partition(b";")[0].strip().lower() == wanted


def _is_page(path: str) -> bool:
    return path[len(PAGES) : len(PAGES) + 1] in ("", "/")


def _is_own(origin: bytes, scope: Scope) -> bool:
    """Whether an ``Origin`` names the host that the request was sent to.

    Its scheme is not compared: a proxy that ends TLS may not be trusted to say that it did.
    """
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    scheme, _, named = origin.lower().partition(b"://")
    port = {b"http": b":80", b"https": b":443"}.get(scheme)
    if port is None or not host:
        return False
    return named.removesuffix(port) == host.lower().removesuffix(port)


def _cors(origin: bytes) -> CorsHeaders:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    ]


def _preflight(scope: Scope, origin: bytes) -> Response:
    answer = Response(status_code=204)
    asked = dict(scope["headers"])
    names = asked.get(b"access-control-request-headers", b"")
    # Clients of OpenAI's API send headers of their own, so that no list is complete.
    if not _TOKENS.fullmatch(names):
        names = b"authorization, content-type"
    answer.raw_headers = [
        *_cors(origin),
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-allow-headers", names),
        (b"access-control-max-age", _PREFLIGHT_SECONDS),
    ]
    if asked.get(b"access-control-request-private-network") == b"true":
        answer.raw_headers.append((b"access-control-allow-private-network", b"true"))
    return answer


def _wrong_host(header: str, host: bytes) -> Response:
    return ApiError(
        403,
        f"the {header} header is {_shown(host)}, which is no name of this server: add it to "
        "server.allowed_hosts in floorline.yaml",
        code="host_not_allowed",
    ).response()


def _wrong_origin(origin: bytes) -> Response:
    return ApiError(
        403,
        f"requests of web pages of {_shown(origin)} are refused: add the origin to "
        "server.cors_origins in floorline.yaml",
        code="origin_not_allowed",
    ).response()


def _wrong_page(origin: bytes) -> Response:
    return ApiError(
        403,
        f"the dashboard takes no requests of web pages of {_shown(origin)}: open it under the "
        "address that the gateway is served at; a proxy before it must pass on the Host header, or "
        "be one of server.trusted_proxies and send X-Forwarded-Host",
        code="origin_not_allowed",
    ).response()


def _wrong_kind(kind: bytes | None) -> Response:
    given = "no Content-Type" if kind is None else f"the Content-Type {_shown(kind)}"
    return ApiError(
        415,
        f"the request has {given}: send JSON with the header 'Content-Type: application/json'",
        code="unsupported_media_type",
    ).response()


def _shown(value: bytes) -> str:
    text = repr(value.decode("latin-1"))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
