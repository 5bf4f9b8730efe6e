"""Events that another router of the same log made, as this router's log is to have them."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.events import DIRECT, Decision, Event, Feedback
from floorline.state.fold import Fold
from floorline.zoo import Zoo


def completed(fold: Fold, event: Event) -> Event:
    """Return an event with what only the log's order decides.

    A decision gets its number, and a label its weights. A decision that was made before a change of
    the models or SLAs reached its router is fitted to those that hold now.

    Parameters
    ----------
    fold
        State before the event.
    event
        The event of another router.

    Raises
    ------
    UnknownDecision
        If a label belongs to a decision that is not, or no longer, remembered.
    """
    if isinstance(event, Decision):
        made = msgspec.structs.replace(event, seq=fold.decisions_ + 1)
        return _fitted(made, fold)
    if isinstance(event, Feedback):
        weight, influence = fold.label_weights(event.decision, event.model)
        return msgspec.structs.replace(event, weight=weight, influence=influence)
    return event


def _fitted(made: Decision, fold: Fold) -> Decision:
    """Return a decision whose arrays are in the order of the models that the state has."""
    if made.policy == DIRECT:
        return made
    gone = made.model and made.model not in fold.zoo_
    if gone or made.sla not in fold.ledgers_:
        # No SLA counts it and no policy learns of it, like a call whose model the client named.
        return msgspec.structs.replace(made, policy=DIRECT, sla="")
    if made.models == fold.zoo_.names:
        return made
    places = _places(made.models, fold.zoo_)
    quality = made.quality_estimates
    usual = float(np.nanmean(quality)) if np.isfinite(quality).any() else np.nan
    costs = fold.zoo_.typical_costs
    prediction, added, scores = made.prediction, made.added_cost, made.scores
    return msgspec.structs.replace(
        made,
        models=fold.zoo_.names,
        index=fold.zoo_.index(made.model) if made.model else made.index,
        called=tuple(name for name in made.called if name in fold.zoo_),
        reserved=tuple(
            cost
            for name, cost in zip(made.called, made.reserved, strict=False)
            if name in fold.zoo_
        ),
        propensities=_moved(made.propensities, places, np.zeros(len(costs))),
        quality_estimates=_moved(quality, places, np.full(len(costs), usual)),
        cost_estimates=_moved(made.cost_estimates, places, costs),
        prediction=None if prediction is None else _moved(prediction, places, None),
        added_cost=None if added is None else _moved(added, places, np.zeros(len(costs))),
        scores=None if scores is None else _moved(scores, places, np.full(len(costs), np.inf)),
    )


def _places(models: tuple[str, ...], zoo: Zoo) -> list[int]:
    """(M,) position of each model of the zoo among the decision's; −1 for new models."""
    known = {name: place for place, name in enumerate(models)}
    return [known.get(name, -1) for name in zoo.names]


def _moved(
    values: NDArray[np.float64], places: list[int], new: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """(M,) values at their new positions; those of new models are ``new``, or the mean for None."""
    filled = np.full(len(places), values.mean()) if new is None else np.array(new, dtype=float)
    for place, old in enumerate(places):
        if old >= 0:
            filled[place] = values[old]
    return filled
