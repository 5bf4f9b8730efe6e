"""Anthropic's SDK works through the gateway with providers of three dialects."""

import json

import anthropic
import pydantic
import pytest
from anthropic import beta_tool
from tests.support import faulty_provider as fp
from tests.support.dialect_answers import DIALECTS, THINKING, WORDS, Chat, joined
from tests.support.dialect_provider import KINDS, models, speaking
from tests.support.live_gateway import Live, write_settings

WHY = {"role": "user", "content": "Why is the sky blue?"}


@pytest.fixture(scope="module")
def speaker():
    with speaking() as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(speaker, tmp_path_factory):
    base = speaker.base_url.removesuffix("/v1")
    slas = [{"name": "gold", "floor": 0.1, "models": ["anthropic-words"]}]
    text = write_settings(base, models=models(base), slas=slas)
    started = Live(text, tmp_path_factory.mktemp("sdk"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def client(gateway):
    with anthropic.Anthropic(base_url=gateway.url, api_key="none", max_retries=0) as one:
        yield one


def last(speaker):
    return speaker.requests[-1]["body"]


def whole(dialect, *blocks, end="stop"):
    """Let the provider answer with these blocks."""
    body = json.dumps(dialect.whole(list(blocks), end)).encode()
    return fp.whole(body)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_tool_runner(client, speaker, kind, stream):
    asked = []

    @beta_tool
    def get_weather(city: str) -> str:
        """Say how the weather is.

        Args:
            city: The city.
        """
        asked.append(city)
        return "It rains."

    runner = client.beta.messages.tool_runner(
        model=f"{kind}-call",
        max_tokens=100,
        messages=[WHY],
        tools=[get_weather],
        max_iterations=3,
        stream=stream,
    )
    for turn in runner:
        message = turn.get_final_message() if stream else turn
    assert asked == ["Oslo"] * 3
    assert message.stop_reason == "tool_use"
    if kind != "anthropic":
        # The whole conversation is sent, although the SDK would rather have it kept.
        assert json.dumps(last(speaker)).count("It rains.") == 2


@pytest.mark.parametrize("kind", KINDS)
def test_structured_answers(client, speaker, kind):
    class City(pydantic.BaseModel):
        name: str

    speaker.plan(whole(DIALECTS[kind], ("text", '{"name": "Oslo"}')))
    answer = client.messages.parse(
        model=f"{kind}-words", max_tokens=100, messages=[WHY], output_format=City
    )
    assert answer.parsed_output == City(name="Oslo")
    sent = last(speaker)
    if kind == "openai":
        assert sent["response_format"]["json_schema"]["schema"]["required"] == ["name"]


def test_thinking_travels_only_to_where_it_is_from(client, speaker):
    first = client.messages.create(model="openai-thinking", max_tokens=100, messages=[WHY])
    assert [block.type for block in first.content] == ["thinking", "text"]
    assert first.content[0].thinking == joined(THINKING)
    turns = [WHY, {"role": "assistant", "content": first.content}, WHY]
    client.messages.create(model="anthropic-words", max_tokens=100, messages=turns)
    assert last(speaker)["messages"][1]["content"] == [{"type": "text", "text": joined(WORDS)}]
    own = client.messages.create(model="anthropic-thinking", max_tokens=100, messages=[WHY])
    turns[1] = {"role": "assistant", "content": own.content}
    client.messages.create(model="anthropic-words", max_tokens=100, messages=turns)
    assert last(speaker)["messages"][1]["content"][0]["signature"] == "sig"
    answer = client.messages.with_raw_response.create(
        model="openai-words", max_tokens=100, messages=turns
    )
    assert answer.headers["x-floorline-losses"] == "thinking"
    assert last(speaker)["messages"][1] == {"role": "assistant", "content": joined(WORDS)}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_calls_with_arguments_that_are_no_object(client, speaker, stream):
    call = ("tool", "get_weather", "Os", "lo")
    if stream:
        speaker.plan(fp.stream(list(Chat.events([call], "tool"))))
        with client.messages.stream(model="openai-words", max_tokens=100, messages=[WHY]) as events:
            message = events.get_final_message()
    else:
        speaker.plan(whole(Chat, call, end="tool"))
        message = client.messages.create(model="openai-words", max_tokens=100, messages=[WHY])
    (block,) = message.content
    assert block.input == {"_raw": "Oslo"}
    result = {"type": "tool_result", "tool_use_id": block.id, "content": "No."}
    turns = [
        WHY,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    client.messages.create(model="openai-words", max_tokens=100, messages=turns)
    assert last(speaker)["messages"][1]["tool_calls"][0]["function"]["arguments"] == "Oslo"


def test_everything_that_a_request_has(client, speaker):
    client.messages.create(
        model="openai-words",
        max_tokens=4000,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
        ],
        tools=[
            {
                "name": "get_weather",
                "description": "Weather",
                "input_schema": {"type": "object", "properties": {}},
            }
        ],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        stop_sequences=["END"],
        extra_body={"temperature": 0.5},
        metadata={"user_id": "u-1"},
    )
    assert last(speaker) == {
        "model": "words",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Why?"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "description": "Weather",
                    "parameters": {"type": "object", "properties": {}},
                },
            }
        ],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_tokens": 4000,
        "temperature": 0.5,
        "stop": ["END"],
        "user": "u-1",
    }


def test_tokens_are_counted(client):
    counted = client.messages.count_tokens(model="anthropic-words", messages=[WHY])
    assert counted.input_tokens == 1234
    assert client.messages.count_tokens(model="floorline/gold", messages=[WHY]).input_tokens > 0


@pytest.mark.parametrize("kind", ["openai", "responses"])
def test_what_is_malformed_is_named(client, kind):
    message = {"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[0\].content\[0\].source"):
        client.messages.create(model=f"{kind}-words", max_tokens=5, messages=[message])


def test_models_are_listed(client):
    assert "anthropic-words" in [model.id for model in client.models.list()]
