"""Prices of models from the package genai-prices, whose data are part of it: nothing is fetched."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from floorline._extras import needs
from floorline.config.provider import PROVIDER_SIGNS

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

_FIELDS = {
    "input_price": "input_mtok",
    "output_price": "output_mtok",
    "cached_input_price": "cache_read_mtok",
    "cache_write_price": "cache_write_mtok",
    "cache_write_1h_price": "cache_write_1h_mtok",
    "reasoning_price": "output_reasoning_mtok",
    "audio_input_price": "input_audio_mtok",
    "audio_output_price": "output_audio_mtok",
}
"""Fields of a model by the prices of the package, per million tokens."""
_CALL, _CALLS_PER_PRICE = "requests_kcount", 1000
_BATCH = ({"processing": "batch"}, {"service_tier": "flex"})
_PRIORITY = ({"service_tier": "priority"},)
_PROVIDERS = {"anthropic": "anthropic", "azure": "azure"}
"""The package's names of the providers that a kind of model calls, at whatever host."""
_LIBRARY_NAMES = {"fireworks_ai": "fireworks"}
"""Names of providers in libraries that the package does not know."""


class UnknownPrice(LookupError):
    """The package has no prices of a model; the text says of which."""


class ListedPrices(NamedTuple):
    """Prices of a model.

    Attributes
    ----------
    prices : dict of str to float
        Fields of ``floorline.Model``, those that the package knows.
    source : str
        Package, version, provider and model from which they are.
    notes : tuple of str
        What the prices leave out.
    """

    prices: Mapping[str, float]
    source: str
    notes: tuple[str, ...] = ()


def listed_prices(kind: str, endpoint: str | None, name: str, given: str = "auto") -> ListedPrices:
    """Look the prices of a model up.

    Parameters
    ----------
    kind, endpoint
        How its provider is called, and where; they tell which provider it is.
    name
        The provider's name of the model.
    given
        ``"auto"``, or PROVIDER/MODEL as the package names them.

    Raises
    ------
    MissingExtra
        If the package is not installed.
    UnknownPrice
        If it does not know the provider or the model.

    Examples
    --------
    >>> found = listed_prices("openai", "https://api.openai.com/v1", "gpt-4o-mini")
    >>> found.prices["input_price"], found.prices["cached_input_price"]
    (0.15, 0.075)
    """
    with needs("prices", "price: auto"):
        from genai_prices.data_snapshot import get_snapshot
    snapshot = get_snapshot()
    provider_id, url = _PROVIDERS.get(kind), endpoint
    if given != "auto":
        provider_id, _, name = given.partition("/")
    elif kind in PROVIDER_SIGNS:
        provider_id, sign, model_name = name.partition(PROVIDER_SIGNS[kind])
        # LiteLLM takes models without a provider for OpenAI's.
        provider_id, name = (provider_id, model_name) if sign else ("openai", name)
        provider_id = _LIBRARY_NAMES.get(provider_id, provider_id)
    try:
        provider, model = snapshot.find_provider_model(
            name, None, provider_id, None if provider_id else url or ""
        )
    except LookupError:
        host = urlsplit(url or "").hostname
        where = f"provider {provider_id!r}" if provider_id else f"the provider at {host}"
        raise UnknownPrice(f"genai-prices has no prices of {name!r} of {where}") from None
    version = importlib.metadata.version("genai-prices")
    source = f"genai-prices {version}: {provider.id}, {model.id}"
    return _read(model, source, datetime.now(UTC))


def _read(model: ModelInfo, source: str, now: datetime) -> ListedPrices:
    standard, notes = _standard(model, now)
    found = {field: _amount(standard, name) for field, name in _FIELDS.items()}
    prices = {field: price for field, price in found.items() if price is not None}
    if "input_price" not in prices and "output_price" not in prices:
        raise UnknownPrice(f"genai-prices has no prices of tokens of {model.id!r}")
    call = _amount(standard, _CALL)
    if call is not None:
        prices["call_price"] = call / _CALLS_PER_PRICE
    for field, tiers in (("batch_factor", _BATCH), ("priority_factor", _PRIORITY)):
        factor = _factor(model, standard, tiers, now)
        if factor is not None:
            prices[field] = factor
    prices |= _long_prompts(standard)
    return ListedPrices(prices, source, tuple(notes))


def _standard(model: ModelInfo, now: datetime) -> tuple[ModelPrice, list[str]]:
    """Prices of now; of those that depend on the time of day, the highest."""
    from genai_prices.types import ModelPrice, StartDateConstraint

    if isinstance(model.prices, ModelPrice):
        return model.prices, []
    first = model.prices[0].prices
    current, timed = first, []
    for one in model.prices:
        if one.constraint is None:
            current = one.prices
        elif isinstance(one.constraint, StartDateConstraint):
            if one.constraint.active(now):
                current = one.prices
        else:
            timed.append(one.prices)
    if not timed:
        return current, []
    dearest = max([current, *timed], key=lambda one: _amount(one, "output_mtok") or 0.0)
    return dearest, ["prices change with the time of day; these are the highest"]


def _amount(prices: ModelPrice, name: str) -> float | None:
    price: Any = getattr(prices, name, None)
    base = getattr(price, "base", price)
    return float(base) if isinstance(base, Decimal) else None


def _factor(
    model: ModelInfo, standard: ModelPrice, tiers: tuple[dict[str, str], ...], now: datetime
) -> float | None:
    """Largest factor of the prices of tokens in some tiers; None if they have no prices."""
    factors = []
    for tier in tiers:
        if not any(dict(one.when) == tier for one in model.price_variants or ()):
            continue
        changed = model.get_prices(now, tier)
        for name in ("input_mtok", "output_mtok"):
            usual, price = _amount(standard, name), _amount(changed, name)
            if usual and price is not None:
                factors.append(price / usual)
    return max(factors, default=None)


def _long_prompts(standard: ModelPrice) -> dict[str, float]:
    """Factors of the prices of tokens of calls with long prompts, where they have other ones."""
    from genai_prices.types import TieredPrices

    found: dict[str, float] = {}
    for field, name in (
        ("long_prompt_input_factor", "input_mtok"),
        ("long_prompt_output_factor", "output_mtok"),
    ):
        price = getattr(standard, name, None)
        if isinstance(price, TieredPrices) and price.tiers and price.base:
            starts = [tier.start for tier in price.tiers]
            found["long_prompt_tokens"] = min(found.get("long_prompt_tokens", starts[0]), *starts)
            found[field] = max(float(tier.price / price.base) for tier in price.tiers)
    return found
