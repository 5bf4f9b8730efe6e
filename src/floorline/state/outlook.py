"""What it would take for a model to get more of an SLA's traffic."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from floorline.core.display import show_number
from floorline.optimization.break_even import break_even
from floorline.optimization.floor_lp import cheapest_mix
from floorline.sla import SLA
from floorline.state.model_knowledge import ModelKnowledge


class ModelOutlook(msgspec.Struct, frozen=True):
    """How the cheapest mix of an SLA uses a model, and at which cost or quality it would.

    The mix ignores prompts: it is what the router serves until prompts have proved to tell models
    apart, and near it afterwards. Everything is by the estimates of today.

    Attributes
    ----------
    model
        Name of the model.
    quality, sd
        Estimated mean satisfaction in [0, 1] and the standard deviation of that estimate; None
        where it is not known.
    cost
        Mean expected cost of a call, in the zoo's cost unit.
    share
        Share of the requests that the cheapest mix sends to it; None where a quality is not known.
    cost_below
        Cost of a call below which the mix uses it at its quality; None if no cost matters: it is
        needed at any, or would not be used at any.
    quality_above
        Mean satisfaction above which the mix uses it at its cost; None if none would do.
    text
        All of this in a sentence.
    """

    model: str
    quality: float | None
    sd: float | None
    cost: float | None
    share: float | None
    cost_below: float | None
    quality_above: float | None
    text: str


def outlook_of(sla: SLA, known: ModelKnowledge, cost_unit: str) -> list[ModelOutlook]:
    """Say of every model that may serve under an SLA what would bring it more traffic."""
    rows = []
    certain = not (np.isnan(known.quality).any() or np.isnan(known.cost).any())
    mix = cheapest_mix(known.quality, known.cost, sla.floor) if certain and known.models else None
    for place, name in enumerate(known.models):
        quality, cost = _number(known.quality[place]), _number(known.cost[place])
        share = cost_below = quality_above = None
        text = "The policy does not estimate how good the models are."
        if mix is not None and quality is not None and cost is not None:
            share = float(mix[place])
            found = break_even(known.quality, known.cost, sla.floor, place)
            cost_below, quality_above = found
            text = _text(share, quality, cost, cost_below, quality_above, cost_unit)
        rows.append(
            ModelOutlook(
                model=name,
                quality=quality,
                sd=_number(known.sd[place]),
                cost=cost,
                share=share,
                cost_below=None if cost_below == math.inf else cost_below,
                quality_above=quality_above,
                text=text,
            )
        )
    return rows


def _text(
    share: float,
    quality: float,
    cost: float,
    cost_below: float | None,
    quality_above: float | None,
    unit: str,
) -> str:
    if share > 0.0:
        uses = f"The cheapest mix sends it {100 * share:.0f} % of the requests"
        if cost_below is None or cost_below == math.inf:
            return f"{uses}: no other model reaches the floor as well."
        return f"{uses}; it would get none at {show_number(cost_below)} {unit} a call or more."
    ways = []
    if cost_below is not None and cost_below < cost:
        ways.append(f"at less than {show_number(cost_below)} {unit} a call")
    if quality_above is not None and quality_above > quality:
        ways.append(f"at a satisfaction above {100 * quality_above:.1f} %")
    nothing = "The cheapest mix sends it nothing"
    if not ways:
        return f"{nothing}, and neither a lower price nor a better quality alone would change that."
    return f"{nothing}. It would get requests {' or '.join(ways)}."


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
