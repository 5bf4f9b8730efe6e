"""The certificate of one SLA, with the data and the checks that its signer needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import msgspec
import numpy as np

from floorline._extras import needs
from floorline._version import __version__
from floorline.errors import InvalidInput, did_you_mean
from floorline.events import Decision, Event, Recall, SlaChange
from floorline.guarantees import Interval
from floorline.report.certificate_data import Promise, Response
from floorline.report.certificate_methods import METHODS, MethodPoint, intervals
from floorline.report.judged_log import JudgedLog, JudgingCost
from floorline.sla import SLA, check_floor
from floorline.state.certificate import Certificate, Tally, certify
from floorline.state.judge_calibration import Agreement
from floorline.state.judged_certificate import BY_JUDGE, WITH_USERS, JudgedCertificate
from floorline.state.latency_certificate import latency_certificates_of
from floorline.state.ledger import POSITIVE_LABEL
from floorline.state.senders import OTHERS
from floorline.state.status import MOST_SENDERS
from floorline.stores.log_source import LogDigest

_SUSPICIOUS = 0.01
"""Level of a test below which its finding is put on the page."""


class Group(msgspec.Struct, frozen=True):
    """Responses of one model, or labels of one source; ``mean`` None without labels."""

    name: str
    served: int
    labels: int
    mean: float | None


class Sender(msgspec.Struct, frozen=True):
    """What one tenant or key taught: shares of its requests and of the labels' weight.

    ``mean`` counts each of its labels once; None without labels.
    """

    name: str
    requests: int
    request_share: float
    labels: int
    mean: float | None
    weight: float
    weight_share: float


class DataRange(msgspec.Struct, frozen=True):
    """Range of the log that was read: positions, times in seconds since 1970, and digest."""

    log: str
    events: int
    first_position: int | None
    last_position: int | None
    first_at: float | None
    last_at: float | None
    sha256: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate and its basis; times are in seconds since 1970.

    ``checks`` are findings that an assumption may not hold, ``notes`` are choices of the caller,
    both as sentences. ``series`` is the interval over time, and ``counted`` says what its points
    count: "labels" or "requests". ``judges`` compare judges with users under all SLAs of the log,
    and ``judging`` says what the calls of judges and those in the shadow cost.
    """

    certificate: Certificate
    window: Certificate | None
    data: DataRange
    sources: tuple[Group, ...]
    models: tuple[Group, ...]
    senders: tuple[Sender, ...]
    corrected: int
    checks: tuple[str, ...]
    notes: tuple[str, ...]
    series: tuple[MethodPoint, ...]
    counted: str
    judges: tuple[Agreement, ...] = ()
    judging: tuple[JudgingCost, ...] = ()
    floorline: str
    signed_by: str
    signed_at: float
    v: int = 1


def read_promise(
    log: LogDigest,
    sla: str | None,
    sources: Sequence[str] | None,
    judged: JudgedLog | None = None,
) -> Promise:
    """Fold a log into one SLA's responses; the SLA may be left out if there is only one.

    ``judged`` folds the same events.

    Raises
    ------
    InvalidInput
        If the log has no decision of this SLA, or of several if none is named.
    """
    folds = {} if sla is None else {sla: Promise(sla, sources)}
    for event in chain(log.beginning, (event for _, event in log)):
        name = _named(event)
        if sla is None and name and name not in folds:
            folds[name] = Promise(name, sources)
        for fold in folds.values():
            fold.fold(event)
        if judged is not None:
            judged.fold(event)
    routed = sorted({name for fold in folds.values() for name in fold.seen})
    if len(folds) > 1:
        folds = {name: fold for name, fold in folds.items() if name in routed}
    if len(folds) != 1 or not routed or (sla is not None and sla not in routed):
        fix = "name one that the log has decisions of: " + (", ".join(routed) or "none")
        fix = did_you_mean(sla, routed) + fix
        raise InvalidInput("sla", sla, fix)
    (promise,) = folds.values()
    return promise


def _named(event: Event) -> str:
    """Return the name of the SLA that an event belongs to; empty if it belongs to none."""
    if isinstance(event, SlaChange):
        return event.sla.name
    decision = event.decision if isinstance(event, Recall) else event
    return decision.sla if isinstance(decision, Decision) else ""


