"""Requests that no specification allows reach the provider byte for byte."""

import json
import re
import time

import msgspec
import openai
import pytest
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from tests.support.live_gateway import InThread, Live, http_server, write_settings

from floorline.events import Decision
from floorline.gateway.chat_request import read_chat
from floorline.gateway.lenient_json import read_fields

MESSAGES = '[{"role":"user","content":"Why?"}]'
MODELS = ["small", "floorline/gold", "floorline/auto"]
COMPLETION = {
    "id": "c-1",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Because."}}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 3},
}
EVENTS = [
    {"id": "c-1", "choices": [{"index": 0, "delta": {"content": "Because."}}]},
    {"id": "c-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
]


class Provider:
    """Takes anything, and keeps the bodies."""

    def __init__(self):
        self.bodies = []

    def app(self):
        return Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])

    async def _complete(self, request):
        body = await request.body()
        self.bodies.append(body)
        # As a lenient parser reads it.
        if re.search(rb'"stream": ?(1|true|"true"|"1"|1.0)[,}]', body):
            events = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in EVENTS]
            sent = iter([*events, b"data: [DONE]\n\n"])
            return StreamingResponse(sent, media_type="text/event-stream")
        return Response(json.dumps(COMPLETION), media_type="application/json")


@pytest.fixture(scope="module")
def provider():
    provider = Provider()
    served = InThread(http_server(provider.app()))
    provider.url = served.value
    yield provider
    served.stop()


@pytest.fixture(scope="module")
def live(provider, tmp_path_factory):
    models = [
        {"name": name, "endpoint": f"{provider.url}/v1", "retries": 0, "output_price": price}
        for name, price in (("small", 1.0), ("large", 9.0))
    ]
    store = {"url": "sqlite:///log.db", "store_prompts": True}
    text = write_settings(provider.url, models=models, store=store)
    live = Live(text, tmp_path_factory.mktemp("odd"))
    live.http.headers["content-type"] = "application/json"
    yield live
    live.stop()


def send(live, model, fields):
    """Send a body made of raw fields, and return the answer."""
    parts = [b'"model":' + json.dumps(model).encode()]
    parts += [b'"' + name.encode() + b'":' + raw for name, raw in fields.items()]
    body = b"{" + b",".join(parts) + b"}"
    return live.http.post("/v1/chat/completions", content=body)


def message(**fields):
    return json.dumps([{"role": "user", **fields}])


