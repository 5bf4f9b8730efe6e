"""Models, their prices and abilities: the zoo that a router chooses from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.call_bounds import DEFAULT_MAX_OUTPUT_TOKENS as DEFAULT_MAX_OUTPUT_TOKENS
from floorline.call_bounds import CallLimits as CallLimits
from floorline.call_bounds import CostBounds
from floorline.core.bounds import MAX_PRICE, MAX_TOKENS, MAX_URL, check_name
from floorline.core.display import html_grid, show_number
from floorline.errors import (
    Bar,
    InvalidInput,
    NoModelCanServe,
    check_number,
    check_one_of,
    listed,
)

_PRICE_FIX = f"give a price from 0 to {MAX_PRICE:g}"
MAX_TIER_FACTOR = 100.0
"""Largest factor of a service tier; those of providers are from .25 to 6."""
_BATCH_FIX = "give a factor from 0 to 1: half the price is 0.5"
_FACTOR_FIX = f"give a factor from 0 to {MAX_TIER_FACTOR:g}"
_MAX_TYPICAL_TOKENS = 1e9
"""Most tokens of a typical answer: no model writes a thousandth of it."""
_MAX_CAPABILITIES = 100
"""Most capabilities of a model."""
MAX_HINT_WEIGHT = 1e6
"""Most labels that a hint is worth: more would never be learned away."""
DEFAULT_HINT_WEIGHT = 20.0
"""Labels that a hint is worth by default. Scores of leaderboards and of other tasks differ from the
satisfaction on one's own requests by about .1 (standard deviation); a mean of 20 labels does too,
.1² = .2/20, where .2 is the variance of a label at a mean of .28 or .72."""
DEFAULT_CACHE_SECONDS = 300.0
"""Seconds for which a provider keeps a cached prompt: five minutes at Anthropic, five to ten at
OpenAI."""
DEFAULT_CACHE_MIN_TOKENS = 1024
"""Tokens of the shortest prompt that is cached, at OpenAI and for most of Anthropic's models."""
MAX_CACHE_SECONDS = 31 * 86400.0
"""Longest life of a cached prompt: a month, longer than any provider keeps one."""
PRICES = (
    "input_price",
    "output_price",
    "call_price",
    "cached_input_price",
    "cache_write_price",
    "cache_write_1h_price",
    "reasoning_price",
    "image_price",
    "audio_input_price",
    "audio_output_price",
    "batch_factor",
    "priority_factor",
    "long_prompt_tokens",
    "long_prompt_input_factor",
    "long_prompt_output_factor",
)
"""Fields of ``Model`` that say what its calls cost."""
_GENERAL_PRICES = ("input_price", "output_price", "call_price", "image_price")
_PARTIAL_PRICES = (
    "cached_input_price",
    "cache_write_price",
    "cache_write_1h_price",
    "reasoning_price",
    "audio_input_price",
    "audio_output_price",
)
"""Prices of parts of the tokens, which cost as much as the others where they are None."""
_FACTORS = (
    "priority_factor",
    "long_prompt_input_factor",
    "long_prompt_output_factor",
)
COST_UNITS = ("USD", "J")
"""Units of costs: US dollars or joules."""


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model that can serve a request.

    Parameters
    ----------
    name
        Name in decisions; unique in its zoo.
    input_price, output_price
        Price per million input and output tokens, in the zoo's cost unit.
    call_price
        Price of a call in addition to its tokens; the whole typical cost of a call where tokens
        are not counted, as in most routing tables.
    cached_input_price, cache_write_price
        Price per million input tokens that the provider reads from its cache, and that it writes to
        it; None where they cost as much as other input tokens.
    cache_write_1h_price
        Price per million input tokens that it writes to its cache for an hour; None where they cost
        as much as other written tokens.
    reasoning_price
        Price per million tokens of hidden reasoning; None where they cost as much as other output
        tokens.
    image_price
        Price of an image of the prompt, in addition to its tokens.
    audio_input_price, audio_output_price
        Price per million tokens of recordings in the prompt and in the answer; None where they cost
        as much as other tokens.
    batch_factor, priority_factor
        Factor of the prices of tokens for an answer that the provider gave as part of a batch or
        in its slow, cheap tier (``flex``), and in its fast one (``priority``).
    long_prompt_tokens
        Length of prompts in tokens above which tokens cost more; None if they never do.
    long_prompt_input_factor, long_prompt_output_factor
        Factor of the prices of input and output tokens of calls with longer prompts.
    free
        Whether calls cost nothing. A model without any price that is not free has unknown prices.
    cache_seconds
        Time since the last use after which the provider drops a cached prompt.
    cache_min_tokens
        Shortest prompt in tokens that the provider caches.
    typical_output_tokens
        Expected number of tokens of an answer, until answers have been measured.
    endpoint
        Base URL of the provider; "" for a model that only exists in a table.
    context_window
        Largest number of tokens of a request; None for no limit.
    max_output_tokens
        Largest number of tokens of an answer, hidden reasoning included; None if it is not known.
    capabilities
        What the model can do in addition to text, such as ``{"tools", "vision", "json"}``.
    quality_hint
        Mean satisfaction in [0, 1] that is expected of the model, from what is known beforehand;
        None for no expectation.
    quality_like
        Name of a model that is expected to be about as good, instead of a ``quality_hint``; "" for
        none. It says something as long as the zoo has that model, and hints or labels of it.
    hint_weight
        Number of labels that ``quality_hint`` or ``quality_like`` is worth.

    Raises
    ------
    InvalidInput
        If the name is empty or a number is out of its range.

    Examples
    --------
    >>> Model("small", input_price=0.15, output_price=0.60).name
    'small'
    >>> Model("small", input_price=-1)
    Traceback (most recent call last):
    ...
    floorline.errors.InvalidInput: Model.input_price of 'small' is -1: give a price from 0 to 1e+09
    """

    name: str
    input_price: float = 0.0
    output_price: float = 0.0
    call_price: float = 0.0
    cached_input_price: float | None = None
    cache_write_price: float | None = None
    cache_write_1h_price: float | None = None
    reasoning_price: float | None = None
    image_price: float = 0.0
    audio_input_price: float | None = None
    audio_output_price: float | None = None
    batch_factor: float = 1.0
    priority_factor: float = 1.0
    long_prompt_tokens: int | None = None
    long_prompt_input_factor: float = 1.0
    long_prompt_output_factor: float = 1.0
    free: bool = False
    cache_seconds: float = DEFAULT_CACHE_SECONDS
    cache_min_tokens: int = DEFAULT_CACHE_MIN_TOKENS
    typical_output_tokens: float = 256.0
    endpoint: str = ""
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] = frozenset()
    quality_hint: float | None = None
    quality_like: str = ""
    hint_weight: float = DEFAULT_HINT_WEIGHT
    v: int = 3

    def __post_init__(self) -> None:
        check_name("Model.name", self.name, empty=False)
        self._check_prices()
        where = f"Model.cache_seconds of {self.name!r}"
        fix = f"give seconds from 0 to {MAX_CACHE_SECONDS:g}"
        life = check_number(where, self.cache_seconds, low=0.0, high=MAX_CACHE_SECONDS, fix=fix)
        msgspec.structs.force_setattr(self, "cache_seconds", float(life))
        where = f"Model.cache_min_tokens of {self.name!r}"
        fix = f"give a number of tokens from 0 to {MAX_TOKENS:,}"
        if check_number(where, self.cache_min_tokens, low=0, high=MAX_TOKENS, fix=fix) % 1:
            raise InvalidInput(where, self.cache_min_tokens, fix)
        msgspec.structs.force_setattr(self, "cache_min_tokens", int(self.cache_min_tokens))
        check_number(
            f"Model.typical_output_tokens of {self.name!r}",
            self.typical_output_tokens,
            low=1.0,
            high=_MAX_TYPICAL_TOKENS,
            fix=f"give a number of tokens from 1 to {_MAX_TYPICAL_TOKENS:g}",
        )
        for field in ("context_window", "max_output_tokens", "long_prompt_tokens"):
            given = getattr(self, field)
            if given is None:
                continue
            where = f"Model.{field} of {self.name!r}"
            fix = f"give a number of tokens from 1 to {MAX_TOKENS:,}, or None for no limit"
            if check_number(where, given, low=1, high=MAX_TOKENS, fix=fix) % 1:
                raise InvalidInput(where, given, fix)
            if type(given) is not int:
                # A log could not give a float back.
                msgspec.structs.force_setattr(self, field, int(given))
        check_name(f"Model.endpoint of {self.name!r}", self.endpoint, MAX_URL)
        where = f"Model.capabilities of {self.name!r}"
        if not isinstance(self.capabilities, frozenset | set | list | tuple):
            fix = 'give a set of texts, such as {"tools", "vision"}'
            raise InvalidInput(where, self.capabilities, fix)
        if len(self.capabilities) > _MAX_CAPABILITIES:
            fix = f"give at most {_MAX_CAPABILITIES} capabilities"
            raise InvalidInput(where, self.capabilities, fix)
        for capability in self.capabilities:
            check_name(where, capability)
        msgspec.structs.force_setattr(self, "capabilities", frozenset(self.capabilities))
        self._check_hint()

    def _check_prices(self) -> None:
        for fields, most, fix in (
            (_GENERAL_PRICES, MAX_PRICE, _PRICE_FIX),
            (_PARTIAL_PRICES, MAX_PRICE, _PRICE_FIX),
            (_FACTORS, MAX_TIER_FACTOR, _FACTOR_FIX),
        ):
            for field in fields:
                given = getattr(self, field)
                if given is None and fields is _PARTIAL_PRICES:
                    continue
                where = f"Model.{field} of {self.name!r}"
                checked = check_number(where, given, low=0.0, high=most, fix=fix)
                if type(given) is not float:
                    # A log could not give a whole number back.
                    msgspec.structs.force_setattr(self, field, float(checked))
        where = f"Model.batch_factor of {self.name!r}"
        factor = check_number(where, self.batch_factor, low=0.0, high=1.0, fix=_BATCH_FIX)
        msgspec.structs.force_setattr(self, "batch_factor", float(factor))
        if self.free and self.has_price:
            fix = "remove it, or the prices"
            raise InvalidInput(f"Model.free of {self.name!r}", self.free, fix)

    @property
    def has_price(self) -> bool:
        """Whether a price is above 0; if none is, and the model is not free, they are unknown."""
        return any(getattr(self, field) for field in (*_GENERAL_PRICES, *_PARTIAL_PRICES))

    @property
    def largest_input_price(self) -> float:
        """Largest price per million input tokens of any kind but recordings."""
        cached, written = self.cached_input_price, self.cache_write_price
        return max(
            self.input_price, cached or 0.0, written or 0.0, self.cache_write_1h_price or 0.0
        )

    @property
    def largest_output_price(self) -> float:
        """Largest price per million output tokens of any kind but recordings."""
        return max(self.output_price, self.reasoning_price or 0.0)

    def _check_hint(self) -> None:
        # A log could not give a whole number back.
        where = f"Model.quality_hint of {self.name!r}"
        if self.quality_hint is not None:
            fix = "give a mean satisfaction from 0 to 1, or None"
            hint = check_number(where, self.quality_hint, low=0.0, high=1.0, fix=fix)
            msgspec.structs.force_setattr(self, "quality_hint", float(hint))
        where = f"Model.quality_like of {self.name!r}"
        check_name(where, self.quality_like)
        if self.quality_like and self.quality_hint is not None:
            raise InvalidInput(where, self.quality_like, "give it or quality_hint, not both")
        if self.quality_like == self.name:
            raise InvalidInput(where, self.quality_like, "name another model")
        where = f"Model.hint_weight of {self.name!r}"
        fix = f"give a number of labels from 1 to {MAX_HINT_WEIGHT:g}"
        weight = check_number(where, self.hint_weight, low=1.0, high=MAX_HINT_WEIGHT, fix=fix)
        msgspec.structs.force_setattr(self, "hint_weight", float(weight))


class Zoo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The models that can serve now, in a fixed order; arrays over models follow that order.

    Parameters
    ----------
    models
        The models; at least one, each with a name of its own.
    cost_unit
        Unit of all prices and costs: ``"USD"`` or ``"J"``.

    Raises
    ------
    InvalidInput
        If there is no model, two have one name, or the unit is another one.

    Examples
    --------
    >>> zoo = Zoo([Model("small", call_price=1.0), Model("large", call_price=20.0)], cost_unit="J")
    >>> zoo.names, zoo.index("large"), len(zoo)
    (('small', 'large'), 1, 2)
    >>> zoo.without("small").names
    ('large',)
    """

    models: Sequence[Model]
    cost_unit: str = "USD"
    v: int = 2

    def __post_init__(self) -> None:
        models = tuple(self.models)
        msgspec.structs.force_setattr(self, "models", models)
        if not models:
            raise InvalidInput("Zoo.models", [], "give at least one model")
        seen: set[str] = set()
        for position, model in enumerate(models):
            if not isinstance(model, Model):
                raise InvalidInput(f"Zoo.models[{position}]", model, "give a floorline.Model")
            if model.name in seen:
                raise InvalidInput(
                    f"Zoo.models[{position}].name", model.name, "give every model its own name"
                )
            seen.add(model.name)
        check_one_of("Zoo.cost_unit", self.cost_unit, COST_UNITS)

    def _repr_html_(self) -> str:
        unit = self.cost_unit
        header = ["model", f"input, {unit}/M tokens", f"output, {unit}/M tokens", f"{unit}/call"]
        rows = []
        for model in self.models:
            prices = (model.input_price, model.output_price, model.call_price)
            known = [
                "unknown" if model.name in self.unpriced else show_number(price) for price in prices
            ]
            able = ", ".join(sorted(model.capabilities)) if model.capabilities else "–"
            rows.append([model.name, *known, show_number(model.context_window), able])
        title = f"Zoo of {len(self)} model{'s' if len(self) > 1 else ''}"
        return html_grid(title, [*header, "context, tokens", "capabilities"], rows)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the models, in order."""
        return tuple(model.name for model in self.models)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.models)

    def __contains__(self, name: str) -> bool:
        return name in self._positions

    def index(self, name: str) -> int:
        """Position of a model.

        Raises
        ------
        InvalidInput
            If the zoo has no such model.
        """
        try:
            return self._positions[name]
        except KeyError:
            raise InvalidInput(
                "model", name, "name a model of the zoo: " + listed(self.names)
            ) from None

    def with_model(self, model: Model) -> Zoo:
        """Return a zoo with one more model, or with this one in place of that of its name."""
        kept = [model if m.name == model.name else m for m in self.models]
        if model.name not in self:
            kept.append(model)
        return Zoo(kept, self.cost_unit)

    def without(self, name: str) -> Zoo:
        """Return a zoo without a model.

        Raises
        ------
        InvalidInput
            If the zoo has no such model, or no other one.
        """
        self.index(name)
        return Zoo([m for m in self.models if m.name != name], self.cost_unit)

    def largest_costs(self, limits: CallLimits) -> NDArray[np.float64]:
        """(M,) list price of a call whose prompt and answers are as long as they can be.

        All tokens have the largest price of their direction: a provider may write the whole prompt
        to its cache, reason through the whole answer, and bill it at its tier ``priority`` if the
        request allows it.

        Where ``limits`` does not bound the answers, they have ``Model.max_output_tokens``, or
        ``DEFAULT_MAX_OUTPUT_TOKENS`` where that is not known either. A bound that is not certain
        makes them longer, but not shorter than that.
        """
        return self._bounds.largest_costs(limits)

    @cached_property
    def _bounds(self) -> CostBounds:
        models = self.models
        per_input = _array(m.largest_input_price for m in models) / 1e6
        per_output = _array(m.largest_output_price for m in models) / 1e6
        audio_input = _array(m.audio_input_price or 0.0 for m in models) / 1e6
        audio_output = _array(m.audio_output_price or 0.0 for m in models) / 1e6
        long = _array(m.long_prompt_tokens or np.inf for m in models)
        return CostBounds(
            call=_array(m.call_price for m in models),
            image=_array(m.image_price for m in models),
            input=per_input,
            output=per_output,
            audio_input=np.maximum(per_input, audio_input),
            audio_output=np.maximum(per_output, audio_output),
            tier=_array(max(1.0, m.priority_factor) for m in models),
            long=long,
            shortest_long=float(long.min()),
            long_input=_array(max(1.0, m.long_prompt_input_factor) for m in models),
            long_output=_array(max(1.0, m.long_prompt_output_factor) for m in models),
            largest_output=_array(m.max_output_tokens or np.inf for m in models),
            usual_output=_array(m.max_output_tokens or DEFAULT_MAX_OUTPUT_TOKENS for m in models),
        )

    @cached_property
    def unpriced(self) -> tuple[str, ...]:
        """Names of the models whose prices are unknown: none is given, and they are not free."""
        return tuple(m.name for m in self.models if not (m.free or m.has_price))

    @cached_property
    def typical_costs(self) -> NDArray[np.float64]:
        """(M,) list price of a call with 256 input tokens and an answer of typical length."""
        return np.array(
            [
                m.call_price
                + (256.0 * m.input_price + m.typical_output_tokens * m.output_price) / 1e6
                for m in self.models
            ]
        )

    @cached_property
    def caches(self) -> bool:
        """Whether a model has a price of its own for cached tokens."""
        return any(
            price is not None and price != model.input_price
            for model in self.models
            for price in (
                model.cached_input_price,
                model.cache_write_price,
                model.cache_write_1h_price,
            )
        )

    @cached_property
    def _windows(self) -> NDArray[np.float64]:
        return np.array([m.context_window or np.inf for m in self.models])

    @cached_property
    def _smallest_window(self) -> float:
        return float(self._windows.min())

    @cached_property
    def limited(self) -> bool:
        """Whether a model has a context window, so that the lengths of prompts matter."""
        return any(m.context_window is not None for m in self.models)

    def able(
        self, *, tokens: int = 0, needs: Iterable[str] = (), exclude: Iterable[str] = ()
    ) -> NDArray[np.bool_] | None:
        """Mask (M,) of models that can serve a request; None when all can.

        Parameters
        ----------
        tokens
            Tokens of the prompt and of the longest answer that the request asks for.
        needs, exclude
            Capabilities that a model must have; names of models that must not serve.

        Raises
        ------
        NoModelCanServe
            If no model can.
        """
        wanted, barred = frozenset(needs), frozenset(exclude)
        if not (wanted or barred) and tokens <= self._smallest_window:
            return None
        mask = self._windows >= tokens
        if wanted or barred:
            mask &= [m.name not in barred and wanted <= m.capabilities for m in self.models]
        if mask.all():
            return None
        if not mask.any():
            asked = {"tokens": tokens, "needs": sorted(wanted)}
            raise NoModelCanServe(asked, self.limits(tokens, wanted, barred))
        return mask

    def limits(self, tokens: int, needs: Iterable[str], exclude: Iterable[str]) -> dict[str, Bar]:
        """Return what bars each model that cannot serve a request; arguments as for ``able``.

        Examples
        --------
        >>> Zoo([Model("small", context_window=100), Model("large")]).limits(150, ["vision"], [])
        {'small': 'its context window holds 100 tokens, and the request needs 150', \
'large': 'lacks vision'}
        """
        wanted, barred = sorted(set(needs)), frozenset(exclude)
        found = {}
        for model in self.models:
            lacking = [need for need in wanted if need not in model.capabilities]
            window = model.context_window
            if model.name in barred:
                found[model.name] = Bar("excluded", "excluded by the request")
            elif window is not None and tokens > window:
                text = f"its context window holds {window:,} tokens"
                found[model.name] = Bar("window", f"{text}, and the request needs {tokens:,}")
            elif lacking:
                found[model.name] = Bar("capability", "lacks " + listed(lacking))
        return found


def _array(values: Iterable[float]) -> NDArray[np.float64]:
    return np.array(list(values), dtype=np.float64)