def promised(
    promise: Promise, known: Sequence[SLA], floor: float | None, confidence: float | None
) -> SLA:
    """Return the SLA to certify: from the log's last change, a configuration or the floor given.

    A given floor replaces the floors of the requests.

    Raises
    ------
    InvalidInput
        If the floor is in none of them.
    """
    found = promise.promised or {sla.name: sla for sla in known}.get(promise.sla)
    if found is None:
        floors = {response.floor for response in promise.responses.values()}
        if floor is None and len(floors) != 1:
            raise InvalidInput("floor", None, "give a floor, or the configuration with this SLA")
        found = SLA(promise.sla, floor=floors.pop() if floor is None else floor)
    if floor is not None:
        found = msgspec.structs.replace(found, floor=check_floor("floor", floor))
        promise.replace_floor(floor)
    return found if confidence is None else msgspec.structs.replace(found, confidence=confidence)


def certificate_of_promise(
    promise: Promise, sla: SLA, judged: JudgedLog | None = None
) -> Certificate:
    """Certify an SLA over all labels of a folded log, as the router does."""
    return _certificate(promise, promise.labelled(), sla, "betting", None, (), judged)


def make_report(
    promise: Promise,
    sla: SLA,
    log: LogDigest,
    *,
    name: str,
    method: str = "betting",
    rate: float | None = None,
    signed_by: str = "",
    signed_at: float = 0.0,
    judged: JudgedLog | None = None,
) -> Report:
    """Certify an SLA and collect the basis of the certificate.

    ``judged`` has folded the same log as the promise.

    Raises
    ------
    InvalidInput
        If the method is unknown or lacks its rate.
    """
    series = intervals(promise, method, rate, sla.confidence)
    labelled = promise.labelled()
    certificate = _certificate(promise, labelled, sla, method, rate, series, judged)
    window = None
    if sla.label_window is not None:
        latest = _tally(promise.requests, labelled[-sla.label_window :], weighed=True)
        window = certify(sla, latest, window=sla.label_window)
    data = DataRange(
        log=name,
        events=log.events,
        first_position=log.first,
        last_position=log.last,
        first_at=log.earliest,
        last_at=log.latest,
        sha256=log.sha256,
    )
    responses = list(promise.responses.values())
    return Report(
        certificate=certificate,
        window=window,
        data=data,
        sources=_groups(labelled, [r.source or "unknown" for r in labelled]),
        models=_groups(responses, [r.model for r in responses]),
        senders=_senders(responses),
        corrected=promise.corrected,
        checks=tuple(_checks(promise, labelled, data)),
        notes=tuple(promise.notes),
        series=tuple(series),
        counted="requests" if method in ("ipw", "dr") else "labels",
        judges=() if judged is None else judged.agreements(),
        judging=() if judged is None else judged.costs(),
        floorline=__version__,
        signed_by=signed_by,
        signed_at=signed_at,
    )


def _tally(requests: int, labelled: Sequence[Response], *, weighed: bool) -> Tally:
    """Counts and sums; methods with a known label rate have weights of their own instead."""
    scores = [r.score or 0.0 for r in labelled]
    weights = [r.weight if weighed else 1.0 for r in labelled]
    praised = sum(score >= POSITIVE_LABEL for score in scores)
    satisfied = sum(w * s for w, s in zip(weights, scores, strict=True))
    floors = sum(w * r.floor for w, r in zip(weights, labelled, strict=True))
    return Tally(requests, len(scores), satisfied, praised, floors, float(sum(weights)))


def _senders(responses: Sequence[Response]) -> tuple[Sender, ...]:
    """The tenants or keys of most responses, and all others as one row."""
    names = Counter(response.sender for response in responses)
    listed = [name for name, _ in names.most_common(MOST_SENDERS)]
    grouped: dict[str, list[Response]] = {name: [] for name in listed}
    for response in responses:
        name = response.sender if response.sender in grouped else OTHERS
        grouped.setdefault(name, []).append(response)
    total = sum(r.weight for r in responses if r.score is not None)
    rows = []
    for name, group in grouped.items():
        scores = [r.score for r in group if r.score is not None]
        weight = float(sum(r.weight for r in group if r.score is not None))
        rows.append(
            Sender(
                name=name,
                requests=len(group),
                request_share=len(group) / len(responses),
                labels=len(scores),
                mean=float(np.mean(scores)) if scores else None,
                weight=weight,
                weight_share=weight / total if total else 0.0,
            )
        )
    return tuple(rows)