ODD = {
    "unknown role": {"messages": message(role="king", content="Why?")},
    "role of another type": {"messages": message(role=["user"], content="Why?")},
    "no role": {"messages": '[{"content":"Why?"}]'},
    "content {}": {"messages": message(role="tool", content={})},
    "content of texts": {"messages": message(content=["hi", "there"])},
    "content 7": {"messages": message(content=7)},
    "no content": {"messages": '[{"role":"user"}]'},
    "part without type": {"messages": message(content=[{"text": "Why?"}])},
    "part of another type": {"messages": message(content=[{"type": 7}, None, 1.5])},
    "part of an unknown type": {"messages": message(content=[{"type": "hologram", "x": [1]}])},
    "text null": {"messages": message(content=[{"type": "text", "text": None}])},
    "messages of texts": {"messages": '["Why?"]'},
    "messages mixed": {"messages": '[null, 7, ["a"], {"role":"user","content":"Why?"}]'},
    "no messages": {"messages": "[]"},
    "messages null": {"messages": "null"},
    "messages a text": {"messages": '"Why?"'},
    "messages an object": {"messages": '{"role":"user","content":"Why?"}'},
    "messages missing": {},
    "max_tokens 100.0": {"max_tokens": "100.0"},
    "max_tokens 100.5": {"max_tokens": "100.5"},
    "max_tokens a text": {"max_tokens": '"100"'},
    "max_tokens a list": {"max_tokens": "[100]"},
    "max_tokens NaN": {"max_tokens": "NaN"},
    "max_tokens true": {"max_tokens": "true"},
    "n a text": {"n": '"2"'},
    "n 2.0": {"n": "2.0"},
    "n an object": {"n": "{}"},
    "tools {}": {"tools": "{}"},
    "tools a text": {"tools": '"none"'},
    "response_format a text": {"response_format": '"json"'},
    "response_format of no type": {"response_format": '{"type":7}'},
    "functions 7": {"functions": "7"},
    "stream_options a text": {"stream_options": '"all"'},
    "NaN": {"temperature": "NaN"},
    "infinities": {"logit_bias": '{"1":-Infinity,"2":Infinity}'},
    "1e400": {"seed": "1e400"},
    "400 digits": {"seed": "9" * 400},
    "deep": {"metadata": "[" * 3_000 + "]" * 3_000},
    "lone surrogate": {"messages": '[{"role":"user","content":"a\\ud800b"}]'},
    "lone surrogate in a name": {"a\\udfff": "1"},
    "lone surrogate elsewhere": {"user": '"\\ud83e"'},
    "no UTF-8": {"messages": b'[{"role":"user","content":"a\xffb"}]'},
    "no UTF-8 elsewhere": {"user": b'"\xc3\x28"'},
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fields", ODD.values(), ids=ODD)
def test_the_provider_gets_what_the_client_sent(fields, model, live, provider):
    raw = {n: v if isinstance(v, bytes) else v.encode() for n, v in fields.items()}
    if not raw.get("messages") and fields:
        raw["messages"] = MESSAGES.encode()
    answer = send(live, model, raw)
    assert answer.status_code == 200, answer.text
    assert answer.json() == COMPLETION
    got = {name: bytes(value) for name, value in read_fields(provider.bodies[-1]).items()}
    assert got.pop("model") in (b'"small"', b'"large"')
    assert got == {json.loads(f'"{name}"'): value for name, value in raw.items()}
    store = live.gateway.store
    live.call(store.flush)
    assert store.prompt(answer.headers["x-floorline-decision"]) == raw.get("messages", b"")


@pytest.mark.parametrize("value", ["1", "1.0", '"true"', "true", '"1"'])
def test_what_providers_take_for_a_stream_is_one(value, live, provider):
    raw = {"stream": value.encode(), "messages": MESSAGES.encode()}
    answer = send(live, "floorline/gold", raw)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    sent = read_fields(provider.bodies[-1])
    assert bytes(sent["stream"]) == value.encode()


@pytest.mark.parametrize("value", ["0", "false", "null", '"no"', "[]", '""', "2"])
def test_other_values_ask_for_no_stream(value, live):
    raw = {"stream": value.encode(), "messages": MESSAGES.encode()}
    assert send(live, "floorline/gold", raw).json() == COMPLETION


def test_a_body_with_a_byte_order_mark_is_read(live):
    body = b'\xef\xbb\xbf{"model":"small","messages":' + MESSAGES.encode() + b"}"
    assert live.http.post("/v1/chat/completions", content=body).status_code == 200


def test_openais_client_sends_odd_messages(live, provider):
    client = openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0)
    odd = [{"role": "robot", "content": ["Why?"]}, {"role": "tool", "content": {}}]
    extra = {"max_tokens": 100.0, "tools": {}}
    answer = client.chat.completions.create(model="floorline/gold", messages=odd, extra_body=extra)
    assert answer.choices[0].message.content == "Because."
    sent = json.loads(provider.bodies[-1])
    assert (sent["messages"], sent["max_tokens"], sent["tools"]) == (odd, 100.0, {})


def test_an_odd_stream_is_asked_for_its_usage(live, provider):
    answer = send(
        live,
        "floorline/gold",
        {"stream": b"true", "top_p": b"NaN", "messages": MESSAGES.encode()},
    )
    assert answer.text.endswith("data: [DONE]\n\n")
    sent = {name: bytes(raw) for name, raw in read_fields(provider.bodies[-1]).items()}
    assert (sent["top_p"], sent["stream_options"]) == (b"NaN", b'{"include_usage":true}')


def test_routing_takes_the_text_that_it_can_find(live):
    answer = send(live, "floorline/gold", {"messages": message(content=["x" * 400]).encode()})
    live.call(live.gateway.store.flush)
    log = [event for event in live.gateway.store.read() if isinstance(event, Decision)]
    assert log[-1].id == answer.headers["x-floorline-decision"]
    assert log[-1].input_tokens == 100


def test_v1_route_takes_odd_messages_too(live):
    body = b'{"model":"floorline/gold","x":NaN,"messages":[{"role":"king","content":{}},"a"]}'
    assert live.http.post("/v1/route", content=body).json()["model"] in ("small", "large")


