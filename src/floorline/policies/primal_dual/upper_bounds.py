"""Which model to try where none seems to reach the floor: bounds by the models' own labels."""

from __future__ import annotations

import math
from collections.abc import Sequence


def highest_bound(
    labels: Sequence[float], total: Sequence[float], price: Sequence[float], able: Sequence[int]
) -> int:
    """Position of the model of the highest upper confidence bound, the cheapest of equal ones.

    The prior puts the models around the floor, because floors are promised that a zoo can keep. It
    is refuted where every model seems to miss the floor, so a model's own labels count alone. The
    bound is Wilson's at √(2·log n) standard errors, for n labels of all models: it is about that of
    the rule KL-UCB, whose loss grows with log n only, as slowly as that of any rule can [1]_. A
    model that was unlucky at first is tried again, and one without labels has the bound 1.

    Parameters
    ----------
    labels, total
        (M,) number of labels of each model, and their sum.
    price
        (M,) cost of a call.
    able
        Positions of the models that may serve.

    References
    ----------
    .. [1] Garivier, Cappé: The KL-UCB Algorithm for Bounded Stochastic Bandits and Beyond. COLT
       2011.

    Examples
    --------
    >>> highest_bound([100.0, 10.0], [70.0, 6.0], [1.0, 9.0], [0, 1])
    1
    >>> highest_bound([100.0, 90.0], [70.0, 54.0], [1.0, 9.0], [0, 1])
    0
    """
    bounds = upper_bounds(labels, total, able)
    return max(able, key=lambda m: (bounds[m], -price[m]))


def upper_bounds(
    labels: Sequence[float], total: Sequence[float], able: Sequence[int]
) -> dict[int, float]:
    """Bounds of ``highest_bound`` by position, of the models that may serve."""
    z2 = 2.0 * math.log1p(sum(labels[m] for m in able))

    def bound(m: int) -> float:
        count = labels[m]
        if count <= 0.0:
            return 1.0
        spread = max(0.0, total[m] * (count - total[m]) / count) + 0.25 * z2
        return (total[m] + 0.5 * z2 + math.sqrt(z2 * spread)) / (count + z2)

    return {m: bound(m) for m in able}
