"""Asks a running gateway which model should serve, and reports what came of it."""

from __future__ import annotations

import os
from typing import Any

import httpx
import msgspec

from floorline._version import __version__
from floorline.errors import FloorlineError

TIMEOUT_SECONDS = 10.0
"""Time after which a gateway that does not answer counts as away."""


class Routed(msgspec.Struct, frozen=True):
    """What the gateway decided.

    Attributes
    ----------
    id
        Id of the decision.
    model
        The model that should serve.
    """

    id: str
    model: str


class Refused(FloorlineError):
    """The gateway refuses the request.

    Attributes
    ----------
    status : int
        Status of HTTP; 503 if no gateway answers.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class DecisionClient:
    """A client of the decision API; threads can share it.

    Parameters
    ----------
    url
        URL of the gateway, without ``/v1``.
    key
        API key; the variable ``FLOORLINE_API_KEY`` without it.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        headers = {"user-agent": f"floorline/{__version__}"}
        secret = key or os.environ.get("FLOORLINE_API_KEY", "")
        if secret:
            headers["authorization"] = f"Bearer {secret}"
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_SECONDS)

    def route(self, request: dict[str, Any]) -> Routed:
        """Ask which model should serve a chat request.

        Raises
        ------
        Refused
            If the gateway refuses it or does not answer.
        """
        answer = self._post("/v1/route", request)
        try:
            return msgspec.json.decode(answer.content, type=Routed)
        except msgspec.DecodeError:
            raise Refused(f"what answers at {self.url} is no gateway of Floorline", 502) from None

    def outcome(self, **fields: Any) -> None:
        """Report what the call of a decision took; fields as for ``POST /v1/outcomes``.

        Raises
        ------
        Refused
            If the gateway refuses it or does not answer.
        """
        self._post("/v1/outcomes", {n: v for n, v in fields.items() if v is not None})

    def feedback(self, id: str, satisfied: bool) -> None:
        """Say whether the user was satisfied.

        Parameters
        ----------
        id
            Id of the decision, or of the completion.
        satisfied
            Whether the user was satisfied.

        Raises
        ------
        Refused
            If the gateway refuses it or does not answer.
        """
        self._post("/v1/feedback", {"id": id, "satisfied": satisfied})

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        try:
            answer = self._http.post(path, json=body)
        except httpx.HTTPError as error:
            raise Refused(
                f"no gateway of Floorline answers at {self.url}: {error or 'timeout'}", 503
            ) from error
        if answer.is_success:
            return answer
        try:
            why = answer.json()["error"]["message"]
        except (ValueError, TypeError, KeyError):
            why = f"status {answer.status_code}"
        raise Refused(f"Floorline refuses {path}: {why}", answer.status_code)
