"""Conversion of a routing table into the arrays and the zoo that a replay needs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.datasets import RoutingTable
from floorline.datasets.simulated import list_prices
from floorline.encoders.base import Encoder
from floorline.encoders.prompt_size import approximate_tokens
from floorline.zoo import Model, Zoo


class ReplayData(NamedTuple):
    """Arrays over N requests and M models.

    Parameters
    ----------
    name
        Name of the table.
    zoo
        The M models and their list prices.
    features
        (N, d) features of the prompts.
    quality
        (N, M) labels in [0, 1], NaN if unknown.
    cost
        (N, M) costs of the calls in the zoo's unit, NaN if the label is unknown.
    input_tokens
        (N,) lengths of the prompts.
    output_tokens
        (N, M) lengths of the answers, or None.
    latency
        (N, M) durations of the calls in seconds, or None.
    encoder
        Fingerprint of the encoder.
    simulated
        Whether the table is simulated.
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
        """Number N of requests."""
        return len(self.quality)

    def take(self, rows: NDArray[np.int64]) -> ReplayData:
        """Return these rows in this order; a row may occur several times."""
        per_row = ("features", "quality", "cost", "input_tokens", "output_tokens", "latency")
        values = {name: getattr(self, name) for name in per_row}
        taken: dict[str, Any] = {
            name: None if value is None else value[rows] for name, value in values.items()
        }
        return self._replace(**taken)


def prepare(table: RoutingTable, encoder: Encoder) -> ReplayData:
    """Encode the prompts of a table and derive its zoo.

    Prompts whose tokens the table does not count have a quarter of their characters as tokens.
    """
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
    """Return the zoo of a table's models with list prices.

    The prices of the simulated zoo are per token. Other tables contain costs of calls, but not the
    price list that an operator knows. So the list price of a model is its mean cost per call,
    *rounded to one significant digit*; the exact costs must be learned by the policy.
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
