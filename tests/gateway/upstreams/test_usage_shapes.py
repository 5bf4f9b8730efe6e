"""Every shape in which providers send the tokens of a call."""

import json

import pytest

from floorline.gateway.upstreams import Usage
from floorline.gateway.upstreams.sse import SseReader
from floorline.gateway.upstreams.usage_shapes import read_usage

# Of which provider or server the shape is known, what it sends, and what it means.
SHAPES = {
    "OpenAI": (
        {
            "prompt_tokens": 90,
            "completion_tokens": 30,
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 20},
        },
        (90, 30, 64),
    ),
    "OpenAI's Responses": (
        {
            "input_tokens": 90,
            "input_tokens_details": {"cached_tokens": 64},
            "output_tokens": 30,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 120,
        },
        (90, 30, 64),
    ),
    "Responses without a total": (
        {"input_tokens": 90, "input_tokens_details": {"cached_tokens": 64}, "output_tokens": 30},
        (90, 30, 64),
    ),
    "Anthropic": ({"input_tokens": 90, "output_tokens": 30}, (90, 30, 0)),
    "Anthropic with a cache": (
        {
            "input_tokens": 10,
            "cache_creation_input_tokens": 16,
            "cache_read_input_tokens": 64,
            "output_tokens": 30,
        },
        (90, 30, 64),
    ),
    "Anthropic with nulls": (
        {"input_tokens": 90, "cache_read_input_tokens": None, "output_tokens": 30},
        (90, 30, 0),
    ),
    "Anthropic behind LiteLLM": (
        {
            "prompt_tokens": 90,
            "completion_tokens": 30,
            "total_tokens": 120,
            "cache_read_input_tokens": 64,
            "cache_creation_input_tokens": 16,
            "prompt_tokens_details": {"cached_tokens": 64},
        },
        (90, 30, 64),
    ),
    "Anthropic behind a proxy that counts the cache apart": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 30,
            "total_tokens": 120,
            "cache_read_input_tokens": 64,
            "cache_creation_input_tokens": 16,
        },
        (90, 30, 64),
    ),
    "Bedrock": (
        {"inputTokens": 90, "outputTokens": 30, "totalTokens": 120, "cacheReadInputTokens": 64},
        (90, 30, 64),
    ),
    "Bedrock with a cache apart": (
        {"inputTokens": 26, "outputTokens": 30, "totalTokens": 120, "cacheReadInputTokens": 64},
        (90, 30, 64),
    ),
    "DeepSeek": (
        {
            "prompt_tokens": 90,
            "completion_tokens": 30,
            "total_tokens": 120,
            "prompt_cache_hit_tokens": 64,
            "prompt_cache_miss_tokens": 26,
        },
        (90, 30, 64),
    ),
    "Moonshot": (
        {"prompt_tokens": 90, "completion_tokens": 30, "total_tokens": 120, "cached_tokens": 64},
        (90, 30, 64),
    ),
    "xAI, whose reasoning is apart": (
        {
            "prompt_tokens": 90,
            "completion_tokens": 10,
            "total_tokens": 120,
            "completion_tokens_details": {"reasoning_tokens": 20},
        },
        (90, 30, 0),
    ),
    "Gemini": (
        {
            "promptTokenCount": 90,
            "candidatesTokenCount": 10,
            "thoughtsTokenCount": 20,
            "totalTokenCount": 120,
            "cachedContentTokenCount": 64,
        },
        (90, 30, 64),
    ),
    "Gemini that only thought": (
        {"prompt_tokens": 90, "total_tokens": 120, "completion_tokens": 0}
        | {"completion_tokens_details": {"reasoning_tokens": 30}},
        (90, 30, 0),
    ),
    "Cohere": (
        {
            "billed_units": {"input_tokens": 90, "output_tokens": 30},
            "tokens": {"input_tokens": 150, "output_tokens": 32},
        },
        (90, 30, 0),
    ),
    "Groq": (
        {
            "queue_time": 0.07,
            "prompt_tokens": 90,
            "prompt_time": 0.006,
            "completion_tokens": 30,
            "completion_time": 0.02,
            "total_tokens": 120,
            "total_time": 0.03,
        },
        (90, 30, 0),
    ),
    "floats": (
        {"prompt_tokens": 90.0, "completion_tokens": 30.0, "total_tokens": 120.0},
        (90, 30, 0),
    ),
    "texts": (
        {"prompt_tokens": "90", "completion_tokens": " 30 ", "total_tokens": "120.0"},
        (90, 30, 0),
    ),
    "no answer's count": ({"prompt_tokens": 90, "total_tokens": 120}, (90, 30, 0)),
    "no prompt's count": ({"output_tokens": 30, "total_tokens": 120}, (90, 30, 0)),
    "a null and a total": (
        {"prompt_tokens": 90, "completion_tokens": None, "total_tokens": 120},
        (90, 30, 0),
    ),
    "both names, one of them empty": (
        {"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 90, "output_tokens": 30},
        (90, 30, 0),
    ),
    "odd details": (
        {"prompt_tokens": 90, "completion_tokens": 30}
        | {"prompt_tokens_details": [], "completion_tokens_details": "none"},
        (90, 30, 0),
    ),
    "a negative number of cached tokens": (
        {"prompt_tokens": 90, "completion_tokens": 30}
        | {"prompt_tokens_details": {"cached_tokens": -1}},
        (90, 30, 0),
    ),
    "a total of nothing": (
        {"input_tokens": 90, "output_tokens": 30, "total_tokens": 0},
        (90, 30, 0),
    ),
    "a total that explains nothing": (
        {"prompt_tokens": 90, "completion_tokens": 30, "total_tokens": 1_000},
        (90, 30, 0),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_is_read(name):
    sent, counts = SHAPES[name]
    assert read_usage(sent) == Usage(*counts)


REFUSED = [
    {"prompt_tokens": -9, "completion_tokens": 3, "total_tokens": 12},
    {"prompt_tokens": 9, "completion_tokens": float("nan"), "total_tokens": 12},
    {"prompt_tokens": float("inf"), "completion_tokens": 3},
    {"prompt_tokens": 2**53, "completion_tokens": 3},
    {"prompt_tokens": "9" * 30, "completion_tokens": 3},
    {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": -1},
    {"prompt_tokens": "nine", "completion_tokens": 3},
    {"prompt_tokens": 9.5, "completion_tokens": 3},
    {"prompt_tokens": [9], "completion_tokens": 3},
    {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
    {"total_tokens": 120},
    {"prompt_tokens": 9, "total_tokens": 3},
    {"input_tokens": True, "output_tokens": 3},
]


@pytest.mark.parametrize("value", REFUSED, ids=str)
def test_what_is_no_count_is_refused(value):
    assert read_usage(value) is None


CHOICE = {"index": 0, "delta": {}, "finish_reason": "stop"}
PLACES = {
    "of the chunk": {"choices": [], "usage": {"prompt_tokens": 90, "completion_tokens": 30}},
    "of Groq": {
        "choices": [CHOICE],
        "x_groq": {"id": "r", "usage": {"prompt_tokens": 90, "completion_tokens": 30}},
    },
    "of a choice": {
        "choices": [CHOICE | {"usage": {"prompt_tokens": 90, "completion_tokens": 30}}]
    },
    "of two choices": {
        "choices": [
            CHOICE | {"usage": {"prompt_tokens": 90, "completion_tokens": 10}},
            CHOICE | {"index": 1, "usage": {"prompt_tokens": 90, "completion_tokens": 20}},
        ]
    },
    "of llama.cpp": {
        "choices": [CHOICE],
        "timings": {"prompt_n": 90, "predicted_n": 30, "predicted_ms": 2.5},
    },
    "twice": {
        "choices": [CHOICE | {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 30},
    },
}


@pytest.mark.parametrize("place", PLACES)
def test_usage_is_found_wherever_it_is(place):
    reader = SseReader()
    reader.feed(b"data: " + json.dumps(PLACES[place]).encode() + b"\n\n")
    assert reader.found.usage == Usage(90, 30)


STREAMS = {
    "so far, with every chunk": [(90, 1), (90, 12), (90, 30)],
    "apart": [(90, 0), (0, 30)],
    "apart, with nulls": [(90, None), (None, 30)],
    "ending with zeros": [(90, 30), (0, 0)],
    "ending with nulls": [(90, 30), (None, None)],
    "twice": [(90, 30), (90, 30)],
}


@pytest.mark.parametrize("name", STREAMS)
def test_the_counts_of_several_chunks_are_one_usage(name):
    reader = SseReader()
    for prompt, output in STREAMS[name]:
        usage = {"input_tokens": prompt, "output_tokens": output}
        chunk = {"choices": [{"index": 0, "delta": {"content": "Hi"}}], "usage": usage}
        reader.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    assert reader.found.usage == Usage(90, 30)


@pytest.mark.parametrize("count", ["NaN", "-Infinity", "1e999", "-1"])
def test_a_count_that_is_no_number_is_refused_in_a_stream(count):
    reader = SseReader()
    usage = f'{{"prompt_tokens": {count}, "completion_tokens": 3, "total_tokens": 30}}'
    reader.feed(f'data: {{"choices": [], "usage": {usage}}}\n\n'.encode())
    assert reader.found.usage is None
