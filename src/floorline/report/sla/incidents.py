"""Incidents of a period: failing models, requests without an answer, and broken floors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from floorline.events import INTERRUPTED
from floorline.report.sla.requests import Call, Request

_GAP = 600.0
"""Seconds without another failure that end an incident: a provider that fails once in ten minutes
works again in between."""
_FEWEST_CALLS = 5
"""Failed calls that make an incident; fewer are single faults, which the totals count."""
MOST_INCIDENTS = 30
"""Most incidents that a report lists, the largest ones; it says how many there were."""


class Incident(msgspec.Struct, frozen=True):
    """Failures that followed each other.

    Attributes
    ----------
    kind
        ``"calls failed"`` of one model; ``"no answer"`` to requests whose calls all failed; or
        ``"no model left"`` for requests, which were declined.
    subject
        The model whose calls failed; "" for the other kinds.
    since, until
        Unix times in seconds of the first and the last one.
    count
        Number of failed calls, or of requests without an answer.
    requests, answered
        Number of requests that had one, and of those that another model answered.
    reasons
        Errors with their numbers, the most frequent first; at most three.
    first, last
        Ids of the first and the last decision, to look them up.
    """

    kind: str
    subject: str
    since: float
    until: float
    count: int
    requests: int
    answered: int
    reasons: tuple[tuple[str, int], ...]
    first: str
    last: str


class Incidents(msgspec.Struct, frozen=True):
    """Incidents of a period.

    ``listed`` are the largest ones in the order of time, and ``count`` is the number of all.
    ``single_requests`` is the number of requests without an answer in none of them, and
    ``single_calls`` that of failed calls.
    """

    listed: tuple[Incident, ...]
    count: int
    single_requests: int
    single_calls: int


def find_incidents(requests: Sequence[Request]) -> Incidents:
    """Find the incidents of a period.

    Failed calls of one model belong together while the next one begins within ten minutes; so do
    requests that were not answered, and those that were declined.
    """
    failed: dict[str, list[tuple[Request, Call]]] = {}
    declined: list[tuple[Request, Call]] = []
    unanswered: list[tuple[Request, Call]] = []
    for request in requests:
        for call in request.calls:
            if call.failed:
                # The gateway's own end says nothing of a model.
                name = "the gateway" if call.error == INTERRUPTED else call.model
                failed.setdefault(name, []).append((request, call))
        if request.declined:
            declined.append((request, Call(request.id, "", request.at, {})))
        elif request.result == "failed":
            unanswered.append((request, request.calls[-1]))
    by_model = [
        _incident("calls failed", model, group)
        for model, given in failed.items()
        for group in _groups(given)
    ]
    lost = [_incident("no answer", "", group) for group in _groups(unanswered)]
    lost += [_incident("no model left", "", group) for group in _groups(declined)]
    found = by_model + lost
    largest = sorted(found, key=lambda incident: -incident.count)[:MOST_INCIDENTS]
    return Incidents(
        listed=tuple(sorted(largest, key=lambda incident: incident.since)),
        count=len(found),
        single_requests=len(unanswered) + len(declined) - sum(one.count for one in lost),
        single_calls=sum(map(len, failed.values())) - sum(one.count for one in by_model),
    )


def _groups(given: Iterable[tuple[Request, Call]]) -> list[list[tuple[Request, Call]]]:
    groups: list[list[tuple[Request, Call]]] = []
    for request, call in sorted(given, key=lambda pair: pair[1].at):
        if groups and call.at - groups[-1][-1][1].at <= _GAP:
            groups[-1].append((request, call))
        else:
            groups.append([(request, call)])
    return [group for group in groups if len(group) >= _FEWEST_CALLS]


def _incident(kind: str, subject: str, group: Sequence[tuple[Request, Call]]) -> Incident:
    touched = {request.id: request for request, _ in group}
    reasons = Counter(call.error or "no model was left within the budget" for _, call in group)
    return Incident(
        kind=kind,
        subject=subject,
        since=group[0][1].at,
        until=group[-1][1].at,
        count=len(group),
        requests=len(touched),
        answered=sum(request.result == "answered" for request in touched.values()),
        reasons=tuple(reasons.most_common(3)),
        first=group[0][1].id,
        last=group[-1][1].id,
    )
