"""The ``server`` section: address, who may send requests, and the limits of HTTP."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from floorline.config.addresses import read_origin
from floorline.config.types import Count, Duration, Fix, Section, Size, Text, Whole, field

_HOST = re.compile(r"(\*\.)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)")


def _host(name: str) -> str:
    if not _HOST.fullmatch(name):
        raise ValueError
    return name.lower().removesuffix(".")


def _web_origin(origin: str) -> str:
    scheme, host, port = read_origin(origin)
    shown = f"[{host}]" if ":" in host else host
    standard = {"http": 80, "https": 443}[scheme]
    written = f"{scheme}://{shown}" + ("" if port == standard else f":{port}")
    # Browsers send an origin in this form.
    if origin.rstrip("/").lower() not in (written, f"{scheme}://{shown}:{port}"):
        raise ValueError
    return written


class HttpLimitSettings(Section):
    """What one client can take of the HTTP server, before and beside its requests."""

    header_bytes: Size = field(
        "64KiB", "Largest size of a request's first line and headers together; more is a 431."
    )
    header_count: Count = Field(
        100, description="Largest number of headers of a request; more is a 431."
    )
    url_bytes: Size = field("8KiB", "Largest size of a request's URL; more is a 414.")
    header_timeout: Duration = field(
        "10s",
        "Time from the first byte of a request, or from the opening of a connection, to the end "
        "of its headers; more is a 408.",
    )
    body_timeout: Duration = field(
        "30s",
        "Time from the end of the headers to the end of the body; more is a 408. Every 16 KiB "
        "that arrive add a second.",
    )
    send_timeout: Duration = field(
        "30s",
        "Longest time in which a client takes nothing of an answer that waits for it; then its "
        "connection is closed.",
    )
    keep_alive: Duration = field(
        "75s",
        "Time that a connection is kept without a request. Above the 60 s of common load "
        "balancers, so that they and not the server end idle connections.",
    )
    keep_alive_requests: Count = Field(
        1_000, description="Number of requests after which a connection is closed."
    )
    max_connections: Count | None = Field(
        None,
        description="Largest number of connections of clients. At the limit a new connection "
        "replaces the oldest one that sends no request. Empty: half of the files that the process "
        "may open, less 80, and at most 4,096.",
    )


class ServerSettings(Section):
    """The HTTP server."""

    host: Text = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all addresses.")
    port: Annotated[Whole, Field(ge=0, le=65535), Fix("give a port from 0 (any) to 65535")] = Field(
        8080, description="Port to listen on; 0 for any free one."
    )
    allowed_hosts: list[
        Annotated[
            Text,
            AfterValidator(_host),
            Fix("give a host name without scheme and port, such as llm.example.com"),
        ]
    ] = Field(
        [],
        description="Names that the Host header of requests may have, such as llm.example.com or "
        "*.example.com, in addition to those of this machine and server.host. Empty: with keys "
        "and a server.host that other machines reach, all names.",
    )
    cors_origins: list[
        Annotated[
            Text,
            AfterValidator(_web_origin),
            Fix("give scheme and host of a web page, such as https://app.example.com"),
        ]
    ] = Field(
        [],
        description="Origins of the web pages whose scripts may send requests (CORS); empty: "
        "none. Requests with another Origin header are refused.",
    )
    max_in_flight: Count = Field(
        1024,
        description="Largest number of chat requests served at a time; others get 429 and "
        "Retry-After.",
    )
    max_body: Size = field("20MiB", "Largest size of a request's body.")
    max_body_memory: Size = field(
        "256MiB",
        "Largest size of all bodies together that are received or served, without those that "
        "arrive in one piece (up to some 64 KiB); others get 503 and Retry-After. At least "
        "max_body.",
    )
    public_metrics: bool = Field(
        False,
        description="Show /metrics, and the details of /readyz, without a key; for a network that "
        "only operators reach.",
    )
    shutdown_grace: Duration = field(
        "30s", "Time that open requests have to end after a signal to stop."
    )
    limits: HttpLimitSettings = field(
        {}, "What one client can take of the HTTP server, before and beside its requests."
    )

    @property
    def body_memory(self) -> int:
        """Bytes that all bodies together may take; one of the largest size always may."""
        return max(self.max_body, self.max_body_memory)
