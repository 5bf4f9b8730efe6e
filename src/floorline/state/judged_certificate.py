"""Certificates from the scores of judges: by a judge alone, and of users with a judge's help."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from floorline.core.display import show_number
from floorline.guarantees import Interval, betting_interval
from floorline.sla import SLA
from floorline.state.judged_labels import NO_SCORE, JudgedLabels
from floorline.state.verdicts import Verdict

_ERROR_SHARES = {"users": 0.6, "differences": 0.15, "rest": 0.15, "judge": 0.1}
"""Shares of the error probability of the bounds that those of users with a judge are made of.
Users' labels alone get most, so that a judge who does not agree with users costs little: a bound's
width changes with the logarithm of its share. The judge's mean gets least: its labels are many."""

BY_JUDGE = (
    "By the judge: the mean of its own scores of randomly drawn responses. It says what the judge "
    "thinks of all responses that it can score, not what users do: those that it saw and gave no "
    "score, for example because it refused, are left out. Drawn responses that it did not see, "
    "because its budget was spent or it was too slow, count as 0 in the lower bound and as 1 in "
    "the upper one: a budget that ends early in each period leaves out the responses after that."
)
WITH_USERS = (
    "Of users, with the judge: the judge's mean over drawn responses, plus how much users differ "
    "from it where both judged. This is about users' satisfaction however wrong the judge is, as "
    "long as whether users label a response does not depend on what they think of it. It is "
    "narrower than by users alone if the judge's scores vary as theirs do."
)


class JudgedBounds(msgspec.Struct, frozen=True):
    """Estimate and bounds of a mean satisfaction, and the verdict on the floor by them.

    Attributes
    ----------
    satisfaction
        The estimate; None without a label.
    lower, upper
        Its bounds at the SLA's confidence, at every number of labels at once.
    verdict
        ``"kept"``, ``"broken"``, ``"at risk"`` or ``"unknown"``, as for ``Certificate``.
    """

    satisfaction: float | None
    lower: float
    upper: float
    verdict: Verdict


class JudgedCertificate(msgspec.Struct, frozen=True):
    """What the scores of one judge say of an SLA.

    Attributes
    ----------
    judge
        Name of the judge.
    drawn, failures
        Number of randomly drawn responses with a score, and without one.
    missed
        Number of randomly drawn responses that the judge did not see: its budget was spent, its
        model did not answer, or too much waited for it.
    seen_share
        Share of the responses that it saw, with a score or without: of the drawn ones, weighed by
        the inverse of their probabilities; None before the first draw.
    pairs
        Number of responses that the judge saw and that have a label of a user.
    by_judge
        Bounds of the judge's own mean score over the responses that it can score; those that it
        saw and gave none are left out. The estimate is about those that it saw.
    with_users
        Bounds of the users' mean satisfaction, by the judge's scores and the users' labels.
    """

    judge: str
    drawn: int
    failures: int
    missed: int
    seen_share: float | None
    pairs: int
    by_judge: JudgedBounds
    with_users: JudgedBounds

    def rows(self) -> list[tuple[str, str]]:
        """Rows of a table for people."""
        counts = f"{self.drawn:,} scores, {self.failures:,} drawn without one, {self.pairs:,} pairs"
        if self.missed:
            counts += f"; {self.missed:,} drawn and not seen, so it saw {self.seen_share:.0%}"
        return [
            (f"judge {self.judge}", counts),
            (f"by judge {self.judge}", _words(self.by_judge)),
            (f"users with judge {self.judge}", _words(self.with_users)),
        ]


def judged_certificates_of(
    sla: SLA, judges: Mapping[str, JudgedLabels], users: tuple[float, float]
) -> tuple[JudgedCertificate, ...]:
    """Certify an SLA by the scores of each judge.

    Parameters
    ----------
    sla
        The SLA.
    judges
        What each judge says of its responses.
    users
        Sum of the weights of users' labels, and weighted sum of their scores.
    """
    return tuple(_certify(sla, name, labels, users) for name, labels in sorted(judges.items()))


