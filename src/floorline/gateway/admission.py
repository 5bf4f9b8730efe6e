"""Admission control: a limit on the number of chat requests served at a time."""

from __future__ import annotations

from collections.abc import Callable

from floorline.gateway.errors import ApiError


class AdmissionControl:
    """Admits requests up to a limit and refuses the others at once.

    A refused request costs almost nothing, so that an overload does not slow down the requests
    that are being served.

    Parameters
    ----------
    limit
        Returns the highest number of requests served at a time. It is asked at each request,
        because a reload of the configuration may change it.

    Attributes
    ----------
    in_flight
        Number of requests being served.
    refused
        Number of requests refused since the start.
    """

    def __init__(self, limit: Callable[[], int]) -> None:
        self.in_flight = 0
        self.refused = 0
        self._limit = limit

    def check(self) -> None:
        """Refuse a request if the limit is reached, before its body is read.

        Raises
        ------
        ApiError
            429 if the limit is reached.
        """
        limit = self._limit()
        if self.in_flight >= limit:
            self.refused += 1
            raise ApiError(
                429,
                f"the gateway serves {limit} requests already (server.max_in_flight): send it "
                "again after the seconds in Retry-After",
                code="overloaded",
                retry_after=1,
            )

    def admit(self) -> AdmissionControl:
        """Count a request as in flight until the block of a ``with`` ends.

        Raises
        ------
        ApiError
            429 if the limit is reached.
        """
        self.check()
        return self

    def __enter__(self) -> None:
        self.in_flight += 1

    def __exit__(self, *error: object) -> None:
        self.in_flight -= 1
