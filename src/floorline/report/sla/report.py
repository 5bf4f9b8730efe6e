"""The report on one SLA and one period: what was promised, measured, spent and saved."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence

import msgspec

from floorline._version import __version__
from floorline.errors import InvalidInput, did_you_mean
from floorline.report.certificate_data import Promise
from floorline.report.certificate_methods import MethodPoint, intervals
from floorline.report.certificate_report import certificate_of_promise, promised
from floorline.report.judged_log import JudgingCost
from floorline.report.sla.changes import ChangeLine, change_lines
from floorline.report.sla.figures import (
    Bucket,
    Label,
    ModelFigures,
    Saving,
    Totals,
    buckets,
    by_model,
    savings,
    totals,
)
from floorline.report.sla.incidents import Incidents, find_incidents
from floorline.report.sla.requests import PeriodFold, Scope, SlaRequests
from floorline.report.templates import iso, time
from floorline.sla import SLA
from floorline.state.certificate import Certificate
from floorline.state.judge_calibration import Agreement
from floorline.stores.log_source import LogDigest


class Broken(msgspec.Struct, frozen=True):
    """A time in which the certificate of the period was broken; ``until`` None if it still is."""

    since: float
    until: float | None


class TimedPoint(msgspec.Struct, frozen=True):
    """Mean and bounds when a label came: its Unix time in seconds."""

    at: float
    labels: int
    mean: float
    lower: float
    upper: float


class SlaReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a log says of one SLA in a period; costs are in ``cost_unit``.

    Attributes
    ----------
    sla, floor, guarded
        Name of the SLA as its customer calls it, its floor at the end of the period, and whether
        the router keeps a margin above it.
    certificate, whole
        Certificates over the labels of the period's requests, and since the SLA began.
    series
        The certificate of the period over time.
    totals, models, buckets, savings
        Figures of the period.
    incidents, broken
        Failures that followed each other, and the times in which the floor was broken.
    changes
        Changes of the SLA and of its models.
    corrected
        Number of corrections of labels.
    """

    sla: str
    floor: float
    guarded: bool
    certificate: Certificate
    whole: Certificate
    series: tuple[TimedPoint, ...]
    totals: Totals
    models: tuple[ModelFigures, ...]
    buckets: tuple[Bucket, ...]
    savings: tuple[Saving, ...]
    incidents: Incidents
    broken: tuple[Broken, ...]
    changes: tuple[ChangeLine, ...]
    corrected: int


class Source(msgspec.Struct, frozen=True):
    """The events that a report is made of.

    ``events``, ``sha256`` and ``latest_at`` are about the events of these requests. ``log`` is the
    name of the log, and ``first_position`` and ``last_position`` are those of the whole log; all
    three are None in a report on one tenant, to which they would tell what the others did.
    ``command`` makes the report again, and ``verified`` says that each event was checked against
    the chain of the log. ``begins`` is the time of the oldest event if older ones
    were deleted within the period.
    """

    events: int
    sha256: str
    latest_at: float | None
    command: str
    verified: bool
    log: str | None
    first_position: int | None
    last_position: int | None
    begins: float | None


class PeriodReport(msgspec.Struct, frozen=True, kw_only=True):
    """Reports on all SLAs of a scope. Times are Unix times in seconds.

    ``judges`` compare judges with users over the period's requests, and ``judging`` says what the
    calls of judges and those in the shadow cost, which no SLA pays; it is empty in a report on one
    tenant.
    """

    since: float
    until: float
    tenant: str | None
    customer: str
    cost_unit: str
    slas: tuple[SlaReport, ...]
    judges: tuple[Agreement, ...] = ()
    judging: tuple[JudgingCost, ...] = ()
    source: Source
    floorline: str
    made_at: float
    v: int = 1


def check_found(fold: PeriodFold) -> None:
    """Raise InvalidInput if the log has no request of the scope."""
    scope = fold.scope
    if fold.slas:
        return
    where = "" if scope.tenant is None else f" of tenant {scope.tenant!r}"
    if scope.sla is not None and scope.sla not in fold.seen:
        known = sorted(fold.seen)
        fix = "name one that has requests" + where + ": " + (", ".join(known) or "none has")
        raise InvalidInput("sla", scope.sla, did_you_mean(scope.sla, known) + fix)
    if scope.tenant is not None and not fold.seen:
        fix = "name a tenant that has requests under an SLA"
        raise InvalidInput("tenant", scope.tenant, fix)
    raise InvalidInput("since", time(scope.since), f"give a period with requests{where}")


def report_sla(
    fold: PeriodFold, requests: SlaRequests, known: Sequence[SLA], confidence: float | None
) -> SlaReport:
    """Report on one SLA of a folded log.

    Parameters
    ----------
    fold, requests
        The log, and the SLA's requests in it.
    known
        SLAs of the configuration, for logs that do not define them.
    confidence
        Confidence of the bounds instead of the SLA's.
    """
    scope = fold.scope
    shown = scope.shown_sla(requests.name)
    if shown in fold.slas:
        # It was shared with other tenants once, and the tenant's own at another time.
        shown = requests.name
    sla = _for_scope(_promised(requests, known, confidence), scope, shown)
    alone = scope.tenant is not None
    for promise in (requests.period, requests.whole):
        if alone:
            # One sender of labels: they are weighed against no one else's.
            for response in promise.responses.values():
                response.weight = 1.0
    own = list(requests.requests.values())
    labels = _labels(requests)
    summed = totals(own)
    allowed = {
        name: sums
        for name, sums in requests.expected.items()
        if (sla.models is None or name in sla.models) and (sums.possible or not alone)
    }
    models = by_model(own, labels)
    spoken_of = {row.model for row in models} if alone else None
    certificate = _told(certificate_of_promise(requests.period, sla, fold.judged), spoken_of)
    series = _series(requests.period, sla.confidence)
    return SlaReport(
        sla=shown,
        floor=sla.floor,
        guarded=sla.guarded,
        certificate=certificate,
        whole=_told(certificate_of_promise(requests.whole, sla), spoken_of),
        series=series,
        totals=summed,
        models=models,
        buckets=buckets(own, labels, scope.since, scope.until),
        savings=savings(allowed, certificate.floor, summed),
        incidents=find_incidents(own),
        broken=_broken(series, certificate.floor),
        changes=change_lines([*requests.changes, *fold.zoo_changes], spoken_of, shown=shown),
        corrected=requests.period.corrected,
    )


