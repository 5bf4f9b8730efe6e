"""The counts of a call, and every shape in which providers send them."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

PRICES = {
    "input_price": 1_000,
    "output_price": 5_000,
    "cached_input_price": 100,
    "cache_write_price": 1_250,
    "cache_write_1h_price": 2_000,
    "reasoning_price": 7_000,
    "audio_input_price": 4_000,
    "audio_output_price": 9_000,
}
"""USD per million tokens: so high that a wrong count is wrong by cents."""
IMAGE_PRICE, CALL_PRICE = Fraction(1, 4), Fraction(1, 8)
BATCH_FACTOR, PRIORITY_FACTOR = Fraction(1, 2), Fraction(7, 4)
"""A provider's other prices; floats hold them exactly."""


class Counts(NamedTuple):
    """True counts of one call.

    Cached, written and heard tokens are part of the prompt's, apart from each other; those that are
    written for an hour are part of the written ones. Reasoning and spoken tokens are part of the
    output's.
    """

    prompt: int
    output: int
    cached: int = 0
    written: int = 0
    written_1h: int = 0
    reasoning: int = 0
    heard: int = 0
    spoken: int = 0
    images: int = 0

    def known(self, told):
        """The counts as a provider bills them that tells these parts apart: no others cost less."""
        parts = ("cached", "written", "written_1h", "reasoning", "heard", "spoken")
        return self._replace(**{part: 0 for part in parts if part not in told})

    def bill(self, tier=""):
        """What the provider bills, exactly."""
        million = {name: Fraction(price, 10**6) for name, price in PRICES.items()}
        tokens = (
            (self.prompt - self.cached - self.written - self.heard) * million["input_price"]
            + self.cached * million["cached_input_price"]
            + (self.written - self.written_1h) * million["cache_write_price"]
            + self.written_1h * million["cache_write_1h_price"]
            + self.heard * million["audio_input_price"]
            + (self.output - self.reasoning - self.spoken) * million["output_price"]
            + self.reasoning * million["reasoning_price"]
            + self.spoken * million["audio_output_price"]
        )
        factor = {"": 1, "batch": BATCH_FACTOR, "priority": PRIORITY_FACTOR}[tier]
        return tokens * factor + self.images * IMAGE_PRICE + CALL_PRICE

    def flat_bill(self):
        """What was booked before parts of the tokens had prices of their own."""
        tokens = self.prompt * PRICES["input_price"] + self.output * PRICES["output_price"]
        return Fraction(tokens, 10**6) + CALL_PRICE


class Usage(NamedTuple):
    """What a provider sends: fields of the completion, and of its first choice."""

    fields: dict
    of_choice: dict = {}  # noqa: RUF012 - it is never changed.


class Shape(NamedTuple):
    """How a provider sends its counts.

    ``told`` are the parts of the counts that it tells apart, ``tier`` the service tier that it
    names, and ``own_bill`` what it says it bills, as a multiple of the list price; None if it does
    not say.
    """

    write: Callable[[Counts], Any]
    told: tuple[str, ...] = ()
    tier: str = ""
    own_bill: Fraction | None = None

    def bill(self, counts):
        """What the provider bills for a call, exactly."""
        listed = counts.known(self.told).bill(self.tier)
        return listed if self.own_bill is None else listed * self.own_bill


def _openai(c, **more):
    return {
        "prompt_tokens": c.prompt,
        "completion_tokens": c.output,
        "total_tokens": c.prompt + c.output,
        **more,
    }


def _details(c):
    return {
        "prompt_tokens_details": {"cached_tokens": c.cached, "audio_tokens": None},
        "completion_tokens_details": {"reasoning_tokens": c.reasoning},
    }


