"""Feedback models: what users reveal of the labels of models that were called."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from floorline.errors import InvalidInput, check_number

_FIX = (
    "write terms joined by '+': full, served, sparse:SHARE, delayed:REQUESTS, negative:RATE, "
    "noisy:SHARE; for example served+sparse:0.05+delayed:500"
)
_DRAWS = 3


class Revealed(NamedTuple):
    """One label that becomes known ``delay`` requests later; ``model`` is a position."""

    delay: int
    model: int
    score: float


class FeedbackModel(msgspec.Struct, frozen=True):
    """Which labels are revealed, when, and how reliably. Labels of models not called never are.

    Parameters
    ----------
    scope
        ``"full"``: labels of all models that were called; ``"served"``: only that of the response
        the user saw.
    share
        Probability φ that a label is revealed, independent of all else.
    mean_delay
        Mean of the geometric number of requests until a revealed label arrives.
    negative_only
        If given, only dissatisfaction (score below 1/2) is ever reported, with this probability.
    noise
        Probability that a revealed score s is reported as 1 − s.

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
        """Read a feedback model from text such as ``served+sparse:0.05+noisy:0.1``.

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
                raise InvalidInput("feedback", text, _FIX)
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
        """Choose what becomes known of one request.

        Parameters
        ----------
        labels
            Score of every called model, by position.
        served
            The model whose response the user saw.
        rng
            Drawn from equally often whatever the labels are.
        """
        heard: list[Revealed] = []
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
            heard.append(Revealed(delay, model, 1.0 - score if u_noise < self.noise else score))
        return heard


def _number(value: float) -> str:
    """Shortest text that reads back as this number, without the '+' that joins terms."""
    return repr(float(value)).removesuffix(".0").replace("e+", "e")