def source_of(fold: PeriodFold, log: LogDigest, name: str, *, verified: bool) -> Source:
    """Say which events a report is made of, and how to make it again.

    Parameters
    ----------
    fold, log
        The folded log, read to its end.
    name
        Name of the log, without credentials.
    verified
        Whether the log is a store, whose events are checked when they are read.
    """
    scope = fold.scope
    alone = scope.tenant is not None
    given = {
        "--log": None if alone else name,
        "--tenant": scope.tenant,
        "--sla": scope.sla,
        "--since": iso(scope.since),
        "--until": iso(scope.until),
    }
    options = [word for option, value in given.items() if value for word in (option, value)]
    cut = bool(log.first) and log.earliest is not None and log.earliest > scope.since
    return Source(
        events=fold.events,
        sha256=fold.sha256,
        latest_at=fold.latest_at,
        command=shlex.join(["floorline", "report", "sla", *options]),
        verified=verified,
        log=None if alone else name,
        first_position=None if alone else log.first,
        last_position=None if alone else log.last,
        begins=log.earliest if cut else None,
    )


def make_period_report(
    fold: PeriodFold,
    known: Sequence[SLA],
    source: Source,
    *,
    customer: str = "",
    confidence: float | None = None,
    made_at: float = 0.0,
) -> PeriodReport:
    """Report on every SLA of a folded log that has requests, the one with the most first."""
    return PeriodReport(
        since=fold.scope.since,
        until=fold.scope.until,
        tenant=fold.scope.tenant,
        customer=customer,
        cost_unit="USD" if fold.zoo is None else fold.zoo.cost_unit,
        slas=tuple(
            report_sla(fold, requests, known, confidence)
            for requests in sorted(
                fold.slas.values(), key=lambda one: (-len(one.requests), one.name)
            )
        ),
        judges=_spoken_of(fold),
        judging=fold.judged.costs(),
        source=source,
        floorline=__version__,
        made_at=made_at,
    )


def _spoken_of(fold: PeriodFold) -> tuple[Agreement, ...]:
    """Comparisons of judges with users; a report on a tenant names only models that served it."""
    found = fold.judged.agreements()
    if fold.scope.tenant is None:
        return found
    served = {
        call.model
        for sla in fold.slas.values()
        for request in sla.requests.values()
        for call in request.calls
    }
    return tuple(one for one in found if not one.model or one.model in served)


def _promised(requests: SlaRequests, known: Sequence[SLA], confidence: float | None) -> SLA:
    """Return the SLA as the log or else the configuration defines it, or by its requests."""
    defined = requests.period.promised is not None
    if not defined and all(sla.name != requests.name for sla in known):
        latest = list(requests.requests.values())[-1]
        known = [SLA(requests.name, floor=latest.floor)]
    return promised(requests.period, known, None, confidence)


def _for_scope(sla: SLA, scope: Scope, shown: str) -> SLA:
    """Return the SLA as the tenant knows it: without the budget that it shares with others."""
    if scope.tenant is None:
        return sla
    shared = scope.shown_sla(sla.name) == sla.name
    return msgspec.structs.replace(sla, name=shown, budget=None if shared else sla.budget)


def _told(made: Certificate, spoken_of: Collection[str] | None) -> Certificate:
    """Return a certificate whose evidence names these models only; all if None."""
    if spoken_of is None:
        return made
    replace, reach = msgspec.structs.replace, made.reachability
    if reach is not None:
        reach = replace(reach, models=tuple(m for m in reach.models if m.model in spoken_of))
    latency = tuple(
        replace(one, models=tuple(m for m in one.models if m.model in spoken_of))
        for one in made.latency
    )
    return replace(made, reachability=reach, latency=latency)


def _labels(requests: SlaRequests) -> list[Label]:
    of = {call.id: request.id for request in requests.requests.values() for call in request.calls}
    return [
        Label(of[id], response.model, response.score, response.weight)
        for id, response in requests.period.responses.items()
        if response.score is not None
    ]


def _series(promise: Promise, confidence: float) -> tuple[TimedPoint, ...]:
    """Interval over time: when each of up to 240 labels came."""
    times = [r.arrived_at for r in promise.labelled()]
    points: list[MethodPoint] = intervals(promise, "betting", None, confidence)
    # A label that its sender dates back came no earlier than the one before it.
    latest, timed = 0.0, []
    for point in points:
        latest = max(latest, times[point.n - 1])
        timed.append(TimedPoint(latest, point.n, point.mean, point.lower, point.upper))
    return tuple(timed)


def _broken(series: Sequence[TimedPoint], floor: float) -> tuple[Broken, ...]:
    """Times in which the upper bound was below the floor."""
    found: list[Broken] = []
    began: float | None = None
    for point in series:
        if point.upper < floor and began is None:
            began = point.at
        elif point.upper >= floor and began is not None:
            found.append(Broken(began, point.at))
            began = None
    return (*found, Broken(began, None)) if began is not None else tuple(found)
