"""Tools of ``floorline mcp`` that ask a running gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import quote

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from floorline.cli.gateway_http import GatewayClient
from floorline.errors import FloorlineError

READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)
"""What clients are told of each tool: it changes nothing."""
MAX_ROWS = 100
"""Most entries of each list in a result, so that a result fits into the context of a model."""
_MAX_NAME = 200
"""Most characters of a name or an id."""

_Name = Annotated[str, Field(max_length=_MAX_NAME)]


class GatewayTools:
    """Reads what a gateway shows to a key.

    Parameters
    ----------
    client
        Client of the gateway.
    """

    def __init__(self, client: GatewayClient) -> None:
        self._client = client

    def status(
        self,
        sla: Annotated[
            _Name | None, Field(description="Name of the only SLA to show; all without it.")
        ] = None,
    ) -> dict[str, Any]:
        """Return each SLA's floor, verdict, satisfaction with its bounds, and spend.

        The verdict is one of kept, unknown, at risk, broken and unreachable. lower and upper bound
        the mean satisfaction since the start; spent is in cost_unit.
        """
        with tool_errors():
            return self._read("/v1/slas" if sla is None else f"/v1/slas/{quote(sla, safe='')}")

    def explain(
        self,
        decision: Annotated[
            _Name, Field(description="Id of a decision (header x-floorline-decision).")
        ],
    ) -> dict[str, Any]:
        """Say why a model answered a request, why the others did not, and what came of it."""
        with tool_errors():
            return self._read(f"/v1/decisions/{quote(decision, safe='')}")

    def judges(self) -> dict[str, Any]:
        """Return how the judges differ from users, with intervals, and what judging costs."""
        with tool_errors():
            return self._read("/v1/judges")

    def _read(self, path: str) -> dict[str, Any]:
        return dict(bounded(self._client.get(path)))


@contextmanager
def tool_errors() -> Iterator[None]:
    """Raise errors of Floorline as errors of a tool, whose message the client reads."""
    try:
        yield
    except FloorlineError as error:
        raise ToolError(str(error)) from error


def bounded(found: Any, most: int = MAX_ROWS) -> Any:
    """Return JSON with at most so many entries in each list; ``NAME_left_out`` counts the others.

    Parameters
    ----------
    found
        A JSON value.
    most
        Most entries of each list.

    Examples
    --------
    >>> bounded({"data": [1, 2, 3], "object": "list"}, most=2)
    {'data': [1, 2], 'data_left_out': 1, 'object': 'list'}
    """
    if isinstance(found, list):
        return [bounded(one, most) for one in found[:most]]
    if not isinstance(found, dict):
        return found
    kept: dict[str, Any] = {}
    for name, value in found.items():
        kept[name] = bounded(value, most)
        if isinstance(value, list) and len(value) > most:
            kept[f"{name}_left_out"] = len(value) - most
    return kept
