"""Costs of calls by the prices of the package genai-prices, computed by it and by us."""

from datetime import UTC, datetime
from typing import NamedTuple

from genai_prices import types
from genai_prices.data_snapshot import get_snapshot

from floorline.config.auto_prices import UnknownPrice, _read
from floorline.gateway.upstreams import Usage, cost_of
from floorline.zoo import Model

LENGTHS = (10_000, 150_000, 300_000, 600_000)
"""Tokens of prompts, below and above the tiers that providers have."""
OUTPUT = 1_000
PARTS = ({}, {"cached": 4_000}, {"cached": 4_000, "written": 2_000})


class Compared(NamedTuple):
    """One call, and what it costs by the package and by us."""

    provider: str
    model: str
    length: int
    parts: dict
    theirs: float
    ours: float

    @property
    def equal(self):
        return abs(self.theirs - self.ours) <= 1e-9 * (1.0 + self.theirs)


def compare(providers=None):
    """Compare the costs of calls to all models with prices of tokens, or to those of providers."""
    now = datetime.now(UTC)
    for provider in get_snapshot().providers:
        if providers is not None and provider.id not in providers:
            continue
        for model in provider.models:
            try:
                ours = Model("m", **_read(model, "", now).prices)
            except UnknownPrice:
                continue
            for length in LENGTHS:
                for parts in PARTS:
                    yield _compare(provider, model, ours, length, parts, now)


def _compare(provider, model, ours, length, parts, now):
    cached, written = parts.get("cached"), parts.get("written")
    theirs = types.Usage(
        input_tokens=length,
        output_tokens=OUTPUT,
        cache_read_tokens=cached,
        cache_write_tokens=written,
    )
    price = model.calc_price(theirs, provider, genai_request_timestamp=now).total_price
    usage = Usage(length, OUTPUT, cached or 0, written or 0)
    return Compared(provider.id, model.id, length, parts, float(price), cost_of(ours, usage))
