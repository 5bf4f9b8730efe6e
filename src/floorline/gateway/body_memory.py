"""A bound on the memory that the bodies of all requests take together."""

from __future__ import annotations

from collections.abc import Callable

from floorline.gateway.errors import ApiError


class BodyMemory:
    """Counts the bytes of large bodies that are received or served.

    Bodies that arrive in one piece, which are those of up to some 64 KiB, are not counted: the
    limits on connections bound them.

    Parameters
    ----------
    limit
        Returns the largest number of bytes; it is asked for each piece of a body, because a
        reload of the configuration may change it.

    Attributes
    ----------
    held
        Number of bytes that are held.
    """

    def __init__(self, limit: Callable[[], int]) -> None:
        self.held = 0
        self._limit = limit

    def request(self) -> RequestMemory:
        """Return the memory of one request; as a context it is released at its end."""
        return RequestMemory(self)

    def take(self, size: int) -> None:
        """Count bytes.

        Raises
        ------
        ApiError
            503 if more than the limit would be held; nothing is counted then.
        """
        limit = self._limit()
        if self.held + size > limit:
            raise ApiError(
                503,
                f"the bodies of other requests take {limit:,} bytes (server.max_body_memory): send "
                "it again after the seconds in Retry-After",
                code="overloaded",
                retry_after=1,
            )
        self.held += size


class RequestMemory:
    """The bytes of one request's body."""

    __slots__ = ("_all", "_held")

    def __init__(self, all_bodies: BodyMemory) -> None:
        self._all = all_bodies
        self._held = 0

    def take(self, size: int) -> None:
        """Count bytes of the body; errors as for ``BodyMemory.take``."""
        self._all.take(size)
        self._held += size

    def __enter__(self) -> RequestMemory:
        return self

    def __exit__(self, *error: object) -> None:
        self._all.held -= self._held
        self._held = 0