def _certify(
    sla: SLA, judge: str, labels: JudgedLabels, users: tuple[float, float]
) -> JudgedCertificate:
    weight = labels.weight_
    floor = round(labels.floor_sum_ / weight, 12) if weight else sla.floor
    mean = min(max(labels.satisfied_ / weight, 0.0), 1.0) if weight else None
    missed = labels.missed_weight_
    own = _filled(weight, labels.satisfied_, missed, 1.0 - sla.confidence)
    both, bounds = _with_users(labels, users, 1.0 - sla.confidence)
    return JudgedCertificate(
        judge=judge,
        drawn=labels.drawn_,
        failures=labels.failures_,
        missed=labels.missed_,
        seen_share=labels.seen_share,
        pairs=labels.pairs_,
        by_judge=JudgedBounds(mean, own.lower, own.upper, _verdict(floor, mean, own)),
        with_users=JudgedBounds(both, bounds.lower, bounds.upper, _verdict(floor, both, bounds)),
    )


def _with_users(
    labels: JudgedLabels, users: tuple[float, float], delta: float
) -> tuple[float | None, Interval]:
    """Estimate and bounds of users' mean satisfaction with the help of a judge.

    The users' mean is the judge's mean plus the mean difference, E[s] = λE[j] + E[s − λj], for
    every λ that was known before the scores; the first mean is over drawn responses, the second
    over pairs (prediction-powered inference [1]_). Three bounds hold together, and the narrowest
    counts: by users' labels alone (λ = 0); by the parts of s − j above and below 0 (λ = 1), each
    as narrow as for few disagreements; and by s − λj with the slope of the judge's calibration,
    which adapts to the variance. A response that the judge gave no score counts as ``NO_SCORE`` in
    both means, so that the identity holds for it too. One that the judge was to see and did not
    takes the worst value in each bound.

    If the three contradict each other, satisfaction or the judge changed between their responses,
    and the bounds are the widest ones, which decide nothing.

    References
    ----------
    .. [1] Angelopoulos, Bates, Fannjiang, Jordan, Zrnic: Prediction-powered inference. Science 382
       (2023).
    """
    errors = {name: share * delta for name, share in _ERROR_SHARES.items()}
    n, satisfied = users
    alone = betting_interval(n, satisfied, errors["users"])
    pairs, rest = labels.pair_weight_, labels.rest_
    drawn = labels.weight_ + labels.failed_weight_
    if not drawn or rest.mean is None:
        mean = min(max(satisfied / n, 0.0), 1.0) if n else None
        return mean, alone
    scores = labels.satisfied_ + NO_SCORE * labels.failed_weight_
    judge = _filled(drawn, scores, labels.missed_weight_, errors["judge"])
    unseen, delta = labels.missed_pair_weight_, errors["differences"] / 2.0
    better = _filled(pairs, labels.better_, unseen, delta)
    worse = _filled(pairs, labels.worse_, unseen, delta)
    varying, slope = rest.interval(errors["rest"]), labels.slopes_ / rest.n_
    # Unlike the means above, the sum of squares cannot be filled; the bounds of the mean can.
    share = rest.n_ / (rest.n_ + unseen)
    varying = Interval(share * varying.lower - (1.0 - share), share * varying.upper + (1.0 - share))
    lower = (
        alone.lower,
        judge.lower + better.lower - worse.upper,
        slope * judge.lower + varying.lower,
    )
    upper = (
        alone.upper,
        judge.upper + better.upper - worse.lower,
        slope * judge.upper + varying.upper,
    )
    mean = min(max(rest.mean + slope * scores / drawn, 0.0), 1.0)
    if max(lower) > min(upper):
        return mean, Interval(max(min(lower), 0.0), min(max(upper), 1.0))
    return mean, Interval(max(lower), min(upper))


def _filled(n: float, total: float, missing: float, delta: float) -> Interval:
    """Bounds of the mean of n values in [0, 1] and of further ones that are not known.

    Those count as 0 in the lower bound and as 1 in the upper one. So the bounds hold for the mean
    of all of them, whatever decided which ones are known.
    """
    if not missing:
        return betting_interval(n, total, delta)
    lower = betting_interval(n + missing, total, delta).lower
    return Interval(lower, betting_interval(n + missing, total + missing, delta).upper)


def _verdict(floor: float, mean: float | None, bounds: Interval) -> Verdict:
    if mean is None:
        return "unknown"
    if bounds.lower >= floor:
        return "kept"
    if bounds.upper < floor:
        return "broken"
    return "at risk" if mean < floor else "unknown"


def _words(found: JudgedBounds) -> str:
    return (
        f"{found.verdict}: {show_number(found.satisfaction)}, between {show_number(found.lower)} "
        f"and {show_number(found.upper)}"
    )
