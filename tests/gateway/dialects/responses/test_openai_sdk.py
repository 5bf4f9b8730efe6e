"""OpenAI's SDK sends the requests that are read, and reads the answers that are written."""

import openai
import pydantic
import pytest
from tests.support.scripted_server import EVENTS, JSON, ScriptedServer

from floorline.gateway.dialects.answer_parts import (
    Ended,
    Failed,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Used,
)
from floorline.gateway.dialects.conversation import TextPart, ToolCallPart, ToolResultPart, Turn
from floorline.gateway.dialects.responses import ResponsesDialect
from floorline.gateway.upstreams.usage import Usage

DIALECT = ResponsesDialect()
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}
END = [Used(Usage(12, 9, cached_tokens=8)), Ended("stop")]


class Written:
    """A server that reads requests and writes answers by the dialect."""

    def __init__(self):
        self.parts = []
        self.conversations = []

    def answer(self, path, body):
        assert path == "/v1/responses"
        request = DIALECT.read_request(body)
        self.conversations.append(request)
        parts = [Started("resp_1"), *self.parts]
        if not body.get("stream"):
            return 200, JSON, [DIALECT.write_answer(parts, "gold", "", request)]
        writer = DIALECT.stream_writer("gold", "", request)
        return 200, EVENTS, [*(writer.write([part]) for part in parts), writer.end()]


@pytest.fixture
def written():
    return Written()


@pytest.fixture
def client(written):
    with (
        ScriptedServer(written.answer) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield client


def ask(client, **fields):
    return client.responses.create(model="floorline/gold", **{"input": "Why?", **fields})


def test_a_whole_answer(client, written):
    written.parts = [ThinkingDelta("Hm."), TextDelta("Because."), *END]
    answer = ask(client)
    assert answer.output_text == "Because."
    assert answer.output[0].summary[0].text == "Hm."
    assert (answer.usage.input_tokens, answer.usage.input_tokens_details.cached_tokens) == (12, 8)
    assert (answer.id, answer.status) == ("resp_1", "completed")


def test_a_tool_loop(client, written):
    written.parts = [
        ThinkingDelta("Hm."),
        ThinkingDelta(signature="EqQB"),
        ToolCallStarted(0, "call_1", "weather"),
        ToolCallDelta(0, '{"city": "Oslo"}'),
        Ended("tool_calls"),
    ]
    first = ask(client, tools=[WEATHER])
    call = first.output[-1]
    written.parts = [TextDelta("Rain."), *END]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    second = ask(
        client,
        tools=[WEATHER],
        input=[{"role": "user", "content": "Weather?"}, *first.output, result],
    )
    assert second.output_text == "Rain."
    conversation = written.conversations[-1]
    assert conversation.losses == []
    assert conversation.turns[2] == Turn("user", [ToolResultPart("call_1", [TextPart("rain")])])
    thinking, call = conversation.turns[1].parts
    assert (thinking.text, thinking.signature) == ("Hm.", "EqQB")
    assert call == ToolCallPart("call_1", "weather", '{"city": "Oslo"}')


class City(pydantic.BaseModel):
    city: str


def test_structured_output(client, written):
    written.parts = [TextDelta('{"city": '), TextDelta('"Oslo"}'), *END]
    answer = client.responses.parse(model="floorline/gold", input="Why?", text_format=City)
    assert answer.output_parsed == City(city="Oslo")
    assert written.conversations[-1].output.schema["required"] == ["city"]


def test_the_accumulator_of_streams(client, written):
    written.parts = [
        ThinkingDelta("Hm."),
        TextDelta('{"city": '),
        TextDelta('"Oslo"}'),
        ToolCallStarted(0, "call_1", "weather"),
        ToolCallDelta(0, '{"city":'),
        ToolCallStarted(1, "call_2", "weather"),
        ToolCallDelta(1, '{"city": "Rom"}'),
        ToolCallDelta(0, ' "Oslo"}'),
        *END,
    ]
    tools = [openai.pydantic_function_tool(City, name="weather")["function"] | {"type": "function"}]
    with client.responses.stream(
        model="floorline/gold", input="Why?", tools=tools, text_format=City
    ) as stream:
        events = list(stream)
        final = stream.get_final_response()
    texts = [event for event in events if event.type == "response.output_text.delta"]
    assert [event.snapshot for event in texts] == ['{"city": ', '{"city": "Oslo"}']
    arguments = {
        event.output_index: event.snapshot
        for event in events
        if event.type == "response.function_call_arguments.delta"
    }
    assert list(arguments.values()) == ['{"city": "Oslo"}', '{"city": "Rom"}']
    assert final.output_parsed == City(city="Oslo")
    assert [item.type for item in final.output] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    assert final.usage.total_tokens == 21


def test_the_input_of_a_custom_tool(client, written):
    written.parts = [
        ToolCallStarted(0, "call_1", "exec"),
        ToolCallDelta(0, '{"input": "print('),
        ToolCallDelta(0, '1)"}'),
        Ended("tool_calls"),
    ]
    tools = [{"type": "custom", "name": "exec", "description": "Runs code."}]
    (call,) = ask(client, tools=tools).output
    assert (call.type, call.input) == ("custom_tool_call", "print(1)")
    events = list(ask(client, tools=tools, stream=True))
    assert "".join(e.delta for e in events if e.type.endswith("input.delta")) == "print(1)"
    assert events[-1].response.output[0].input == "print(1)"


def test_refusals_and_limits(client, written):
    written.parts = [RefusalDelta("No."), Ended("length")]
    answer = ask(client)
    assert answer.output[0].content[0].refusal == "No."
    assert answer.incomplete_details.reason == "max_output_tokens"
    events = list(ask(client, stream=True))
    assert events[-1].type == "response.incomplete"
    assert [e.delta for e in events if e.type == "response.refusal.delta"] == ["No."]


def test_failures(client, written):
    written.parts = [TextDelta("Well"), Failed({"message": "no luck", "code": "server_error"})]
    answer = ask(client)
    assert (answer.status, answer.error.message) == ("failed", "no luck")
    last = list(ask(client, stream=True))[-1]
    assert (last.type, last.response.error.code) == ("response.failed", "server_error")
