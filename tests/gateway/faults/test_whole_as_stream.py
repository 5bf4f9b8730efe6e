"""A provider that ignores ``stream: true`` sends a whole completion: the client gets a stream."""

import json

import openai
import pytest
from tests.support import faulty_provider as fp

CALL = {"id": "call-1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TEXT = "".join(fp.TEXT)


def a_completion(message, **fields):
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice]}
    return json.dumps(body | {"usage": fp.USAGE} | fields, indent=2).encode()


@pytest.mark.parametrize(
    "body",
    [
        fp.completion(),
        a_completion({"role": "assistant", "content": TEXT}),
        fp.completion().replace(b'"index": 0', b'"index": 0, "logprob": -Infinity'),
        b"\xef\xbb\xbf \n" + fp.completion(),
    ],
    ids=["plain", "indented", "odd", "byte order mark"],
)
@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_the_client_gets_a_stream_and_the_call_is_paid(shared, body, kind):
    shared.happened()
    shared.plan(fp.whole(body, kind=kind))
    answer = shared.chat(stream=True)
    assert answer.headers["content-type"] == "text/event-stream"
    chunk, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    read = json.loads(chunk.removeprefix("data: "))
    assert read["object"] == "chat.completion.chunk"
    assert read["choices"][0]["delta"]["content"] == TEXT
    (outcome,) = shared.happened()[1]
    assert (outcome.error, outcome.input_tokens, outcome.output_tokens) == (None, 12, 9)


def test_openais_client_reads_texts_and_tool_calls(shared):
    message = {"role": "assistant", "content": None, "tool_calls": [CALL, CALL]}
    shared.plan(fp.whole(a_completion(message)))
    with openai.OpenAI(base_url=f"{shared.url}/v1", api_key="unused", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="floorline/gold", messages=[{"role": "user", "content": "Why?"}], stream=True
        )
        (chunk,) = stream
    calls = chunk.choices[0].delta.tool_calls
    assert [(call.index, call.function.name) for call in calls] == [(0, "f"), (1, "f")]
    assert chunk.usage.completion_tokens == 9


@pytest.mark.parametrize(
    "body", [b"<html>", b'{"choices": []}', b'{"detail": "no"}', b'{"error": {"message": "no"}}']
)
def test_what_is_no_completion_goes_to_another_model(shared, body):
    shared.happened()
    shared.plan(fp.whole(body))
    assert shared.chat(stream=True).text.endswith("data: [DONE]\n\n")
    failed, served = shared.happened()[1]
    assert (bool(failed.error), failed.cost, served.error) == (True, 0.0, None)
