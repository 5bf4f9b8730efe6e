"""Who would answer a request at other floors, decided as for a real request and not logged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from floorline.core.features import Features
from floorline.errors import InvalidInput
from floorline.events import Decision, RequestContext
from floorline.state.decisions import choose, decision_of
from floorline.state.fold import Fold
from floorline.state.requests import make_request
from floorline.zoo import CallLimits

MAX_FLOORS = 101
"""Most floors of one preview: 0 to 1 in steps of 0.01. A decision takes some 0.1 ms."""


def preview(
    fold: Fold,
    sla: str | None,
    features: Features,
    input_tokens: int,
    draws: Callable[[], np.random.Generator],
    *,
    floors: Sequence[float],
    needs: Iterable[str],
    exclude: Iterable[str],
    limits: CallLimits | None,
    at: float,
    context: RequestContext,
) -> list[Decision]:
    """Return the decision of a request at each floor; the state stays as it is.

    Parameters
    ----------
    fold
        State of the router.
    sla, features, input_tokens, needs, exclude, limits, at, context
        As for ``make_request``.
    draws
        Returns the generator of the next decision, anew for each floor.
    floors
        The floors.

    Raises
    ------
    InvalidInput
        If a floor is not in [0, 1], there are too many, or no model can serve the request.
    """
    if len(floors) > MAX_FLOORS:
        fix = f"give at most {MAX_FLOORS} floors"
        raise InvalidInput("floors", f"{len(floors):,} numbers", fix)
    found = []
    for floor in floors:
        request = make_request(
            fold,
            sla,
            features,
            input_tokens,
            floor=floor,
            needs=needs,
            exclude=exclude,
            at=at,
            limits=limits,
            context=context,
        )
        (choice,) = choose(fold, [request], draws())
        found.append(decision_of(fold, request, choice, "", at=at, context=context))
    return found
