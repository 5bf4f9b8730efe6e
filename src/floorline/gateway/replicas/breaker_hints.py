"""Replicas tell each other which circuit breakers are open; see docs/replicas.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from floorline.gateway.upstreams import OpenBreaker, Upstreams
from floorline.replication.members import Member

BREAKERS, MODELS = "breakers", "models"
"""Fields of a replica's status: its open breakers, and the number of its models."""
_MAX_BREAKERS = 100
"""Most open breakers that a replica publishes, and that are read of one."""
_MAX_TEXT = 200
"""Most characters of a name or a cause that is read."""


class Report(NamedTuple):
    """An open breaker of another replica.

    Attributes
    ----------
    replica, host
        Name of the replica, and its machine as it says.
    breaker
        The breaker; its time is what is left of it now.
    taken
        Whether it counts here: not where all breakers of that replica are open, because its own
        network may be broken.
    """

    replica: str
    host: str
    breaker: OpenBreaker
    taken: bool


class BreakerHints:
    """Publishes this replica's open breakers, and suspects the models of the others'.

    A hint never opens or closes a breaker by itself, and refuses no call. It makes the first call
    that ends here decide (``Breaker.suspect``), once for each opening of a breaker there.

    Parameters
    ----------
    upstreams
        The models of this replica.
    replica
        Name of this replica.

    Attributes
    ----------
    reports : list of Report
        Open breakers of the others, as they were read last.
    """

    def __init__(self, upstreams: Upstreams, replica: str) -> None:
        self._upstreams = upstreams
        self._replica = replica
        # By replica and model: the opening that was counted last.
        self._counted: dict[tuple[str, str], int] = {}
        self.reports: list[Report] = []

    def published(self) -> list[dict[str, Any]]:
        """Return this replica's open breakers for its status."""
        found = self._upstreams.open_breakers()[:_MAX_BREAKERS]
        return [msgspec.to_builtins(breaker) for breaker in found]

    def take(self, members: Sequence[Member]) -> None:
        """Take note of what the replicas that serve say now."""
        others = [member for member in members if member.id != self._replica]
        self.reports = [report for member in others for report in reports_of(member)]
        counted = {}
        for report in self.reports:
            key, opening = (report.replica, report.breaker.model), report.breaker.opening
            if not report.taken:
                continue
            if self._counted.get(key) != opening:
                self._upstreams.suspect(report.breaker.model, report.breaker.seconds)
            counted[key] = opening
        self._counted = counted

    def warnings(self) -> list[str]:
        """Return the open breakers of other replicas for an operator."""
        return [
            f"replica {report.replica} on {report.host or 'an unknown host'} has an open circuit "
            f"breaker for model {report.breaker.model!r} ({report.breaker.cause or 'no cause'})"
            + ("" if report.taken else "; all its models fail, so its network may be broken")
            for report in self.reports
        ]


def reports_of(member: Member) -> list[Report]:
    """Return the open breakers of a replica, as far as its status can be read."""
    given = member.status.get(BREAKERS)
    if not isinstance(given, list):
        return []
    found = []
    for raw in given[:_MAX_BREAKERS]:
        try:
            breaker = msgspec.convert(raw, OpenBreaker)
        except msgspec.ValidationError:
            # Of another version.
            continue
        left = breaker.seconds - max(0.0, member.age)
        if math.isfinite(left) and left > 0.0 and len(breaker.model) <= _MAX_TEXT:
            cause = breaker.cause[:_MAX_TEXT]
            found.append(msgspec.structs.replace(breaker, seconds=left, cause=cause))
    models, host = member.status.get(MODELS), member.status.get("host")
    taken = not (isinstance(models, int) and 1 < min(models, _MAX_BREAKERS) <= len(found))
    shown = host[:_MAX_TEXT] if isinstance(host, str) else ""
    return [Report(member.id, shown, breaker, taken) for breaker in found]
