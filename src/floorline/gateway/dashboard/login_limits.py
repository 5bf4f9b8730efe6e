"""Limits on attempts to log in."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable

from floorline.gateway.token_bucket import TokenBucket

ATTEMPTS = 10.0
"""Attempts a minute of one address: more than a person types, and few against 256 random bits."""
ALL_ATTEMPTS = 120.0
"""Attempts a minute of all addresses together, so that many of them cannot take the processor."""
_MOST_ADDRESSES = 4_096
"""Addresses that are remembered; the one seen the longest ago is forgotten first."""


class LoginLimits:
    """Counts attempts to log in, by the address of the client.

    Parameters
    ----------
    monotonic
        Returns seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._all = TokenBucket(ALL_ATTEMPTS, monotonic())
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, address: str) -> float:
        """Count an attempt; return the seconds to wait if there were too many, and 0.0 otherwise.

        Parameters
        ----------
        address
            Address of the client; "" for one of a unix socket.
        """
        now = self._monotonic()
        network = _network(address)
        bucket = self._buckets.pop(network, None) or TokenBucket(ATTEMPTS, now)
        self._buckets[network] = bucket
        while len(self._buckets) > _MOST_ADDRESSES:
            del self._buckets[next(iter(self._buckets))]
        # Attempts of an address above its own limit do not count against the others.
        return bucket.take(ATTEMPTS, now) or self._all.take(ALL_ATTEMPTS, now)


def _network(address: str) -> str:
    """Address that counts as one client: of IPv6 the first 64 bits, which one client has whole.

    Examples
    --------
    >>> _network("192.0.2.7"), _network("2001:db8::1:2"), _network("")
    ('192.0.2.7', '2001:db8::', '')
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
