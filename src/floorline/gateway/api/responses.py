"""JSON answers, and the headers that name a decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from floorline.events import DIRECT, Decision
from floorline.gateway.header_text import as_header

_MAX_LOSSES = 32
"""Names of losses that the header has; a request has few fields that no dialect knows."""
_MAX_LOSSES_BYTES = 1_024
"""Longest value of that header: clients choose the names of fields."""


def reply(value: Any, status: int = 200) -> Response:
    """Encode an answer as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def losses_header(losses: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """Return the header that names what the translation of a request left out; none if nothing.

    Examples
    --------
    >>> losses_header(["top_k", "metadata"]), losses_header([])
    ([(b'x-floorline-losses', b'top_k,metadata')], [])
    """
    if not losses:
        return []
    names = list(dict.fromkeys(losses))[:_MAX_LOSSES]
    return [(b"x-floorline-losses", b",".join(map(as_header, names))[:_MAX_LOSSES_BYTES])]


def decision_headers(decision: Decision, attempts: int | None = None) -> list[tuple[bytes, bytes]]:
    """Return the headers of answers and errors that say which decision they come from.

    Parameters
    ----------
    decision
        The request's last decision.
    attempts
        Number of attempts of all its calls; None while one of them runs.
    """
    headers = [
        (b"x-floorline-decision", decision.id.encode()),
        (b"x-floorline-model", as_header(decision.model)),
        (b"x-floorline-expected-cost", f"{decision.expected_cost:.9g}".encode()),
    ]
    if attempts is not None:
        headers.append((b"x-floorline-attempts", str(attempts).encode()))
    if decision.policy != DIRECT:
        quality = f"{decision.expected_quality:.4f}".encode()
        headers.append((b"x-floorline-expected-quality", quality))
    return headers
