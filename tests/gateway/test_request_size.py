"""One count of a request feeds eligibility, cost, reservation and the check of usage."""

import json
import time

import pytest
from tests.support.gateway_parts import Parts, whole_answer

from floorline.errors import NoModelCanServe
from floorline.events import Outcome
from floorline.gateway.auth import Caller
from floorline.gateway.chat_request import read_chat
from floorline.gateway.request_size import measure_request

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": f"tool_{n}",
            "description": "What it does, at length. " * 100,
            "parameters": {"type": "object", "properties": {"p": {"type": "string"}}},
        },
    }
    for n in range(24)
]
LONG = "word " * 12_000
"""60,000 characters."""
SCHEMA = {"type": "object", "properties": {f"p{n}": {"description": "x" * 600} for n in range(100)}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": LONG}}
USER = {"role": "user", "content": "Why?"}
LARGE = {
    "tools": {"tools": TOOLS},
    "functions": {"functions": [tool["function"] for tool in TOOLS]},
    "a schema": {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
    "text.format": {"text": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "tools of Bedrock": {"toolConfig": {"tools": TOOLS}},
    "documents": {"documents": [LONG]},
    "guided_json": {"guided_json": SCHEMA},
    "system": {"system": [{"type": "text", "text": LONG}]},
    "instructions": {"instructions": LONG},
    "tool call": {"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}]},
    "tool result": {"messages": [USER, {"role": "tool", "tool_call_id": "c", "content": LONG}]},
    "reasoning": {"messages": [{"role": "assistant", "reasoning_content": LONG}, USER]},
    "nested result": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "content": [{"type": "text", "text": LONG}]},
                ],
            }
        ]
    },
    "content of texts": {"messages": [{"role": "user", "content": [LONG]}]},
    "messages of texts": {"messages": [LONG]},
}


def request_of(model="floorline/gold", **fields):
    """A request as the endpoint reads it, with one message unless ``fields`` has others."""
    return read_chat(json.dumps({"model": model, "messages": [USER], **fields}).encode(), {})


@pytest.fixture
def build(tmp_path):
    """Build parts whose models have windows of 8,192 and of 200,000 tokens."""
    built = []
    every = ["tools", "json", "vision", "audio", "video", "files"]

    def build(**settings):
        models = [
            {
                "name": name,
                "endpoint": "http://127.0.0.1:1/v1",
                "input_price": price,
                "output_price": price,
                "context_window": window,
                "capabilities": every,
            }
            for name, price, window in (("small", 1.0, 8_192), ("large", 9.0, 200_000))
        ]
        built.append(Parts(tmp_path, **{"models": models, **settings}))
        return built[-1]

    yield build
    for parts in built:
        parts.store.close()


@pytest.mark.parametrize("fields", LARGE.values(), ids=LARGE)
def test_what_is_long_goes_to_a_model_that_holds_it(fields, build):
    chat = request_of(**fields)
    assert 15_000 <= chat.input_tokens < 18_500
    # A token is at least one byte.
    assert chat.limits.input_tokens > 60_000
    parts = build()
    for sla in ("floorline/gold", "floorline/silver"):
        decision = parts.chat.decide(request_of(sla, **fields), Caller())
        assert decision.model == "large"
    assert decision.input_tokens == chat.input_tokens
    assert decision.expected_cost > 15_000 * 9.0 / 1e6
    with pytest.raises(NoModelCanServe, match="small: its context window holds 8,192 tokens, and"):
        parts.chat.decide(request_of(floorline={"exclude": ["large"]}, **fields), Caller())


@pytest.mark.parametrize("fields", LARGE.values(), ids=LARGE)
def test_the_same_count_is_reserved_and_estimated(fields, build):
    budget = {"total": 1000.0, "period": "1d"}
    parts = build(slas=[{"name": "gold", "floor": 0.9, "budget": budget}])
    chat = request_of(max_tokens=100, **fields)
    decision = parts.chat.decide(chat, Caller())
    reserved = parts.router.status("gold").reserved
    assert reserved == pytest.approx((chat.limits.input_tokens + 100) * 9.0 / 1e6)
    parts.answered(decision, whole_answer(text="word"), chat=chat)
    (outcome,) = parts.events(Outcome)
    assert (outcome.input_tokens, outcome.estimated) == (chat.input_tokens, True)
    assert parts.router.status("gold").reserved == 0.0


@pytest.mark.parametrize("fields", LARGE.values(), ids=LARGE)
def test_a_count_of_a_provider_that_ignores_all_but_the_texts_is_believed(fields, build):
    parts = build()
    chat = request_of(**fields)
    least = 1 + chat.certain_tokens // 3
    for count in (least, chat.input_tokens, 2 * chat.input_tokens, chat.limits.input_tokens):
        answer = whole_answer(tokens=2, prompt_tokens=count)
        parts.answered(parts.chat.decide(chat, Caller()), answer, chat=chat)
    outcomes = parts.events(Outcome)
    assert not any(outcome.estimated for outcome in outcomes)
    assert len(outcomes) == 4


