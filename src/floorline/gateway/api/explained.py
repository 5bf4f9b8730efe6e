"""The request header ``X-Floorline-Explain``: answers that carry their explanation."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from floorline.errors import abbreviated
from floorline.events import Decision
from floorline.gateway.errors import ApiError
from floorline.state.explanation import Explanation

_ASKED = {"1": True, "true": True, "0": False, "false": False, "": False}


def wants_explanation(headers: Mapping[str, str]) -> bool:
    """Whether a request asks for the explanation of its decision.

    Raises
    ------
    ApiError
        400 if the header is neither 1 nor 0.
    """
    given = headers.get("x-floorline-explain")
    if given is None:
        return False
    asked = _ASKED.get(given.strip().lower())
    if asked is None:
        raise ApiError(
            400,
            f"header X-Floorline-Explain is {abbreviated(given)}: give 1, or leave it out",
            code="invalid_value",
            param="X-Floorline-Explain",
        )
    return asked


def explanation_header(decision: Decision, root_path: str) -> tuple[bytes, bytes]:
    """Return the header that says where the explanation of a decision is."""
    return b"x-floorline-explanation", f"{root_path}/v1/decisions/{decision.id}".encode()


def with_explanation(body: bytes, explanation: Explanation) -> bytes:
    """Add the field ``floorline`` to a body that is a JSON object; others stay as they are.

    The field comes last, and all other bytes stay: a number keeps its digits.

    Parameters
    ----------
    body
        The answer.
    explanation
        Value of the field.
    """
    inner = body.strip()
    if not (inner.startswith(b"{") and inner.endswith(b"}")):
        return body
    fields = inner[1:-1].strip()
    comma = b"," if fields else b""
    return b'{%s%s"floorline":%s}' % (fields, comma, msgspec.json.encode(explanation))
