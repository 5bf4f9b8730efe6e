"""The interface of clients that send requests to a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Reply(Protocol):
    """A provider's answer while it arrives."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the answer; the case of names does not matter."""
        ...

    @property
    def ended(self) -> bool:
        """Whether it is known that all bytes have been read; a further ``read`` finds none."""
        ...

    async def read(self) -> bytes:
        """Return the bytes that arrived since the last call; empty at the end.

        Raises
        ------
        UpstreamError
            If the connection broke.
        """
        ...

    def abort(self) -> None:
        """Close the connection at once; a ``read`` that waits raises an error."""
        ...

    def release(self) -> None:
        """Read no more: the answer is over by its protocol, and its connection may be used again.

        If the connection does not end the answer within a second, it is closed.
        """
        ...


class Client(Protocol):
    """Sends requests to one model's provider."""

    async def send(
        self,
        body: bytes,
        *,
        stream: bool,
        headers: Mapping[str, str] | None,
        path: str = "",
        query: str = "",
    ) -> Reply:
        """Send a request and wait for the status and headers of its answer.

        Parameters
        ----------
        body
            A request in the provider's dialect.
        stream
            Whether it asks for a stream.
        headers
            Further headers; the settings' headers win over them.
        path
            Path below the endpoint; "" for that of the kind's answers.
        query
            Query of the client's request; parameters of the endpoint win over it.

        Raises
        ------
        UpstreamError
            If no answer came.
        """
        ...
