"""The counts of a call, and every shape in which providers send them."""

from typing import NamedTuple

INPUT_PRICE, OUTPUT_PRICE = 1_000.0, 5_000.0
"""USD per million tokens: so high that a wrong count is wrong by cents."""


class Counts(NamedTuple):
    """True counts of one call; cached and written tokens are part of the prompt's."""

    prompt: int
    output: int
    cached: int
    written: int
    reasoning: int

    @property
    def bill(self):
        return (self.prompt * INPUT_PRICE + self.output * OUTPUT_PRICE) / 1e6


class Usage(NamedTuple):
    """What a provider sends: fields of the completion, and of its first choice."""

    fields: dict
    of_choice: dict = {}  # noqa: RUF012 - it is never changed.


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


def _anthropic(c):
    return {
        "input_tokens": c.prompt - c.cached - c.written,
        "cache_read_input_tokens": c.cached,
        "cache_creation_input_tokens": c.written,
        "output_tokens": c.output,
    }


def _each(usage, change):
    return {name: change(one) if type(one) is int else one for name, one in usage.items()}


def _only(usage, *names):
    return {name: usage[name] for name in names}


SHAPES = {
    "OpenAI": lambda c: Usage({"usage": _openai(c)}),
    "OpenAI with details": lambda c: Usage({"usage": _openai(c, **_details(c))}),
    "details of null": lambda c: Usage({"usage": _openai(c, prompt_tokens_details=None)}),
    "Responses": lambda c: Usage(
        {
            "usage": {
                "input_tokens": c.prompt,
                "input_tokens_details": {"cached_tokens": c.cached},
                "output_tokens": c.output,
                "total_tokens": c.prompt + c.output,
            }
        }
    ),
    "input and output alone": lambda c: Usage(
        {"usage": {"input_tokens": c.prompt, "output_tokens": c.output}}
    ),
    "Anthropic": lambda c: Usage({"usage": _anthropic(c)}),
    "Anthropic behind LiteLLM": lambda c: Usage(
        {
            "usage": _openai(c, **_details(c))
            | {"cache_read_input_tokens": c.cached, "cache_creation_input_tokens": c.written}
        }
    ),
    "Bedrock": lambda c: Usage(
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
    "DeepSeek": lambda c: Usage(
        {
            "usage": _openai(
                c,
                prompt_cache_hit_tokens=c.cached,
                prompt_cache_miss_tokens=c.prompt - c.cached,
            )
        }
    ),
    "Moonshot": lambda c: Usage({}, {"usage": _openai(c, cached_tokens=c.cached)}),
    "xAI": lambda c: Usage(
        {"usage": _openai(c, **_details(c)) | {"completion_tokens": c.output - c.reasoning}}
    ),
    "Gemini": lambda c: Usage(
        {
            "usage": {
                "promptTokenCount": c.prompt,
                "candidatesTokenCount": c.output - c.reasoning,
                "thoughtsTokenCount": c.reasoning,
                "totalTokenCount": c.prompt + c.output,
            }
        }
    ),
    "Groq": lambda c: Usage({"usage": _openai(c, queue_time=0.07, total_time=0.2)}),
    "x_groq": lambda c: Usage({"x_groq": {"id": "r-1", "usage": _openai(c)}}),
    "llama.cpp": lambda c: Usage(
        {"usage": _openai(c), "timings": {"prompt_n": c.prompt, "predicted_n": c.output}}
    ),
    "timings alone": lambda c: Usage(
        {
            "timings": {
                "cache_n": c.cached,
                "prompt_n": c.prompt - c.cached,
                "predicted_n": c.output,
                "predicted_ms": 2.5,
            }
        }
    ),
    "Cohere": lambda c: Usage(
        {"usage": {"billed_units": {"input_tokens": c.prompt, "output_tokens": c.output}}}
    ),
    "floats": lambda c: Usage({"usage": _each(_openai(c), float)}),
    "texts": lambda c: Usage({"usage": _each(_openai(c), str)}),
    "no count of the answer": lambda c: Usage(
        {"usage": _only(_openai(c), "prompt_tokens", "total_tokens")}
    ),
    "no count of the prompt": lambda c: Usage(
        {"usage": {"output_tokens": c.output, "total_tokens": c.prompt + c.output}}
    ),
    "nulls beside counts": lambda c: Usage(
        {"usage": _openai(c, input_tokens=None, output_tokens=None, cost=None)}
    ),
    "zeros beside counts": lambda c: Usage(
        {
            "usage": {
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "input_tokens": c.prompt,
                "output_tokens": c.output,
            }
        }
    ),
}