def _all_details(c):
    return {
        "prompt_tokens_details": {
            "cached_tokens": c.cached,
            "cache_write_tokens": c.written,
            "audio_tokens": c.heard,
        },
        "completion_tokens_details": {
            "reasoning_tokens": c.reasoning,
            "audio_tokens": c.spoken,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _anthropic(c):
    return {
        "input_tokens": c.prompt - c.cached - c.written,
        "cache_read_input_tokens": c.cached,
        "cache_creation_input_tokens": c.written,
        "output_tokens": c.output,
    }


def _cache_creation(c):
    return {
        "ephemeral_5m_input_tokens": c.written - c.written_1h,
        "ephemeral_1h_input_tokens": c.written_1h,
    }


def _gemini(c):
    return {
        "promptTokenCount": c.prompt,
        "cachedContentTokenCount": c.cached,
        "candidatesTokenCount": c.output - c.reasoning,
        "thoughtsTokenCount": c.reasoning,
    }


def _modalities(text, audio):
    return [{"modality": "TEXT", "tokenCount": text}, {"modality": "AUDIO", "tokenCount": audio}]


def _own(c, told, share):
    return float(c.known(told).bill() * share)


def _each(usage, change):
    return {name: change(one) if type(one) is int else one for name, one in usage.items()}


def _only(usage, *names):
    return {name: usage[name] for name in names}


_ALL = ("cached", "written", "reasoning", "heard", "spoken")
_CACHE = ("cached", "written")
_DETAILS = ("cached", "reasoning")
_OPENROUTER = ("cached", "written", "reasoning")

SHAPES = {
    "OpenAI": Shape(lambda c: Usage({"usage": _openai(c)})),
    "OpenAI with details": Shape(lambda c: Usage({"usage": _openai(c, **_details(c))}), _DETAILS),
    "OpenAI with all details": Shape(
        lambda c: Usage({"usage": _openai(c, **_all_details(c))}), _ALL
    ),
    "OpenAI, flex": Shape(
        lambda c: Usage({"usage": _openai(c, **_details(c)), "service_tier": "flex"}),
        _DETAILS,
        "batch",
    ),
    "OpenAI, priority": Shape(
        lambda c: Usage({"usage": _openai(c, **_details(c)), "service_tier": "priority"}),
        _DETAILS,
        "priority",
    ),
    "details of null": Shape(lambda c: Usage({"usage": _openai(c, prompt_tokens_details=None)})),
    "Responses": Shape(
        lambda c: Usage(
            {
                "usage": {
                    "input_tokens": c.prompt,
                    "input_tokens_details": {"cached_tokens": c.cached},
                    "output_tokens": c.output,
                    "output_tokens_details": {"reasoning_tokens": c.reasoning},
                    "total_tokens": c.prompt + c.output,
                }
            }
        ),
        _DETAILS,
    ),
    "input and output alone": Shape(
        lambda c: Usage({"usage": {"input_tokens": c.prompt, "output_tokens": c.output}})
    ),
    "Anthropic": Shape(lambda c: Usage({"usage": _anthropic(c)}), _CACHE),
    "Anthropic, for an hour": Shape(
        lambda c: Usage({"usage": {**_anthropic(c), "cache_creation": _cache_creation(c)}}),
        (*_CACHE, "written_1h"),
    ),
    "Anthropic, in a batch": Shape(
        lambda c: Usage({"usage": {**_anthropic(c), "service_tier": "batch"}}), _CACHE, "batch"
    ),
    "Anthropic behind LiteLLM": Shape(
        lambda c: Usage(
            {
                "usage": _openai(c, **_details(c))
                | {"cache_read_input_tokens": c.cached, "cache_creation_input_tokens": c.written}
            }
        ),
        (*_CACHE, "reasoning"),
    ),
    "LiteLLM with all details": Shape(
        lambda c: Usage(
            {
                "usage": _openai(
                    c,
                    cache_read_input_tokens=c.cached,
                    cache_creation_input_tokens=c.written,
                    prompt_tokens_details={
                        "cached_tokens": c.cached,
                        "cache_creation_tokens": c.written,
                        "cache_creation_token_details": _cache_creation(c),
                        "text_tokens": None,
                        "image_tokens": None,
                        "audio_tokens": c.heard,
                    },
                    completion_tokens_details={
                        "reasoning_tokens": c.reasoning,
                        "audio_tokens": c.spoken,
                    },
                )
            }
        ),
        (*_ALL, "written_1h"),
    ),
    "Bedrock": Shape(
        lambda c: Usage(
            {
                "usage": {
                    "inputTokens": c.prompt - c.cached - c.written,
                    "outputTokens": c.output,
                    "totalTokens": c.prompt + c.output,
                    "cacheReadInputTokens": c.cached,
                    "cacheWriteInputTokens": c.written,
                }
            }
        ),
        _CACHE,
    ),
    "DeepSeek": Shape(
        lambda c: Usage(
            {
                "usage": _openai(
                    c,
                    prompt_cache_hit_tokens=c.cached,
                    prompt_cache_miss_tokens=c.prompt - c.cached,
                )
            }
        ),
        ("cached",),
    ),
    "Moonshot": Shape(
        lambda c: Usage({}, {"usage": _openai(c, cached_tokens=c.cached)}), ("cached",)
    ),
    "Mistral": Shape(
        lambda c: Usage({"usage": _openai(c, num_cached_tokens=c.cached)}), ("cached",)
    ),
    "vLLM": Shape(
        lambda c: Usage({"usage": _openai(c, prompt_tokens_details={"cached_tokens": c.cached})}),
        ("cached",),
    ),
    "xAI": Shape(
        lambda c: Usage(
            {"usage": _openai(c, **_details(c)) | {"completion_tokens": c.output - c.reasoning}}
        ),
        _DETAILS,
    ),
    "xAI with its bill": Shape(
        lambda c: Usage(
            {
                "usage": _openai(c, **_details(c))
                | {
                    "completion_tokens": c.output - c.reasoning,
                    "cost_in_usd_ticks": round(_own(c, _DETAILS, Fraction(3, 4)) * 1e10),
                }
            }
        ),
        _DETAILS,
        "",
        Fraction(3, 4),
    ),
    "Gemini": Shape(
        lambda c: Usage({"usage": {**_gemini(c), "totalTokenCount": c.prompt + c.output}}),
        _DETAILS,
    ),
    "Gemini without a total": Shape(lambda c: Usage({"usage": _gemini(c)}), _DETAILS),
    "Gemini with modalities": Shape(
        lambda c: Usage(
            {
                "usage": {
                    **_gemini(c),
                    "totalTokenCount": c.prompt + c.output,
                    "promptTokensDetails": _modalities(c.prompt - c.heard, c.heard),
                    "candidatesTokensDetails": _modalities(
                        c.output - c.reasoning - c.spoken, c.spoken
                    ),
                }
            }
        ),
        (*_DETAILS, "heard", "spoken"),
    ),
    "Gemini behind a proxy without details": Shape(
        lambda c: Usage({"usage": _openai(c) | {"completion_tokens": c.output - c.reasoning}}),
        ("reasoning",),
    ),
    "Groq": Shape(
        lambda c: Usage({"usage": _openai(c, queue_time=0.07, total_time=0.2, **_details(c))}),
        _DETAILS,
    ),
    "x_groq": Shape(lambda c: Usage({"x_groq": {"id": "r-1", "usage": _openai(c)}})),
    "OpenRouter": Shape(
        lambda c: Usage(
            {
                "usage": _openai(c, **_all_details(c))
                | {
                    "cost": _own(c, _OPENROUTER, Fraction(5, 8)),
                    "is_byok": False,
                    "cost_details": {
                        "upstream_inference_cost": _own(c, _OPENROUTER, Fraction(1, 2))
                    },
                }
            }
        ),
        _OPENROUTER,
        "",
        Fraction(5, 8),
    ),
    "OpenRouter with an own key": Shape(
        lambda c: Usage(
            {
                "usage": _openai(c, **_all_details(c))
                | {
                    "cost": _own(c, _OPENROUTER, Fraction(1, 32)),
                    "cost_details": {"upstream_inference_cost": _own(c, _OPENROUTER, Fraction(1))},
                }
            }
        ),
        _OPENROUTER,
        "",
        Fraction(33, 32),
    ),
    "Perplexity": Shape(
        lambda c: Usage(
            {"usage": _openai(c, cost={"total_cost": _own(c, (), Fraction(2)), "request_cost": 1})}
        ),
        (),
        "",
        Fraction(2),
    ),
    "DeepInfra": Shape(
        lambda c: Usage({"usage": _openai(c, estimated_cost=_own(c, (), Fraction(1, 2)))}),
        (),
        "",
        Fraction(1, 2),
    ),
    "a bill of nothing": Shape(lambda c: Usage({"usage": _openai(c, cost=0)})),
    "a bill that cannot be true": Shape(lambda c: Usage({"usage": _openai(c, cost=1e6)})),
    "llama.cpp": Shape(
        lambda c: Usage(
            {"usage": _openai(c), "timings": {"prompt_n": c.prompt, "predicted_n": c.output}}
        )
    ),
    "timings alone": Shape(
        lambda c: Usage(
            {
                "timings": {
                    "cache_n": c.cached,
                    "prompt_n": c.prompt - c.cached,
                    "predicted_n": c.output,
                    "predicted_ms": 2.5,
                }
            }
        ),
        ("cached",),
    ),
    "Cohere": Shape(
        lambda c: Usage(
            {"usage": {"billed_units": {"input_tokens": c.prompt, "output_tokens": c.output}}}
        )
    ),
    "floats": Shape(lambda c: Usage({"usage": _each(_openai(c), float)})),
    "texts": Shape(lambda c: Usage({"usage": _each(_openai(c), str)})),
    "no count of the answer": Shape(
        lambda c: Usage({"usage": _only(_openai(c), "prompt_tokens", "total_tokens")})
    ),
    "no count of the prompt": Shape(
        lambda c: Usage({"usage": {"output_tokens": c.output, "total_tokens": c.prompt + c.output}})
    ),
    "nulls beside counts": Shape(
        lambda c: Usage({"usage": _openai(c, input_tokens=None, output_tokens=None, cost=None)})
    ),
    "zeros beside counts": Shape(
        lambda c: Usage(
            {
                "usage": {
                    "prompt_tokens": 0,
                    "completion_tokens": 0,
                    "input_tokens": c.prompt,
                    "output_tokens": c.output,
                }
            }
        )
    ),
}


_PARTS = {
    "cached": "cached",
    "written": "written",
    "written_1h": "written for an hour",
    "reasoning": "reasoning",
    "heard": "audio in",
    "spoken": "audio out",
}


def shape_table():
    """Return the shapes as a table in Markdown: what each tells apart, and what is booked."""
    lines = [
        "| usage | parts that it tells | tier | booked |",
        "|---|---|---|---|",
    ]
    for name, shape in SHAPES.items():
        parts = ", ".join(_PARTS[part] for part in shape.told) or "none"
        booked = "list prices" if shape.own_bill is None else "the provider's own bill"
        lines.append(f"| {name} | {parts} | {shape.tier or 'usual'} | {booked} |")
    return "\n".join(lines)
