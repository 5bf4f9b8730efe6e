"""Every shape in which providers send the tokens of a call."""

import json
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.usage_shapes import (
    BATCH_FACTOR,
    CALL_PRICE,
    PRICES,
    PRIORITY_FACTOR,
    Counts,
)
from tests.support.usage_shapes import SHAPES as BILLED_SHAPES

from floorline.gateway.upstreams import Usage
from floorline.gateway.upstreams.sse import SseReader
from floorline.gateway.upstreams.usage import bill_of
from floorline.gateway.upstreams.usage_shapes import _COUNTS, _PARTS, read_usage
from floorline.zoo import Model

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
        (90, 30, 64, {"reasoning_tokens": 20}),
    ),
    "OpenAI's Responses": (
        {
            "input_tokens": 90,
            "input_tokens_details": {"cached_tokens": 64},
            "output_tokens": 30,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 120,
        },
        (90, 30, 64, {"reasoning_tokens": 20}),
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
        (90, 30, 64, {"cache_write_tokens": 16}),
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
        (90, 30, 64, {"cache_write_tokens": 16}),
    ),
    "Anthropic behind a proxy that counts the cache apart": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 30,
            "total_tokens": 120,
            "cache_read_input_tokens": 64,
            "cache_creation_input_tokens": 16,
        },
        (90, 30, 64, {"cache_write_tokens": 16}),
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
        (90, 30, 0, {"reasoning_tokens": 20}),
    ),
    "Gemini": (
        {
            "promptTokenCount": 90,
            "candidatesTokenCount": 10,
            "thoughtsTokenCount": 20,
            "totalTokenCount": 120,
            "cachedContentTokenCount": 64,
        },
        (90, 30, 64, {"reasoning_tokens": 20}),
    ),
    "Gemini that only thought": (
        {"prompt_tokens": 90, "total_tokens": 120, "completion_tokens": 0}
        | {"completion_tokens_details": {"reasoning_tokens": 30}},
        (90, 30, 0, {"reasoning_tokens": 30}),
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
    "a total with reasoning that is not told apart": (
        {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623},
        (20, 603, 0, {"reasoning_tokens": 405}),
    ),
    "Gemini's own tools": (
        {
            "promptTokenCount": 70,
            "toolUsePromptTokenCount": 20,
            "candidatesTokenCount": 10,
            "thoughtsTokenCount": 20,
            "totalTokenCount": 120,
        },
        (90, 30, 0, {"reasoning_tokens": 20}),
    ),
    "a cache for an hour, without the sum": (
        {
            "input_tokens": 10,
            "cache_read_input_tokens": 64,
            "cache_creation": {
                "ephemeral_5m_input_tokens": 10,
                "ephemeral_1h_input_tokens": 6,
            },
            "output_tokens": 30,
        },
        (90, 30, 64, {"cache_write_tokens": 16, "cache_write_1h_tokens": 6}),
    ),
    "parts that are larger than the whole": (
        {
            "prompt_tokens": 90,
            "completion_tokens": 30,
            "total_tokens": 120,
            "prompt_tokens_details": {
                "cached_tokens": 80,
                "cache_write_tokens": 80,
                "audio_tokens": 80,
            },
            "completion_tokens_details": {"reasoning_tokens": 99, "audio_tokens": 99},
        },
        (90, 30, 80, {"cache_write_tokens": 10, "reasoning_tokens": 30}),
    ),
    "the counts of a cache that is larger than the prompt": (
        {"prompt_tokens": 10, "completion_tokens": 30, "cache_read_input_tokens": 80},
        (90, 30, 80),
    ),
    "OpenRouter": (
        {
            "prompt_tokens": 90,
            "completion_tokens": 30,
            "total_tokens": 120,
            "cost": 0.02,
            "is_byok": False,
            "cost_details": {"upstream_inference_cost": 0.02},
        },
        (90, 30, 0, {"bill": 0.02}),
    ),
    "OpenRouter with an own key": (
        {
            "prompt_tokens": 90,
            "completion_tokens": 30,
            "total_tokens": 120,
            "cost": 0.5,
            "is_byok": True,
            "cost_details": {"upstream_inference_cost": 10.0},
        },
        (90, 30, 0, {"bill": 10.5}),
    ),
    "a bill in ticks": (
        {"prompt_tokens": 90, "completion_tokens": 30, "cost_in_usd_ticks": 5_000_000_000},
        (90, 30, 0, {"bill": 0.5}),
    ),
    "bills that are none": (
        {"prompt_tokens": 90, "completion_tokens": 30, "cost": "a lot", "estimated_cost": -1},
        (90, 30, 0),
    ),
    "a batch": (
        {"input_tokens": 90, "output_tokens": 30, "service_tier": "batch"},
        (90, 30, 0, {"tier": "batch"}),
    ),
    "the usual tier": (
        {"input_tokens": 90, "output_tokens": 30, "service_tier": "standard"},
        (90, 30, 0),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_is_read(name):
    sent, (prompt, output, cached, *parts) = SHAPES[name]
    assert read_usage(sent) == Usage(prompt, output, cached, **(parts[0] if parts else {}))


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


def feed(*chunks):
    reader = SseReader()
    for chunk in chunks:
        reader.feed(b"data: " + json.dumps({"choices": [], **chunk}).encode() + b"\n\n")
    return reader.found.usage


def test_what_a_stream_says_of_the_cache_at_its_start_is_kept():
    counts = {"input_tokens": 10, "cache_creation_input_tokens": 80}
    parts = {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 50}
    start = {**counts, "output_tokens": 1, "cache_creation": parts, "service_tier": "batch"}
    found = feed({"usage": start}, {"usage": {**counts, "output_tokens": 30}})
    assert found == Usage(90, 30, cache_write_tokens=80, cache_write_1h_tokens=50, tier="batch")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_service_tier_counts_wherever_a_stream_names_it(place):
    chunks = [{}, {"usage": {"prompt_tokens": 90, "completion_tokens": 30}}, {}]
    chunks[place] |= {"service_tier": "flex"}
    assert feed(*chunks) == Usage(90, 30, tier="batch")


COUNT = st.integers(-2, 200) | st.none() | st.floats(allow_nan=True) | st.text(max_size=3)
FIELDS = st.sampled_from(
    sorted({path[0] for paths in _COUNTS + _PARTS for path in paths} | {"cost", "service_tier"})
)
VALUES = COUNT | st.dictionaries(
    st.sampled_from(sorted({path[-1] for paths in _COUNTS + _PARTS for path in paths})),
    COUNT,
    max_size=4,
)


@given(st.dictionaries(FIELDS, VALUES, max_size=8))
def test_parts_are_never_more_than_the_whole(value):
    usage = read_usage(value)
    if usage is None:
        return
    assert usage.cached_tokens + usage.cache_write_tokens + usage.audio_input_tokens <= (
        usage.prompt_tokens
    )
    assert usage.cache_write_1h_tokens <= usage.cache_write_tokens
    assert usage.reasoning_tokens + usage.audio_output_tokens <= usage.completion_tokens
    assert min(number for number in msgspec.structs.astuple(usage)[:4]) >= 0


MODEL = Model(
    "m",
    **PRICES,
    call_price=float(CALL_PRICE),
    batch_factor=float(BATCH_FACTOR),
    priority_factor=float(PRIORITY_FACTOR),
)


@pytest.mark.parametrize("name", BILLED_SHAPES)
@settings(max_examples=20)
@given(st.data())
def test_the_cost_of_every_shape_is_its_bill(name, data):
    shape = BILLED_SHAPES[name]
    part = st.integers(0, 50)
    cached, written, heard, reasoning, spoken = (data.draw(part) for _ in range(5))
    counts = Counts(
        cached + written + heard + data.draw(st.integers(1, 500)),
        reasoning + spoken + data.draw(st.integers(1, 500)),
        cached,
        written,
        data.draw(st.integers(0, written)),
        reasoning,
        heard,
        spoken,
    )
    reader = SseReader()
    fields, of_choice = shape.write(counts)
    chunk = {"choices": [CHOICE | of_choice], **fields}
    reader.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    booked = bill_of(MODEL, reader.found.usage, "USD")
    assert abs(Fraction(booked.cost) - shape.bill(counts)) < Fraction(1, 10**9)
    assert booked.is_providers == (shape.own_bill is not None)