def test_a_count_that_no_tools_explain_is_not_believed(build):
    parts = build()
    chat = request_of(tools=TOOLS)
    answer = whole_answer(tokens=2, prompt_tokens=chat.limits.input_tokens + 2_000)
    parts.answered(parts.chat.decide(chat, Caller()), answer, chat=chat)
    (outcome,) = parts.events(Outcome)
    assert (outcome.input_tokens, outcome.estimated) == (chat.input_tokens, True)


NEEDS = [
    ({"tools": TOOLS[:1]}, {"tools"}),
    ({"tools": TOOLS[:1], "tool_choice": "none"}, {"tools"}),
    ({"functions": [{"name": "f"}]}, {"tools"}),
    ({"toolConfig": {"tools": []}}, {"tools"}),
    ({"tools": []}, set()),
    ({"tools": {}}, set()),
    ({"tools": None, "functions": None}, set()),
    ({"tools": "f"}, set()),
    ({"tool_choice": "auto"}, set()),
    ({"response_format": {"type": "json_object"}}, {"json"}),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"json"}),
    ({"response_format": {"type": "text"}}, set()),
    ({"response_format": {}}, set()),
    ({"response_format": "json"}, set()),
    ({"response_format": {"type": 7}}, set()),
    ({"text": {"format": {"type": "json_schema"}}}, {"json"}),
    ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, set()),
    ({"reasoning_effort": "high"}, set()),
    ({"modalities": ["text", "audio"], "audio": {"voice": "alloy"}}, {"audio"}),
    ({"modalities": ["text"]}, set()),
    ({"system": [{"type": "image", "source": {"type": "url", "url": "https://a"}}]}, {"vision"}),
]


@pytest.mark.parametrize(("fields", "needs"), NEEDS)
def test_a_request_needs_what_it_asks_for(fields, needs):
    assert request_of(**fields).needs == needs


def test_a_spaced_empty_list_of_tools_needs_nothing():
    body = b'{"model":"m","messages":[],"tools": [ \n ],"functions":{ }}'
    assert read_chat(body, {}).needs == set()


HISTORY = [
    USER,
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "42"},
    USER,
]


def test_earlier_tool_calls_prefer_a_model_with_tools_but_do_not_need_one(build):
    def models(*capable):
        return [
            {
                "name": name,
                "endpoint": "http://127.0.0.1:1/v1",
                "output_price": price,
                "capabilities": ["tools"] if name in capable else [],
            }
            for name, price in (("small", 1.0), ("large", 9.0))
        ]

    chat = request_of(messages=HISTORY)
    assert (chat.needs, chat.prefers) == (set(), {"tools"})
    parts = build(models=models("large"))
    assert parts.chat.decide(chat, Caller()).model == "large"
    # Where no model with tools can serve, one without may still be able to.
    assert parts.chat.decide(chat, Caller(), exclude=["large"]).model == "small"
    parts.upstreams.blocked_models = ["large"]
    assert parts.chat.decide(chat, Caller()).model == "small"


def test_a_preferred_model_that_no_budget_can_pay_is_not_waited_for(build):
    budget = {"total": 1e-4, "period": "1d"}
    parts = build(
        models=[
            {"name": "small", "endpoint": "http://127.0.0.1:1/v1", "price": "free"},
            {
                "name": "large",
                "endpoint": "http://127.0.0.1:1/v1",
                "output_price": 9.0,
                "capabilities": ["tools"],
            },
        ],
        slas=[{"name": "gold", "floor": 0.9, "budget": budget}],
    )
    assert parts.chat.decide(request_of(messages=HISTORY), Caller()).model == "small"


def test_models_without_tools_serve_earlier_calls_where_none_has_them(build):
    models = [{"name": n, "endpoint": "http://127.0.0.1:1/v1"} for n in ("small", "large")]
    assert build(models=models).chat.decide(request_of(messages=HISTORY), Caller()).model


def test_a_body_of_20_mb_is_measured_within_seconds():
    parts = [{"type": "tool_use", "input": {f"k{n}": ["x" * 150]}} for n in range(9_900)]
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10**7}}
    body = {"model": "m", "messages": [{"role": "user", "content": [*parts, image]}]}
    data = json.dumps({**body, "tools": TOOLS * 140}).encode()
    assert len(data) > 19_000_000
    began = time.process_time()
    chat = read_chat(data, {})
    assert time.process_time() - began < 2.0
    assert (chat.media, chat.needs) == (1, {"tools", "vision"})
    assert chat.input_tokens < 3_000_000


def test_images_are_counted_apart_from_other_media():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    audio = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    found = measure_request({}, [{"role": "user", "content": [image, audio, image]}], size=300)
    assert (found.images, found.media, "audio" in found.needs) == (2, 3, True)
