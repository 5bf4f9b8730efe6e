"""The ``models`` and ``defaults`` sections: models, their providers and their prices."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from floorline.config.auto_prices import UnknownPrice, listed_prices
from floorline.config.provider import KEY_FIELDS, ProviderSettings
from floorline.config.types import (
    Count,
    Duration,
    Fix,
    Number,
    Price,
    Section,
    Text,
    Whole,
    field,
    rule_error,
)
from floorline.core.bounds import MAX_NAME, MAX_TOKENS, is_name
from floorline.zoo import (
    DEFAULT_CACHE_MIN_TOKENS,
    DEFAULT_HINT_WEIGHT,
    MAX_CACHE_SECONDS,
    MAX_HINT_WEIGHT,
    MAX_TIER_FACTOR,
    PRICES,
    Model,
)

_MAX_CAPABILITIES = 64
"""Capabilities of a model; requests ask for seven."""


def _name(value: str) -> str:
    if not is_name(value):
        raise ValueError
    return value


def _model_name(value: str) -> str:
    if re.search(r"\s", value) or value.startswith("floorline/"):
        raise ValueError
    return _name(value)


ShortText = Annotated[
    Text,
    Field(max_length=MAX_NAME),
    AfterValidator(_name),
    Fix(f"give a printable text of at most {MAX_NAME} characters, in quotes if it is a number"),
]


def _price_source(value: str) -> str:
    if value in ("auto", "free"):
        return value
    provider, _, model = value.partition("/")
    if not (provider and model):
        raise ValueError
    return _name(value)


PriceSource = Annotated[
    Text,
    AfterValidator(_price_source),
    Fix("give auto, free, or PROVIDER/MODEL as genai-prices names them, such as openai/gpt-4o"),
]
Satisfaction = Annotated[
    Number,
    Field(ge=0, le=1),
    Fix("give a mean satisfaction from 0 to 1: a score of 62 % is 0.62"),
]
HintWeight = Annotated[
    Number,
    Field(ge=1, le=MAX_HINT_WEIGHT),
    Fix(f"give a number of labels from 1 to {MAX_HINT_WEIGHT:g}"),
]
TierFactor = Annotated[
    Number,
    Field(ge=0, le=MAX_TIER_FACTOR),
    Fix(f"give a factor from 0 to {MAX_TIER_FACTOR:g}: half the price is 0.5"),
]
_WEIGHT = "Number of labels that the hint is worth."

PRICE_FIX = (
    "give input_price and output_price, or price: PROVIDER/MODEL as genai-prices names them, or "
    "price: free if calls cost nothing"
)
"""How to give the prices of a model that has none."""
_GENERAL_PRICES = ("input_price", "output_price", "call_price")
_COSTS = tuple(name for name in PRICES if name.endswith("_price"))
_FILE_ONLY = frozenset(
    {*KEY_FIELDS, "headers", "endpoint", "kind", "proxy", "no_proxy", "pass_headers"}
)
"""Fields that a model that was added over HTTP does not take from ``defaults``."""


class ModelDefaults(ProviderSettings):
    """Values for all models that do not set the field themselves."""

    price: PriceSource | None = Field(
        None,
        description="Where prices come from that are not given. auto: the package genai-prices "
        "(extra prices), by the provider at the endpoint. PROVIDER/MODEL: another name there, such "
        "as openai/gpt-4o. free: calls cost nothing.",
    )
    input_price: Price = Field(0.0, description="Cost per million input tokens.")
    output_price: Price = Field(0.0, description="Cost per million output tokens.")
    call_price: Annotated[Price, Fix("give a price from 0 to 1e+09 (cost unit per call)")] = Field(
        0.0, description="Cost of a call in addition to its tokens."
    )
    cached_input_price: Price | None = Field(
        None,
        description="Cost per million input tokens that the provider reads from its cache; "
        "input_price if empty.",
    )
    cache_write_price: Price | None = Field(
        None,
        description="Cost per million input tokens that the provider writes to its cache; "
        "input_price if empty.",
    )
    cache_write_1h_price: Price | None = Field(
        None,
        description="Cost per million input tokens that it writes to its cache for an hour; "
        "cache_write_price if empty.",
    )
    reasoning_price: Price | None = Field(
        None,
        description="Cost per million tokens of hidden reasoning; output_price if empty.",
    )
    audio_input_price: Price | None = Field(
        None,
        description="Cost per million tokens of recordings in the prompt; input_price if empty.",
    )
    audio_output_price: Price | None = Field(
        None,
        description="Cost per million tokens of recordings in the answer; output_price if empty.",
    )
    image_price: Annotated[Price, Fix("give a price from 0 to 1e+09 (cost unit per image)")] = (
        Field(0.0, description="Cost of an image of the prompt, in addition to its tokens.")
    )
    long_prompt_tokens: Count | None = Field(
        None, description="Length of prompts in tokens above which tokens cost more."
    )
    long_prompt_input_factor: TierFactor = Field(
        1.0, description="Factor of the prices of input tokens of calls with longer prompts."
    )
    long_prompt_output_factor: TierFactor = Field(
        1.0, description="Factor of the prices of output tokens of calls with longer prompts."
    )
    batch_factor: Annotated[
        Number, Field(ge=0, le=1), Fix("give a factor from 0 to 1: half the price is 0.5")
    ] = Field(
        1.0,
        description="Factor of the prices of tokens for answers whose service_tier is batch or "
        "flex, such as 0.5.",
    )
    priority_factor: TierFactor = Field(
        1.0,
        description="Factor of the prices of tokens for answers whose service_tier is priority, "
        "such as 2. Budgets reserve with it for requests that name such a service_tier.",
    )
    cache_lifetime: Annotated[
        Duration, Field(le=MAX_CACHE_SECONDS), Fix("give a time of at most 31 days, such as 5m")
    ] = field("5m", "Time since its last use after which the provider drops a cached prompt.")
    cache_min_tokens: Annotated[
        Whole, Field(ge=0, le=MAX_TOKENS), Fix(f"give a number of tokens from 0 to {MAX_TOKENS:,}")
    ] = Field(
        DEFAULT_CACHE_MIN_TOKENS,
        description="Tokens of the shortest prompt that the provider caches.",
    )
    context_window: Count | None = Field(
        None, description="Largest number of tokens of a request; empty for no limit."
    )
    max_output_tokens: Count | None = Field(
        None,
        description="Largest number of tokens of an answer, hidden reasoning included. Budgets "
        "reserve as many for a request without max_tokens (8192 if empty), and a provider's count "
        "above it is not believed.",
    )
    capabilities: Annotated[
        list[ShortText],
        Fix(f"give a list of at most {_MAX_CAPABILITIES} texts, such as [tools, vision, json]"),
    ] = Field(
        [],
        max_length=_MAX_CAPABILITIES,
        description="What the model can do in addition to text: tools, json, vision, audio, video, "
        "files, or names of your own.",
    )
    typical_output_tokens: Annotated[
        Number, Field(ge=1, le=1e9), Fix("give a number of tokens from 1 to 1e+09")
    ] = Field(256.0, description="Expected tokens of an answer, until answers have been measured.")


class HintSettings(Section):
    """What is known of a model beforehand: a mean satisfaction, or that it is like another one."""

    quality: Satisfaction | None = Field(
        None,
        description="Mean satisfaction that is expected, such as a score of a leaderboard or of an "
        "evaluation. A number in place of the section is its quality.",
    )
    like: ShortText | None = Field(
        None,
        description="Name of a model that is expected to be about as good, instead of quality.",
    )
    weight: HintWeight = Field(DEFAULT_HINT_WEIGHT, description=_WEIGHT)

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, data: Any) -> Any:
        return {"quality": data} if isinstance(data, int | float | str) else data

    @model_validator(mode="after")
    def _says_one_thing(self) -> HintSettings:
        if self.quality is None and self.like is None:
            fix = "give a number from 0 to 1, or like: with the name of a model"
            raise rule_error("says nothing of the model", fix)
        if self.quality is not None and self.like is not None:
            raise rule_error("is given beside quality", "keep one of them", "like")
        return self


class ModelSettings(ModelDefaults):
    """One model that can serve."""

    name: Annotated[
        ShortText,
        AfterValidator(_model_name),
        Fix(
            f"give a name of at most {MAX_NAME} characters, without spaces, that does not begin "
            "with floorline/"
        ),
    ] = Field(description="Name in requests, decisions and reports; unique.")
    model: ShortText | None = Field(
        None, description="The provider's name of the model; the same as name by default."
    )

    quality_hint: Satisfaction | None = Field(
        None,
        description="Mean satisfaction that is expected of the model; the section hints says it "
        "for several models.",
    )
    quality_like: ShortText | None = Field(
        None,
        description="Name of a model that is expected to be about as good, instead of "
        "quality_hint.",
    )
    hint_weight: HintWeight = Field(DEFAULT_HINT_WEIGHT, description=_WEIGHT)

    _added_over_http: bool = PrivateAttr(False)
    _price_source: str = PrivateAttr("")
    _price_notes: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _is_free_or_not(self) -> ModelSettings:
        if self.price == "free" and self._has_price:
            raise rule_error("is free, and a price is given", "remove one of them", "price")
        return self

    @model_validator(mode="after")
    def _has_one_hint(self) -> ModelSettings:
        if self.quality_like is not None:
            if self.quality_hint is not None:
                raise rule_error("is given beside quality_hint", "keep one of them", "quality_like")
            if self.quality_like == self.name:
                raise rule_error("is the model itself", "name another model", "quality_like")
        elif self.quality_hint is None and "hint_weight" in self.model_fields_set:
            fix = "give quality_hint, or remove hint_weight"
            raise rule_error("is given without quality_hint", fix, "hint_weight")
        return self

    @property
    def added_over_http(self) -> bool:
        """Whether the model is none of the file: then it takes no secret of ``defaults``."""
        return self._added_over_http

    @property
    def upstream_model(self) -> str:
        """The provider's name of the model."""
        return self.name if self.model is None else self.model

    @property
    def is_free(self) -> bool:
        """Whether the prices are said to be 0, instead of left out."""
        is_said = any(name in self.model_fields_set for name in _GENERAL_PRICES)
        return (is_said or self.price == "free") and not self._has_price

    @property
    def price_source(self) -> str:
        """Where the prices come from, for operators; "" if there are none."""
        if self._has_price:
            return self._price_source or "given"
        return "free" if self.is_free else ""

    def price_line(self) -> str:
        """Return the prices in one line, for operators.

        Examples
        --------
        >>> ModelSettings(name="small", input_price=0.15, output_price=0.6).price_line()
        'small: input 0.15, output 0.6 (given)'
        """
        model = self.as_model()
        usual = Model(self.name)
        shown = [
            f"{name.removesuffix('_price').replace('_', ' ')} {getattr(model, name):g}"
            for name in PRICES
            if getattr(model, name) != getattr(usual, name)
        ]
        notes = "".join(f"; {note}" for note in self._price_notes)
        said = ", ".join(shown) or ("free" if self.is_free else "NO PRICE")
        source = f" ({self.price_source}{notes})" if shown else ""
        return f"{self.name}: {said}{source}"

    @property
    def _has_price(self) -> bool:
        return any(getattr(self, name) for name in _COSTS)

    def priced(self) -> ModelSettings:
        """Return the model with the prices that its field ``price`` asks for; given ones stay.

        Raises
        ------
        MissingExtra
            If the package of the prices is not installed.
        UnknownPrice
            If it has no prices of the model, and the model has no price of tokens of its own.
        """
        if self.price in (None, "free"):
            return self
        assert self.price is not None
        own = self.model_fields_set.intersection(PRICES)
        try:
            found = listed_prices(self.kind, self.endpoint, self.upstream_model, self.price)
        except UnknownPrice:
            if {"input_price", "output_price"} <= own:
                return self
            raise
        priced = self.model_copy(update={n: p for n, p in found.prices.items() if n not in own})
        priced._price_source = found.source + (f"; given: {', '.join(sorted(own))}" if own else "")
        priced._price_notes = found.notes
        return priced

    def hinted(self, hint: HintSettings | None) -> ModelSettings:
        """Return the model with a hint of the section ``hints``; None leaves it as it is."""
        if hint is None:
            return self
        given = {
            "quality_hint": hint.quality,
            "quality_like": hint.like,
            "hint_weight": hint.weight,
        }
        return self.model_copy(update=given)

    def completed(self, defaults: ModelDefaults) -> ModelSettings:
        """Return the model with the fields that it does not set taken from the defaults."""
        taken = _unset_fields(self, defaults)
        if "price" in self.model_fields_set:
            # It says more of this model than the prices of all models do.
            taken = {name: value for name, value in taken.items() if name not in PRICES}
        if self._added_over_http:
            # Key, headers and the query of the endpoint are the file's secrets.
            taken = {name: value for name, value in taken.items() if name not in _FILE_ONLY}
            completed = self.model_copy(update=taken)
            completed._key = self._key
            return completed
        own_key = any(name in self.model_fields_set for name in KEY_FIELDS)
        if own_key:
            taken = {name: value for name, value in taken.items() if name not in KEY_FIELDS}
        completed = self.model_copy(update=taken)
        if not own_key:
            completed._key, completed._key_path = defaults._key, defaults._key_path
        return completed

    def as_model(self) -> Model:
        """Return the model as a router takes it."""
        return Model(
            name=self.name,
            **{name: getattr(self, name) for name in PRICES},
            free=self.is_free,
            cache_seconds=self.cache_lifetime,
            cache_min_tokens=self.cache_min_tokens,
            typical_output_tokens=self.typical_output_tokens,
            endpoint=self.endpoint or "",
            context_window=self.context_window,
            max_output_tokens=self.max_output_tokens,
            capabilities=frozenset(self.capabilities),
            quality_hint=self.quality_hint,
            quality_like=self.quality_like or "",
            hint_weight=self.hint_weight,
        )


def _unset_fields(section: Section, defaults: Section) -> dict[str, Any]:
    """Fields that ``defaults`` sets and ``section`` does not, nested sections merged."""
    taken: dict[str, Any] = {}
    for name in defaults.model_fields_set:
        default = getattr(defaults, name)
        if name not in section.model_fields_set:
            taken[name] = default
        elif isinstance(default, Section):
            own = getattr(section, name)
            taken[name] = own.model_copy(update=_unset_fields(own, default))
        elif name == "headers":
            taken[name] = default | getattr(section, name)
    return taken
