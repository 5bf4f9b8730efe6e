"""Counts judgements and their pairs with users' labels, for the router and for reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from floorline.events import UNSEEN, Feedback, Judgement, Recall
from floorline.state.by_judge import ByJudge
from floorline.state.judge_calibration import JudgeCalibration
from floorline.state.judged_labels import JudgedLabels

IN_FULL = (1.0, 1.0)
"""Weight and influence of a label while there is one sender of labels."""

Said = dict[str, dict[str, list[float | None]]]
"""By judge and model: its score, None for none; and the slope of its pair, None without one. An
empty list says that the judge was to see the response and did not."""
Calibrations = ByJudge[JudgeCalibration]
Labels = ByJudge[JudgedLabels]


class JudgedRecord(Protocol):
    """What is remembered of a decision whose responses are judged.

    Attributes
    ----------
    model, floor
        Name of the model that serves, and floor that holds for the request.
    scores, weights
        Latest labels of users by model name, and their weights and influences if others than 1.
    judged
        What judges said.
    """

    judged: Said | None

    @property
    def model(self) -> str:
        """Name of the model that serves."""
        ...

    @property
    def floor(self) -> float:
        """Floor that holds for the request."""
        ...

    @property
    def scores(self) -> Mapping[str, float]:
        """Latest labels of users by model name."""
        ...

    @property
    def weights(self) -> Mapping[str, tuple[float, float]] | None:
        """Weight and influence of the labels that have others than 1."""
        ...


def count_judgement(
    record: JudgedRecord, event: Judgement, known: Calibrations, labels: Labels
) -> bool:
    """Count a judgement of a decision; False if it changed nothing, because it is not the first.

    Parameters
    ----------
    record, event
        The decision, and what a judge says of one of its responses.
    known
        How judges differ from users.
    labels
        What judges say under the decision's SLA.
    """
    said = {**(record.judged or {}).get(event.judge, {})}
    if said.get(event.model) or (event.failure in UNSEEN and event.model in said):
        return False
    judge, own = known.of(event.judge), labels.of(event.judge)
    served = event.model == record.model
    unseen = event.failure in UNSEEN
    said[event.model] = [] if unseen else [event.score, None]
    record.judged = {**(record.judged or {}), event.judge: said}
    if unseen:
        judge.miss(event.failure)
        if served and event.rate is not None:
            own.miss(event.rate)
    else:
        if served and event.rate is not None:
            own.draw(event.score, record.floor, event.rate)
        if event.score is None:
            judge.fail(event.failure)
        else:
            judge.judge(event.model, event.score)
    if event.model in record.scores:
        _pair(record, event.judge, event.model, known, labels)
    return True


def pair_with_judges(record: JudgedRecord, model: str, known: Calibrations, labels: Labels) -> None:
    """Compare a user's first label with what judges said of the response before."""
    for judge, said in (record.judged or {}).items():
        if model in said:
            _pair(record, judge, model, known, labels)


def correct_pairs(
    record: JudgedRecord, event: Feedback, previous: float, known: Calibrations, labels: Labels
) -> None:
    """Replace a user's score, of the given weights, in the pairs of its response."""
    for judge, said in (record.judged or {}).items():
        score, slope = said.get(event.model) or (None, None)
        if slope is None:
            continue
        user = float(event.score)
        if event.model == record.model:
            labels.of(judge).correct(user, previous, score, slope=slope, weight=event.weight)
        if score is not None:
            known.of(judge).correct(
                event.model, user=user, previous=previous, judge=score, weight=event.influence
            )


def recalled_judgements(event: Recall, known: Calibrations) -> Said | None:
    """What judges said of a recalled decision; None for nothing.

    Responses with a score of the judge and a label of a user are pairs. The slope of such a pair is
    not known any more. The present one takes its place: a later correction moves the mean
    difference by as much with any slope, and only its variance depends on it.
    """
    found: Said = {judge: {model: [] for model in models} for judge, models in event.unseen.items()}
    for judge, said in event.judged.items():
        one = known.judges_.get(judge)
        slope = 1.0 if one is None else one.slope
        for model, score in said.items():
            pair = slope if model in event.scores else None
            found.setdefault(judge, {})[model] = [score, pair]
    return found or None


def _pair(
    record: JudgedRecord, judge: str, model: str, known: Calibrations, labels: Labels
) -> None:
    """Compare a user's label with what a judge said of the same response."""
    said, user = (record.judged or {})[judge][model], record.scores[model]
    weight, influence = (record.weights or {}).get(model, IN_FULL)
    served = model == record.model
    if not said:
        if served:
            labels.of(judge).miss_pair(weight)
        return
    score = said[0]
    slope = said[1] = known.of(judge).slope
    if served:
        labels.of(judge).pair(user, score, slope=slope, weight=weight)
    if score is not None:
        known.of(judge).pair(model, user=user, judge=score, weight=influence)
