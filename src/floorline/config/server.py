"""The ``server`` section: address, who may send requests, and the limits of HTTP."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from floorline.config.addresses import read_origin
from floorline.config.document import quoted
from floorline.config.secrets import LoadContext
from floorline.config.tls import TlsSettings
from floorline.config.types import (
    Count,
    Duration,
    Fix,
    Kind,
    Section,
    Size,
    Text,
    Whole,
    field,
    parse_duration,
    rule_error,
)

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


_MAX_SOCKET_PATH = 100
"""Bytes of the path of a unix socket: systems take 104 or 108."""
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")
UNIX = "unix"
"""Entry of ``server.trusted_proxies`` that stands for all clients of the unix socket."""


def _root_path(path: str) -> str:
    if not _ROOT_PATH.fullmatch(path) or "/." in path:
        raise ValueError
    path = path.rstrip("/")
    if path.endswith("/v1"):
        raise rule_error(f"is {quoted(path)}", "leave out /v1, which every path has anyway")
    return path


def _network(written: str) -> str:
    if written == UNIX:
        return written
    return str(ipaddress.ip_network(written.strip("[]"), strict=False))


def _socket_path(written: str, info: ValidationInfo) -> str:
    path = LoadContext.of(info).folder.absolute() / written
    if len(str(path).encode()) > _MAX_SOCKET_PATH:
        fix = f"give a path of at most {_MAX_SOCKET_PATH} bytes"
        raise rule_error(f"is {quoted(str(path))}", fix)
    return str(path)


def _pause(value: Any) -> Any:
    # YAML reads an unquoted off as false.
    if value is False or value == "off":
        return 0.0
    if isinstance(value, bool):
        raise ValueError
    if not isinstance(value, str):
        return value
    try:
        return parse_duration(value)
    except ValueError:
        # A number in quotes counts seconds; pydantic reads it.
        return value


Pause = Annotated[
    float,
    BeforeValidator(_pause),
    Field(ge=0, le=3600, allow_inf_nan=False),
    Kind("duration"),
    Fix("give seconds, or a text such as 15s, at most an hour; 0 or off for never"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 3600},
                {"type": "string"},
                {"const": False},
            ]
        }
    ),
]


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
    unix_socket: (
        Annotated[
            Text,
            AfterValidator(_socket_path),
            Fix("give the path of the socket's file, relative to this file"),
        ]
        | None
    ) = Field(
        None,
        description="File of a unix socket to listen on, in place of host and port; for a proxy "
        "on this machine.",
    )
    unix_socket_mode: Annotated[
        str,
        Field(pattern="^0?[0-7]{3}$"),
        Fix("give three octal digits in quotes, such as '0660'"),
    ] = Field(
        "0600",
        description="Permissions of the unix socket, in quotes. 0600: its owner may connect; "
        "0660: its group, too.",
    )
    tls: TlsSettings | None = Field(
        None, description="Encrypt clients' connections (HTTPS); empty: do not."
    )
    root_path: (
        Annotated[
            str,
            AfterValidator(_root_path),
            Fix("give the path below which a proxy serves the gateway, such as /llm"),
        ]
        | None
    ) = Field(
        None,
        description="Path below which a proxy serves the gateway, such as /llm, whether or not the "
        "proxy removes it from requests.",
    )
    trusted_proxies: list[
        Annotated[
            Text,
            AfterValidator(_network),
            Fix("give an address or a network, such as 10.0.0.0/8, or unix for the unix socket"),
        ]
    ] = Field(
        [],
        description="Addresses and networks of proxies whose headers X-Forwarded-For, -Proto, "
        "-Host and -Prefix, or Forwarded, are believed; unix for clients of the unix socket. "
        "Empty: none.",
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
        "and a server.host that other machines reach, or with a unix socket, all names.",
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
    max_body: Size = field(
        "20MiB", "Largest size of a request's body, as it is sent and as it is decoded."
    )
    max_body_memory: Size = field(
        "256MiB",
        "Largest size of all bodies together that are received or served, without those that "
        "arrive in one piece (up to some 64 KiB); others get 503 and Retry-After. At least "
        "max_body.",
    )
    stream_keepalive: Pause = field(
        "15s",
        "Time of silence after which a comment is sent within a stream, while a model thinks; 0 or "
        "off for never. Below the 60 s after which load balancers close connections.",
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
