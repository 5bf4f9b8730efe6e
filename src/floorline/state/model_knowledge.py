"""What a router knows of the models under one SLA: their mean quality and their mean cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.policies.base import ModelEstimates
from floorline.state.ledger import Ledger
from floorline.zoo import Zoo

Floats = NDArray[np.float64]


class ModelKnowledge(NamedTuple):
    """Estimates of the models that may serve under an SLA.

    Attributes
    ----------
    models
        Names of the M models.
    quality, sd
        Estimated mean satisfaction of each model in [0, 1], and the standard deviation of that
        estimate (M,); NaN where it is not known.
    cost
        Mean expected cost of a call over the requests so far, (M,), in the zoo's cost unit; before
        the first request that of a typical call.
    """

    models: tuple[str, ...]
    quality: Floats
    sd: Floats
    cost: Floats


def knowledge_of(
    ledger: Ledger, zoo: Zoo, models: Sequence[str], estimates: ModelEstimates | None
) -> ModelKnowledge:
    """Collect what is known of the models that may serve under an SLA.

    Parameters
    ----------
    ledger, zoo
        The SLA's ledger, and all models.
    models
        Names of the models that may serve.
    estimates
        What the policy knows today; if it says nothing, the means of its estimates for the requests
        so far are taken.
    """
    known = {} if estimates is None else {name: m for m, name in enumerate(estimates.models)}
    typical = dict(zip(zoo.names, zoo.typical_costs.tolist(), strict=True))
    rows = []
    for name in models:
        count, quality_sum, cost_sum = ledger.expected_.get(name, (0.0, 0.0, 0.0))
        quality = quality_sum / count if count else np.nan
        sd = np.nan
        if estimates is not None and name in known:
            quality = float(estimates.mean[known[name]])
            sd = float(estimates.sd[known[name]])
        rows.append((quality, sd, cost_sum / count if count else typical.get(name, np.nan)))
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 3).T
    return ModelKnowledge(tuple(models), columns[0], columns[1], columns[2])
