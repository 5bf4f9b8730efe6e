"""Read JSON from a running gateway, for commands that show what it does."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import typer

from floorline._version import __version__
from floorline.cli.connect import DEFAULT_KEY_ENV, DEFAULT_URL, server_url
from floorline.errors import FloorlineError, abbreviated, system_reason

Url = Annotated[str, typer.Option(help="URL of the running gateway.")]
Key = Annotated[
    str | None,
    typer.Option(
        envvar=DEFAULT_KEY_ENV,
        help="API key of the gateway; not needed with auth: none. Give it in the variable, because "
        "other users of this machine can see what a command is called with.",
        show_default=False,
    ),
]
_TIMEOUT_SECONDS = 10.0
"""Time after which a gateway that does not answer counts as away."""
_MAX_BYTES = 64 * 1024 * 1024
"""Most bytes of an answer that are read."""


class GatewayAway(FloorlineError):
    """No gateway answers, or one that is just starting or stopping: asking again may help."""


class GatewayClient:
    """Sends requests to a running gateway.

    Parameters
    ----------
    url
        URL of the gateway, with or without ``/v1``.
    key
        API key; None for none.

    Raises
    ------
    InvalidInput
        If ``url`` is no URL of a server.
    """

    def __init__(self, url: str = DEFAULT_URL, key: str | None = None) -> None:
        self.url = server_url(url)
        self._opener = _opener(self.url)
        self._headers = {"accept": "application/json", "user-agent": f"floorline/{__version__}"}
        if key:
            self._headers["authorization"] = f"Bearer {key.strip()}"

    def get(self, path: str, **query: str | None) -> Any:
        """Return the JSON at a path, such as ``/v1/slas``; a value that is None is left out.

        Raises
        ------
        GatewayAway
            If no gateway answers, or it is not ready.
        FloorlineError
            If it refuses the request, or does not answer with JSON.
        """
        given = urlencode({name: value for name, value in query.items() if value is not None})
        address = self.url + path + (f"?{given}" if given else "")
        request = urllib.request.Request(address, headers=self._headers)
        try:
            # A redirect would lead to a login page, and take the key along.
            with self._opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                return self._decoded(answer.read(_MAX_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(path, error.code, error.read(_MAX_BYTES)) from None
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise self._away(error) from None

    def _decoded(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise FloorlineError(
                f"what answers at {self.url} is no gateway of Floorline: check --url"
            ) from None

    def _refused(self, path: str, status: int, body: bytes) -> FloorlineError:
        try:
            text = json.loads(body)["error"]["message"]
        except (ValueError, TypeError, KeyError, RecursionError):
            text = f"status {status}"
        if status == 401:
            given = "authorization" in self._headers
            why = "does not know this key" if given else "takes no request without a key"
            fix = f"give a valid one with --key or in {DEFAULT_KEY_ENV} ('floorline keys create')"
            return FloorlineError(f"the gateway at {self.url} {why}: {fix}")
        if status in (429, 502, 503, 504):
            return GatewayAway(f"the gateway at {self.url} answers {path} with {text}")
        if status in (301, 302, 303, 307, 308):
            text = "a redirect: give the URL that it leads to, and a key"
        return FloorlineError(f"the gateway at {self.url} refuses {path}: {text}")

    def _away(self, error: Exception) -> FloorlineError:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLError):
            return FloorlineError(
                f"no trusted connection to {self.url} ({reason.reason or 'TLS'}): give the name in "
                "its certificate, and its CA in SSL_CERT_FILE"
            )
        why = system_reason(reason) if isinstance(reason, OSError) else abbreviated(str(reason))
        return GatewayAway(
            f"no gateway answers at {self.url} ({why}): start it with 'floorline serve', or give "
            "its --url"
        )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *given: Any) -> None:
        """Follow no redirect, so that the answer is an error."""


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Open URLs through the proxy of the environment, except on this machine."""
    host = urlsplit(url).hostname or ""
    local = host in ("localhost", "::1") or host.startswith("127.")
    return urllib.request.build_opener(
        _NoRedirect, *([urllib.request.ProxyHandler({})] if local else [])
    )
