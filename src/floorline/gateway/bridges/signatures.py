"""Signatures of the bodies that bridges send: HMAC-SHA256 over the time and the body.

The header has the form that Stripe's webhooks have: ``t=UNIX SECONDS,v1=HEX``, and the digest is
over ``SECONDS.BODY``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import NamedTuple

from floorline.gateway.errors import ApiError

SIGNATURE_HEADER = "x-floorline-signature"
TOLERANCE_SECONDS = 300
"""Largest difference of the signed time from the server's, either way."""
_MAX_HEADER = 1_024
_TIME = re.compile(r"t=([0-9]{1,12})")
_DIGEST = re.compile(r"v1=([0-9a-fA-F]{64})")


class Signature(NamedTuple):
    """What a header of a signature says.

    Attributes
    ----------
    at
        Unix time in seconds that is signed.
    digests
        Digests in hexadecimal digits; several while a secret is replaced.
    """

    at: int
    digests: tuple[str, ...]

    def matches(self, secret: str, body: bytes) -> bool:
        """Whether one of the digests is that of a body; the time that it takes tells nothing."""
        right = digest(secret, body, self.at)
        # All are compared, so that the time does not depend on which one is right.
        found = [hmac.compare_digest(right, given.lower()) for given in self.digests]
        return any(found)


def digest(secret: str, body: bytes, at: int) -> str:
    """Return the digest of a body that is signed at a Unix time, in hexadecimal digits.

    Examples
    --------
    >>> digest("0123456789abcdef", b"{}", 1_700_000_000)[:16]
    'e4f8e2ecae2295b2'
    """
    return hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()


def read_signature(header: str, now: float) -> Signature:
    """Read the header of a signature.

    Parameters
    ----------
    header
        Value of the header; "" if there is none.
    now
        The server's Unix time in seconds.

    Raises
    ------
    ApiError
        401 if it is missing or malformed, or its time is more than 5 minutes from the server's.
    """
    parts = [part.strip() for part in header[:_MAX_HEADER].split(",")]
    times = [match[1] for part in parts if (match := _TIME.fullmatch(part))]
    digests = tuple([match[1] for part in parts if (match := _DIGEST.fullmatch(part))])
    if len(times) != 1 or not digests:
        raise refused(
            "the request has no signature: send 'X-Floorline-Signature: t=SECONDS,v1=HEX', with "
            "the HMAC-SHA256 of 'SECONDS.BODY' under the bridge's secret"
        )
    at = int(times[0])
    if abs(now - at) > TOLERANCE_SECONDS:
        raise refused(
            f"the signature's time {at} is more than {TOLERANCE_SECONDS} s from the server's, "
            f"{now:.0f}: sign each request anew, and set both clocks"
        )
    return Signature(at, digests)


def refused(text: str) -> ApiError:
    """Error of a request whose signature does not hold."""
    return ApiError(401, text, code="invalid_signature")
