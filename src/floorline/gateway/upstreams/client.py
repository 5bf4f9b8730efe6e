"""What calls a provider, whichever way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Reply(Protocol):
    """A provider's answer while it comes in."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the answer; names in any case."""
        ...

    async def read(self) -> bytes:
        """Return the bytes that came since the last call; empty at the end.

        Raises
        ------
        UpstreamError
            If the connection broke.
        """
        ...

    def abort(self) -> None:
        """Give up the rest at once; a ``read`` that waits fails."""
        ...


class Client(Protocol):
    """Sends requests to one model's provider."""

    async def send(self, body: bytes, *, stream: bool, headers: Mapping[str, str] | None) -> Reply:
        """Send a request and wait for the head of its answer.

        Parameters
        ----------
        body
            A request of OpenAI's chat completions.
        stream
            Whether it asks for a stream.
        headers
            More headers; those of the settings come first.

        Raises
        ------
        UpstreamError
            If no answer came.
        """
        ...