def _certificate(
    promise: Promise,
    labelled: Sequence[Response],
    sla: SLA,
    method: str,
    rate: float | None,
    series: Sequence[MethodPoint],
    judged: JudgedLog | None,
) -> Certificate:
    tally = _tally(promise.requests, labelled, weighed=method not in ("ipw", "dr"))
    evidence = promise.evidence(sla)
    labels = evidence.labels if tally.representative else {}
    latency = latency_certificates_of(sla, promise.timeliness(sla), evidence.models, labels)
    by_judges: tuple[JudgedCertificate, ...] = ()
    if judged is not None:
        weighed = _tally(promise.requests, labelled, weighed=True)
        users = weighed.weight, weighed.satisfied
        by_judges = judged.certificates(promise.sla, sla, users, promise.given_floor)
    if method == "betting" or not series:
        return certify(sla, tally, evidence=evidence, latency=latency, judged=by_judges)
    plain = certify(sla, tally).assumptions
    if rate is not None and method in ("ipw", "dr"):
        known = (
            f"Every served response was labelled with probability {rate:g}, drawn independently of "
            "all else. Labels still on their way count as missing."
        )
        plain = (plain[0], known, plain[-1])
    if by_judges:
        plain = (*plain, BY_JUDGE, WITH_USERS)
    last = series[-1]
    return certify(
        sla,
        tally,
        interval=Interval(last.lower, last.upper),
        mean=last.mean,
        method=METHODS[method],
        assumptions=plain,
        evidence=evidence,
        latency=latency,
        judged=by_judges,
    )


def _groups(responses: Sequence[Response], names: Sequence[str]) -> tuple[Group, ...]:
    groups = []
    for name in sorted(set(names)):
        scores = [r.score for r, n in zip(responses, names, strict=True) if n == name]
        judged = [score for score in scores if score is not None]
        mean = float(np.mean(judged)) if judged else None
        groups.append(Group(name, len(scores), len(judged), mean))
    return tuple(groups)


def _checks(promise: Promise, labelled: Sequence[Response], data: DataRange) -> list[str]:
    found = []
    responses = list(promise.responses.values())
    models = _groups(responses, [r.model for r in responses])
    shares = np.array([[m.labels, m.served - m.labels] for m in models if m.served], dtype=float)
    if len(shares) > 1 and shares.sum(axis=0).min() > 0:
        with needs("report", "checking which labels came"):
            from scipy.stats import chi2_contingency

        p = float(chi2_contingency(shares)[1])
        if p < _SUSPICIOUS:
            rates = ", ".join(f"{m.name} {m.labels / m.served:.1%}" for m in models)
            text = f"Labels came more often for some models than for others ({rates}; p = {p:.1g})."
            if all(m.labels for m in models):
                weighted = sum(m.served * (m.mean or 0.0) for m in models) / len(responses)
                text += f" Weighted by how often each model served, the mean is {weighted:.4f}."
            found.append(text)
    by_source = {
        name: [r.score or 0.0 for r in labelled if r.source == name]
        for name in sorted({r.source for r in labelled if r.source})
    }
    large = {name: scores for name, scores in by_source.items() if len(scores) >= 30}
    if len(large) > 1:
        with needs("report", "comparing the sources of labels"):
            from scipy.stats import f_oneway

        if all(len(set(scores)) > 1 for scores in large.values()):
            p = float(f_oneway(*large.values())[1])
            if p < _SUSPICIOUS:
                means = ", ".join(f"{name} {np.mean(s):.3f}" for name, s in large.items())
                found.append(
                    f"Sources of labels disagree about satisfaction ({means}; p = {p:.1g}): at "
                    "most one of them is representative."
                )
    if data.first_position:
        found.append(
            f"The log begins at position {data.first_position}: what was before it has been "
            "deleted and is not certified."
        )
    return found
