"""Answers to clients of HTTP/1.0, which know no chunks."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class UnchunkedCycle(RequestResponseCycle):
    """Uvicorn's cycle of a request, for an answer whose end is that of its connection.

    Uvicorn sends an answer without a length in chunks, also to clients of HTTP/1.0.
    """

    async def send(self, message: Any) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message.get("headers", ())}
            if b"content-length" not in names:
                self.chunked_encoding = False
        elif self.chunked_encoding is False and not self.expected_content_length:
            # Uvicorn counts what is left of an announced length; here none is announced.
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)
