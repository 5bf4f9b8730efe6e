"""A routing table made ready to replay: features, labels, costs and the zoo they belong to."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.datasets import RoutingTable
from floorline.datasets.simulated import list_prices
from floorline.encoders.base import Encoder
from floorline.encoders.messages import approximate_tokens
from floorline.zoo import Model, Zoo


class ReplayData(NamedTuple):
    """Arrays over N requests and M models.

    ``features`` (N, d), ``quality`` and ``cost`` (N, M) with NaN for gaps, ``input_tokens`` (N,),
    ``output_tokens`` and ``latency`` (N, M) or None; ``encoder`` is the fingerprint.
    """

    name: str
    zoo: Zoo
    features: NDArray[np.float32]
    quality: NDArray[np.float64]
    cost: NDArray[np.float64]
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.float32] | None
    latency: NDArray[np.float32] | None
    encoder: str
    simulated: bool

    @property
    def rows(self) -> int:
        """N."""
        return len(self.quality)

    def take(self, rows: NDArray[np.int64]) -> ReplayData:
        """Return these rows, in this order; a row may come several times."""
        per_row = ("features", "quality", "cost", "input_tokens", "output_tokens", "latency")
        values = {name: getattr(self, name) for name in per_row}
        taken: dict[str, Any] = {
            name: None if value is None else value[rows] for name, value in values.items()
        }
        return self._replace(**taken)


def prepare(table: RoutingTable, encoder: Encoder) -> ReplayData:
    """Encode a table's prompts and read its zoo off it."""
    if table.tokens_in is None:
        tokens = np.array([approximate_tokens(prompt) for prompt in table.prompts], dtype=np.int64)
    else:
        tokens = np.nan_to_num(table.tokens_in).astype(np.int64)
    return ReplayData(
        name=table.name,
        zoo=zoo_of(table),
        features=encoder.encode_batch(table.prompts),
        quality=table.quality.astype(np.float64),
        cost=np.where(np.isnan(table.quality), np.nan, table.cost),
        input_tokens=tokens,
        output_tokens=table.tokens_out,
        latency=table.latency,
        encoder=encoder.fingerprint,
        simulated=table.simulated,
    )


def zoo_of(table: RoutingTable) -> Zoo:
    """Zoo of a table's models.

    The simulated zoo states its prices per token. Other tables state what calls cost, not the
    price list that an operator would know, so each model is listed at its mean cost per call
    *rounded to one significant digit*; what calls cost beyond that a policy has to learn.
    """
    known = list_prices()
    if table.simulated and set(table.models) <= set(known):
        models = [
            Model(name, input_price=known[name][0], output_price=known[name][1])
            for name in table.models
        ]
    else:
        listed = [float(f"{cost:.0e}") for cost in table.mean_cost]
        models = [
            Model(name, call_price=price) for name, price in zip(table.models, listed, strict=True)
        ]
    return Zoo(models, cost_unit=table.cost_unit)