OURS = {
    "a list": (b"[]", "invalid_body", None),
    "a text": (b'"floorline/gold"', "invalid_body", None),
    "nothing": (b"", "invalid_body", None),
    "no JSON": (b"model=small", "invalid_body", None),
    "cut off": (b'{"model":"small","messages":[', "invalid_body", None),
    "cut off, and a NaN": (b'{"model":"small","a":NaN,"messages":[', "invalid_body", None),
    "two bodies": (b'{"model":"small"}{"model":"small"}', "invalid_body", None),
    "deep messages": (
        b'{"model":"small","messages":' + b"[" * 9_000 + b"]" * 9_000 + b"}",
        "invalid_body",
        None,
    ),
    "no model": (b'{"messages":[]}', "invalid_value", "model"),
    "model null": (b'{"model":null,"messages":[]}', "invalid_value", "model"),
    "blank model": (b'{"model":" \\t ","messages":[]}', "invalid_value", "model"),
    "model a list": (b'{"model":["small"],"messages":[]}', "invalid_value", "model"),
    "model of surrogates": (b'{"model":"\\ud800","messages":[]}', "model_not_found", "model"),
    "options a list": (b'{"model":"small","floorline":[]}', "invalid_value", "floorline"),
    "options unknown": (b'{"model":"small","floorline":{"a":1}}', "invalid_value", "floorline"),
    "options NaN": (b'{"model":"small","floorline":{"floor":NaN}}', "invalid_value", "floorline"),
    "options no UTF-8": (
        b'{"model":"small","floorline":{"session":"\xff"}}',
        "invalid_value",
        "floorline",
    ),
    "model in capitals": (b'{"model":"small","MODEL":"large"}', "invalid_value", "model"),
    "model with an escape": (b'{"model":"small","m\\u004fdel":"large"}', "invalid_value", "model"),
    "a long s in stream": (
        '{"model":"small","\u017ftream":true}'.encode(),
        "invalid_value",
        "stream",
    ),
    "max_tokens in capitals": (
        b'{"model":"small","max_tokens":9,"Max_Tokens":9999}',
        "invalid_value",
        "max_tokens",
    ),
    "n in capitals, and a NaN": (b'{"model":"small","N":9,"seed":NaN}', "invalid_value", "n"),
    "max_tokens 1e400": (b'{"model":"small","max_tokens":1e400}', "invalid_value", "max_tokens"),
    "n of 400 digits": (b'{"model":"small","n":' + b"9" * 400 + b"}", "invalid_value", "n"),
    "max_tokens a text": (
        b'{"model":"small","max_tokens":"1e300"}',
        "invalid_value",
        "max_tokens",
    ),
    "messages": (
        b'{"model":"small","messages":[' + b",".join([b"1"] * 10_001) + b"]}",
        "invalid_value",
        "messages",
    ),
    "parts of Gemini": (
        b'{"model":"small","messages":[{"parts":[' + b",".join([b"1"] * 10_001) + b"]}]}",
        "invalid_value",
        "parts",
    ),
    "parts": (
        b'{"model":"small","messages":[{"content":[' + b",".join([b"1"] * 10_001) + b"]}]}",
        "invalid_value",
        "content",
    ),
}


@pytest.mark.parametrize(("body", "code", "param"), OURS.values(), ids=OURS)
def test_what_only_the_gateway_can_refuse_it_does(body, code, param, live, provider):
    before = len(provider.bodies)
    answer = live.http.post("/v1/chat/completions", content=body)
    error = answer.json()["error"]
    assert answer.status_code in (400, 404)
    assert (error["code"], error["param"]) == (code, param)
    assert not re.search("codec|Traceback|Expecting|object at 0x", error["message"]), error
    assert len(provider.bodies) == before


@pytest.mark.parametrize(
    ("fields", "limits"),
    [
        ({"max_tokens": 100.0}, (100, 1, True)),
        ({"max_tokens": 99.2}, (100, 1, True)),
        ({"max_tokens": "100"}, (100, 1, False)),
        ({"max_tokens": " 1e3 "}, (1000, 1, False)),
        ({"max_tokens": 50, "max_completion_tokens": "70"}, (70, 1, False)),
        ({"max_output_tokens": 80, "max_tokens": 7}, (80, 1, True)),
        ({"max_tokens": True}, (None, 1, False)),
        ({"max_tokens": {}}, (None, 1, False)),
        ({"max_tokens": -5.0}, (None, 1, True)),
        ({"n": "3", "max_tokens": 1}, (1, 3, True)),
        ({"n": 2.5}, (None, 3, True)),
        ({"n": []}, (None, 1, True)),
    ],
)
def test_a_number_in_any_form_bounds_the_answer(fields, limits):
    body = {"model": "m", "messages": [], **fields}
    found = read_chat(json.dumps(body).encode(), {}).limits
    assert (found.output_tokens, found.answers, found.is_certain) == limits


def test_a_body_of_20_mb_is_read_within_seconds():
    """Also one that is no strict JSON, which takes the slower parser."""
    text = "word " * 4_000_000
    body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": text}]})
    began = time.process_time()
    assert read_chat(body, {}).input_tokens == 5_000_000
    assert read_chat(body.replace(b"word", b"\xff\xc3rd", 1), {}).input_tokens >= 4_999_999
    assert time.process_time() - began < 5.0
