"""Feedback models: which labels of called models a replay reveals, when and how reliably."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from floorline.errors import InvalidInput, check_number, did_you_mean

_FIX = (
    "write terms joined by '+': full, served, sparse:SHARE, delayed:REQUESTS, negative:RATE, "
    "noisy:SHARE; for example served+sparse:0.05+delayed:500"
)
_DRAWS = 3
"""Number of uniform draws per label, for share, noise and delay."""


class Revealed(NamedTuple):
    """One revealed label.

    Parameters
    ----------
    delay
        Number of requests after which it arrives.
    model
        Position of the model.
    score
        The label in [0, 1].
    """

    delay: int
    model: int
    score: float


class FeedbackModel(msgspec.Struct, frozen=True):
    """Which labels are revealed, when and how reliably.

    Labels of models that were not called are never revealed.

    Parameters
    ----------
    scope
        ``"full"``: labels of all called models. ``"served"``: the label of the served model only.
    share
        Probability φ that a label is revealed, independent of everything else.
    mean_delay
        Mean number of requests until a revealed label arrives; the delay is geometric.
    negative_only
        If given, only labels below 1/2 (dissatisfaction) are revealed, with this probability.
    noise
        Probability that a label s is revealed as 1 − s.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    Examples
    --------
    >>> FeedbackModel.parse("served+sparse:0.05").share
    0.05
    >>> str(FeedbackModel.parse("full+delayed:100"))
    'full+delayed:100'
    >>> FeedbackModel.parse("sometimes")
    Traceback (most recent call last):
    ...
    floorline.errors.InvalidInput: feedback is 'sometimes': write terms joined by '+': full, ...
    """

    scope: str = "full"
    share: float = 1.0
    mean_delay: float = 0.0
    negative_only: float | None = None
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.scope not in ("full", "served"):
            raise InvalidInput("feedback.scope", self.scope, "choose full or served")
        share_fix = "give a share from 0 to 1"
        check_number("feedback.share", self.share, low=0, high=1, fix=share_fix)
        check_number("feedback.noise", self.noise, low=0, high=1, fix=share_fix)
        delay_fix = "give 0 to 1,000,000,000 requests"
        check_number("feedback.mean_delay", self.mean_delay, low=0, high=1e9, fix=delay_fix)
        if self.negative_only is not None:
            check_number("feedback.negative_only", self.negative_only, low=0, high=1, fix=share_fix)

    @classmethod
    def parse(cls, text: str) -> FeedbackModel:
        """Read a feedback model from a text such as ``served+sparse:0.05+noisy:0.1``.

        Raises
        ------
        InvalidInput
            If a term is unknown or its number is out of range.
        """
        values: dict[str, str | float] = {}
        fields = {
            "sparse": "share",
            "delayed": "mean_delay",
            "negative": "negative_only",
            "noisy": "noise",
        }
        for term in text.split("+"):
            word, colon, number = term.strip().partition(":")
            if word in ("full", "served") and not colon:
                values["scope"] = word
            elif word in fields and colon:
                try:
                    values[fields[word]] = float(number)
                except ValueError:
                    raise InvalidInput("feedback", text, _FIX) from None
            else:
                near = did_you_mean(word, ("full", "served", *fields))
                raise InvalidInput("feedback", text, near + _FIX)
        return cls(**values)  # type: ignore[arg-type]

    def __str__(self) -> str:
        terms = [self.scope]
        if self.share < 1:
            terms.append(f"sparse:{_number(self.share)}")
        if self.mean_delay:
            terms.append(f"delayed:{_number(self.mean_delay)}")
        if self.negative_only is not None:
            terms.append(f"negative:{_number(self.negative_only)}")
        if self.noise:
            terms.append(f"noisy:{_number(self.noise)}")
        return "+".join(terms)

    def reveal(
        self, labels: dict[int, float], served: int, rng: np.random.Generator
    ) -> list[Revealed]:
        """Choose the revealed labels of one request.

        Parameters
        ----------
        labels
            Labels of the called models, by position.
        served
            Position of the served model.
        rng
            Generator. The number of draws does not depend on the labels, so that two replays with
            different labels reveal at the same requests.

        Returns
        -------
        The revealed labels
        """
        revealed: list[Revealed] = []
        for model, score in labels.items():
            u_share, u_noise, u_delay = rng.random(_DRAWS).tolist()
            if self.scope == "served" and model != served:
                continue
            if u_share >= self.share:
                continue
            if self.negative_only is not None and (
                score >= 0.5 or u_share >= self.share * self.negative_only
            ):
                continue
            delay = 0
            if self.mean_delay:
                # Inverse of the geometric distribution function, from one uniform draw.
                stay = self.mean_delay / (1.0 + self.mean_delay)
                delay = int(np.log1p(-u_delay) / np.log(stay))
            reported = 1.0 - score if u_noise < self.noise else score
            revealed.append(Revealed(delay, model, reported))
        return revealed


def _number(value: float) -> str:
    """Return the shortest text of a number, without a '+', which separates the terms."""
    return repr(float(value)).removesuffix(".0").replace("e+", "e")
