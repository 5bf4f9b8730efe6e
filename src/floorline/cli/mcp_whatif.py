"""The tool of ``floorline mcp`` that reads the log: what another policy would have given."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
from pydantic import Field

from floorline.cli.mcp_tools import bounded, tool_errors
from floorline.errors import FloorlineError, check_one_of
from floorline.whatif.recent_log import Question, answer

_ALWAYS = "always:"
"""Begins a policy that lets one model serve every request."""
_POLICIES = (
    "primal_dual",
    "sla_router",
    "mess_plus",
    "carrot",
    "routellm",
    "cheapest",
    "random",
)
"""Policies that need neither a history nor a trained network. A policy of one's own is code that
would run here, which is for the command line only."""
_SECONDS_PER_HOUR = 3600.0
_MAX_HOURS = 24 * 366.0


class LogTool:
    """Evaluates other policies on the log of a store.

    Parameters
    ----------
    log
        URL of the store, which a gateway may be writing.

    Raises
    ------
    FloorlineError
        If there is no such store.
    """

    def __init__(self, log: str) -> None:
        from floorline.stores.open_store import open_read_only

        with open_read_only(log):
            pass
        self._log = log

    def what_if(
        self,
        policy: Annotated[
            str,
            Field(
                max_length=200,
                description=f"One of {', '.join(_POLICIES)}; or {_ALWAYS}MODEL, which lets one "
                "model serve every request.",
            ),
        ],
        sla: Annotated[
            str | None, Field(max_length=200, description="Use requests of this SLA only.")
        ] = None,
        floor: Annotated[
            float | None, Field(ge=0.0, le=1.0, description="Floor, in place of the logged ones.")
        ] = None,
        hours: Annotated[
            float, Field(gt=0.0, le=_MAX_HOURS, description="Hours up to now whose log is used.")
        ] = 24.0,
    ) -> dict[str, Any]:
        """Estimate satisfaction and cost per request of another policy on logged requests.

        The latest 60,000 events are read at most, which takes some seconds. problem says why there
        are no estimates; then result has bounds only, or is null.
        """
        with tool_errors():
            always = policy.startswith(_ALWAYS)
            if not always:
                check_one_of("policy", policy, [*_POLICIES, f"{_ALWAYS}MODEL"])
            found = answer(
                self._log,
                Question(
                    policy="" if always else policy,
                    model=policy.removeprefix(_ALWAYS) if always else "",
                    sla=sla,
                    floor=floor,
                    since=time.time() - hours * _SECONDS_PER_HOUR,
                ),
            )
            if found.result is None and not found.events:
                raise FloorlineError(
                    f"the log has no event of the last {hours:g} hours: ask for more hours"
                )
            return dict(bounded(msgspec.to_builtins(found)))
