"""What the requests of an SLA would have cost with reference strategies that ignore prompts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.optimization.floor_lp import cheapest_mix
from floorline.sla import SLA
from floorline.state.model_knowledge import ModelKnowledge
from floorline.zoo import Zoo

ReferenceName = Literal["best fixed", "static mix"]
Told = Literal["estimates", "hints"]


class Reference(msgspec.Struct, frozen=True):
    """A strategy that serves all requests alike, and what is saved against it.

    Its costs are the mean expected costs of the models for the requests so far.

    Attributes
    ----------
    name
        ``"best fixed"``: the model of the highest quality serves all requests. ``"static mix"``:
        the cheapest mixture of two models whose mean quality reaches the floor.
    told
        What it is told of the models' quality beforehand: the ``"estimates"`` of today, which took
        labels to learn, or the ``"hints"`` of the configuration.
    models
        Share of the requests by model.
    quality
        Mean quality that it would reach, by what it is told.
    cost
        What all requests so far would have cost, also those that were declined, in the zoo's cost
        unit.
    savings
        Share of that cost which was saved; negative if more was spent. None if it would cost
        nothing.
    """

    name: ReferenceName
    told: Told
    models: dict[str, float]
    quality: float
    cost: float
    savings: float | None


def references_of(
    sla: SLA, known: ModelKnowledge, zoo: Zoo, *, requests: int, spent: float
) -> tuple[Reference, ...]:
    """Compare what was spent under an SLA with the reference strategies.

    Parameters
    ----------
    sla
        The SLA.
    known
        What is known of the models that may serve.
    zoo
        All models, with their hints.
    requests
        Number of requests.
    spent
        What they have cost, in the zoo's cost unit.

    Returns
    -------
    tuple of Reference
        Empty before the first request. Those told the hints are left out unless every model has
        one.
    """
    if not requests or not known.models or np.isnan(known.cost).any():
        return ()
    found = []
    for told, quality in _sources(known, zoo):
        best = np.where(quality >= quality.max(), known.cost, np.inf)
        alone = np.zeros(len(quality))
        alone[int(best.argmin())] = 1.0
        mix = cheapest_mix(quality, known.cost, sla.floor)
        names: tuple[ReferenceName, ...] = ("best fixed", "static mix")
        for name, weights in zip(names, (alone, mix), strict=True):
            cost = requests * float(weights @ known.cost)
            found.append(
                Reference(
                    name=name,
                    told=told,
                    models=_shares(known.models, weights),
                    quality=float(weights @ quality),
                    cost=cost,
                    savings=1.0 - spent / cost if cost > 0.0 else None,
                )
            )
    return tuple(found)


def _sources(known: ModelKnowledge, zoo: Zoo) -> Iterator[tuple[Told, NDArray[np.float64]]]:
    """Yield each source of the models' quality (M,) that covers all of them."""
    if not np.isnan(known.quality).any():
        yield "estimates", known.quality
    models = {model.name: model for model in zoo.models}
    hints = []
    for name in known.models:
        model = models.get(name)
        if model is not None and model.quality_like:
            model = models.get(model.quality_like)
        hints.append(None if model is None else model.quality_hint)
    if None not in hints:
        yield "hints", np.array(hints, dtype=np.float64)


def _shares(names: tuple[str, ...], weights: NDArray[np.float64]) -> dict[str, float]:
    given = zip(names, weights.tolist(), strict=True)
    return {name: share for name, share in given if share > 0.0}
