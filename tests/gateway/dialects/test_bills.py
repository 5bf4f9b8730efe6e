"""What providers of every dialect bill is what their answers cost, whole and streamed."""

import json
from fractions import Fraction

import pytest
from tests.support.usage_shapes import (
    BATCH_FACTOR,
    CALL_PRICE,
    PRICES,
    PRIORITY_FACTOR,
    Counts,
)

from floorline.gateway.dialects.answer_parts import Used
from floorline.gateway.dialects.registry import dialect_named
from floorline.gateway.upstreams.usage import cost_of
from floorline.zoo import Model

MODEL = Model(
    "m",
    **PRICES,
    call_price=float(CALL_PRICE),
    batch_factor=float(BATCH_FACTOR),
    priority_factor=float(PRIORITY_FACTOR),
)
COUNTS = Counts(prompt=900, output=400, cached=500, written=300, written_1h=100, reasoning=250)
CACHED = {"cached_tokens": COUNTS.cached, "cache_write_tokens": COUNTS.written}
REASONING = {"reasoning_tokens": COUNTS.reasoning}

ANTHROPIC = {
    "input_tokens": 100,
    "cache_read_input_tokens": 500,
    "cache_creation_input_tokens": 300,
    "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
    "service_tier": "batch",
}
CHAT = {
    "usage": {
        "prompt_tokens": 900,
        "completion_tokens": 400,
        "total_tokens": 1300,
        "prompt_tokens_details": CACHED,
        "completion_tokens_details": REASONING,
    },
    "service_tier": "flex",
}
RESPONSE = {
    "id": "resp_1",
    "status": "completed",
    "output": [],
    "usage": {
        "input_tokens": 900,
        "input_tokens_details": CACHED,
        "output_tokens": 400,
        "output_tokens_details": REASONING,
        "total_tokens": 1300,
    },
    "service_tier": "priority",
}
MESSAGE = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": []}
WHOLE = {
    "openai": {
        "id": "c1",
        "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}],
        **CHAT,
    },
    "anthropic": {
        **MESSAGE,
        "stop_reason": "end_turn",
        "usage": {**ANTHROPIC, "output_tokens": 400},
    },
    "responses": RESPONSE,
}
# At the end Anthropic repeats the counts, without their parts.
LATER = {name: count for name, count in ANTHROPIC.items() if type(count) is int}
STREAMS = {
    "openai": [("", {"id": "c1", "choices": [], **CHAT})],
    "anthropic": [
        (
            "message_start",
            {
                "type": "message_start",
                "message": {**MESSAGE, "usage": {**ANTHROPIC, "output_tokens": 1}},
            },
        ),
        (
            "message_delta",
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {**LATER, "output_tokens": 400},
            },
        ),
    ],
    "responses": [("response.completed", {"type": "response.completed", "response": RESPONSE})],
}
TOLD = {
    "openai": ("cached", "written", "reasoning"),
    "anthropic": ("cached", "written", "written_1h"),
    "responses": ("cached", "written", "reasoning"),
}
TIERS = {"openai": "batch", "anthropic": "batch", "responses": "priority"}


def parts_of(name, streamed):
    dialect = dialect_named(name)
    if not streamed:
        return dialect.read_answer(json.dumps(WHOLE[name]).encode())
    reader = dialect.stream_reader()
    events = STREAMS[name]
    return [
        part for event, data in events for part in reader.read(event, json.dumps(data).encode())
    ]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", WHOLE)
def test_the_cost_of_an_answer_is_its_bill(name, streamed):
    used = [part.usage for part in parts_of(name, streamed) if isinstance(part, Used)]
    bill = COUNTS.known(TOLD[name]).bill(TIERS[name])
    assert abs(Fraction(cost_of(MODEL, used[-1])) - bill) < Fraction(1, 10**9)
