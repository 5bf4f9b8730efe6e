"""JSON answers, and the headers that name a decision."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from floorline.events import DIRECT, Decision
from floorline.gateway.header_text import as_header


def reply(value: Any, status: int = 200) -> Response:
    """Encode an answer as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


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
