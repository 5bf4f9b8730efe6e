"""OpenAI's SDK calls ``/v1/responses`` before providers of three dialects, several turns long."""

import contextlib
import json

import openai
import pydantic
import pytest
from tests.support.dialect_answers import OUTPUT, PROMPT, THINKING, WORDS, joined
from tests.support.dialect_provider import (
    KINDS,
    answering,
    models,
    speaking,
)
from tests.support.live_gateway import Live, write_settings

TEXT = joined(WORDS)
CALL = ("tool", "weather", '{"city"', ': "Oslo"}')
TRANSLATED = ("openai", "anthropic")
"""Kinds of providers that speak another dialect."""


class City(pydantic.BaseModel):
    city: str


SCENES = {
    "loop": answering([THINKING, WORDS, CALL], "tool", [WORDS]),
    "object": answering([("text", '{"city": ', '"Oslo"}')], "stop"),
    "custom": answering([("tool", "exec", '{"input": ', '"print(1)"}')], "tool", [WORDS]),
    "shell": answering([("tool", "shell", '{"commands": ["ls"]}')], "tool", [WORDS]),
    "namespace": answering([("tool", "crm__find", '{"id":7}')], "tool", [WORDS]),
}


@pytest.fixture(scope="module")
def speaker():
    with speaking(SCENES) as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(speaker, tmp_path_factory):
    base = speaker.base_url.removesuffix("/v1")
    zoo = models(base, scenes=[*SCENES, "words", "wrong", "limited", "fails", "breaks"])
    text = write_settings(base, models=zoo, slas=[{"name": "gold", "floor": 0.1}])
    started = Live(text, tmp_path_factory.mktemp("responses"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def client(gateway):
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def sent(speaker):
    """The last request that the provider got."""
    return speaker.requests[-1]["body"]


WEATHER = openai.pydantic_function_tool(City, name="weather")["function"] | {"type": "function"}
QUESTION = {"role": "user", "content": "What is the weather like in Oslo?"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_tool_loop_with_streams(client, speaker, kind):
    about = {"model": f"{kind}-loop", "tools": [WEATHER], "store": False}
    with client.responses.stream(**about, input=[QUESTION]) as stream:
        events = list(stream)
        first = stream.get_final_response()
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert "".join(deltas) == TEXT
    assert len(deltas) > 1
    assert [item.type for item in first.output] == ["reasoning", "message", "function_call"]
    call = first.output[-1]
    assert call.parsed_arguments == {"city": "Oslo"}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."}
    written = [item.model_dump(exclude={"parsed_arguments"}) for item in first.output]
    with client.responses.stream(**about, input=[QUESTION, *written, result]) as stream:
        final = stream.get_final_response()
    assert final.output_text == TEXT
    assert (final.usage.input_tokens, final.usage.output_tokens) == (PROMPT, OUTPUT)
    assert "It rains." in json.dumps(sent(speaker))


def test_reasoning_comes_back_to_the_provider_that_signed_it(client, speaker):
    about = {"model": "anthropic-loop", "tools": [WEATHER], "reasoning": {"effort": "low"}}
    first = client.responses.create(**about, input=[QUESTION])
    call = first.output[-1]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."}
    client.responses.create(**about, input=[QUESTION, *first.output, result])
    thinking = sent(speaker)["messages"][1]["content"][0]
    assert thinking == {"type": "thinking", "thinking": joined(THINKING), "signature": "sig"}
    assert sent(speaker)["thinking"]["type"] == "enabled"
    # Another provider of the client's own dialect must not get it.
    about["model"] = "responses-loop"
    client.responses.create(**about, input=[QUESTION, *first.output, result])
    assert "reasoning" not in [item.get("type") for item in sent(speaker)["input"]]


@pytest.mark.parametrize("kind", KINDS)
def test_structured_output(client, kind):
    answer = client.responses.parse(
        model=f"{kind}-object", input="Which city?", text_format=City, store=False
    )
    assert answer.output_parsed == City(city="Oslo")
    with client.responses.stream(
        model=f"{kind}-object", input="Which city?", text_format=City
    ) as stream:
        assert stream.get_final_response().output_parsed == City(city="Oslo")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", TRANSLATED)
@pytest.mark.parametrize(
    ("scene", "tool", "expected"),
    [
        ("custom", {"type": "custom", "name": "exec"}, {"input": "print(1)", "name": "exec"}),
        (
            "namespace",
            {
                "type": "namespace",
                "name": "crm",
                "description": "Customers",
                "tools": [{"type": "function", "name": "find", "parameters": {"type": "object"}}],
            },
            {"name": "find", "namespace": "crm", "arguments": '{"id":7}'},
        ),
        ("shell", {"type": "shell", "environment": {"type": "local"}}, {"type": "shell_call"}),
    ],
)
def test_tools_of_other_kinds(client, speaker, kind, scene, tool, expected, stream):
    about = {"model": f"{kind}-{scene}", "tools": [tool], "store": False}
    answer = client.responses.create(**about, input=[QUESTION], stream=stream)
    if stream:
        answer = list(answer)[-1].response
    item = answer.output[0].model_dump()
    assert expected.items() <= item.items()
    output = {"type": item["type"] + "_output", "call_id": item["call_id"], "output": "done"}
    if scene == "shell":
        assert item["action"]["commands"] == ["ls"]
        exit_code = {"type": "exit", "exit_code": 0}
        output["output"] = [{"stdout": "done", "stderr": "", "outcome": exit_code}]
    again = client.responses.create(**about, input=[QUESTION, item, output])
    assert again.output_text == TEXT
    assert "done" in json.dumps(sent(speaker))


@pytest.mark.parametrize("kind", TRANSLATED)
def test_what_a_translation_cannot_say_is_an_error_with_its_field(client, kind):
    with pytest.raises(openai.BadRequestError, match="cannot be translated") as caught:
        client.responses.create(
            model=f"{kind}-words",
            input=[{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}],
        )
    assert caught.value.param == "input[0].content[0].file_id"
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=f"{kind}-words", input="a", previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"


@pytest.mark.parametrize("kind", KINDS)
def test_errors_have_their_types(client, kind):
    with pytest.raises(openai.BadRequestError, match="at least one is needed"):
        client.responses.create(model=f"{kind}-wrong", input="a")
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model=f"{kind}-limited", input="a", stream=True)


@pytest.mark.parametrize("scene", ["fails", "breaks"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_error_within_a_stream_is_seen(client, kind, scene):
    stream = client.responses.create(model=f"{kind}-{scene}", input="a", stream=True)
    kinds = []
    with contextlib.suppress(openai.APIError):
        kinds += [event.type for event in stream]
    assert "response.completed" not in kinds
    if kinds:
        assert kinds[-1] in ("error", "response.failed")


def test_metadata_and_tools_are_repeated(client):
    answer = client.responses.create(
        model="anthropic-words", input="a", metadata={"a": "b"}, tools=[WEATHER], temperature=0.5
    )
    assert answer.metadata == {"a": "b"}
    assert answer.tools[0].name == "weather"
    assert answer.temperature == 0.5
