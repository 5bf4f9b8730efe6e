"""Read what the forms of the pages send."""

from __future__ import annotations

import hmac
from urllib.parse import parse_qsl

from starlette.requests import Request

from floorline.gateway.errors import ApiError

_MOST_BYTES = 64 * 1024
"""Largest body of a form; the longest field of one is a prompt of the what-if page or a key."""
_MOST_FIELDS = 100
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-floorline-csrf"
"""Field of a form, and header of a script's request, that carries the token of the login."""


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form; of one that is given twice, the last value.

    Raises
    ------
    ApiError
        413 if the form is too large, 400 if it cannot be read.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise ApiError(
                413,
                f"the form has more than {_MOST_BYTES:,} bytes: send less",
                code="form_too_large",
            )
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError:
        raise ApiError(
            400, "the form cannot be read: load its page again", code="invalid_form"
        ) from None
    return dict(pairs)


def check_csrf(given: str | None, wanted: str) -> None:
    """Check the token of a form or of a script's request against that of the login.

    Raises
    ------
    ApiError
        403 if it is another one.
    """
    if given is None or not hmac.compare_digest(given.encode(), wanted.encode()):
        raise ApiError(
            403,
            "the form is of another login, or has expired: load its page again, and send it anew",
            code="csrf_token_invalid",
        )
