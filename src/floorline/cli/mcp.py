"""The ``floorline mcp`` command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

# The package, not this module: imports are absolute.
from mcp.server import MCPServer

from floorline._extras import needs
from floorline._version import __version__
from floorline.cli.connect import DEFAULT_URL
from floorline.cli.gateway_http import GatewayClient, Key, Url
from floorline.cli.mcp_tools import READ_ONLY, GatewayTools
from floorline.cli.terminal import note

_INSTRUCTIONS = (
    "Floorline is a gateway that routes requests to language models and keeps a floor on the share "
    "of satisfied users for each SLA. Use status for the verdicts, explain for one decision, and "
    "judges for how judges differ from users. Nothing here changes the gateway."
)


def mcp(
    url: Url = DEFAULT_URL,
    key: Key = None,
    log: Annotated[
        str | None,
        typer.Option(
            help="Store whose log the tool what_if reads, with the requests of all tenants. "
            "[default: no such tool]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Let assistants ask a running gateway for its status, over the Model Context Protocol.

    A client of that protocol starts this command and talks to its input and output. The tools read
    and change nothing; they see what the key sees.
    """
    tools = GatewayTools(GatewayClient(url, key))
    server = MCPServer(
        "floorline", version=__version__, instructions=_INSTRUCTIONS, log_level="WARNING"
    )
    for tool in (tools.status, tools.explain, tools.judges):
        server.tool(annotations=READ_ONLY)(tool)
    if log is not None:
        with needs("gateway", "the tool what_if"):
            from floorline.cli.mcp_whatif import LogTool

        server.tool(annotations=READ_ONLY)(LogTool(log).what_if)
    if sys.stdin.isatty():
        note("waiting for a client of the Model Context Protocol on the input; Ctrl+C ends it")
    server.run("stdio")
