import asyncio
import json

import aiohttp
import jsonschema
import numpy as np
import openai
import pytest

from floorline.datasets.simulated import SimulatedZoo
from floorline.demo.fake_provider import FINGERPRINT, FakeProvider, serving
from floorline.demo.schema_example import example_value
from floorline.errors import InvalidInput

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 2},
        "unit": {"enum": ["C", "F"]},
        "days": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2},
        "note": {"type": ["string", "null"]},
    },
    "required": ["city", "unit", "days"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}


@pytest.fixture(scope="module")
def zoo():
    return SimulatedZoo(50, seed=1)


def ask(provider, call):
    """Run ``await call(client)`` against the provider with OpenAI's own client."""

    async def main():
        async with (
            serving(provider.app()) as url,
            openai.AsyncOpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0) as client,
        ):
            return await call(client)

    return asyncio.run(main())


def complete(provider, **given):
    given = {"model": "sim-nano", "messages": [{"role": "user", "content": "Why?"}]} | given
    return ask(provider, lambda client: client.chat.completions.create(**given))


def test_earlier_messages_of_a_conversation_count_as_input(zoo):
    provider = FakeProvider(zoo)
    first = {"role": "user", "content": "Why is the sky blue?"}
    more = [first, {"role": "assistant", "content": "x" * 420}, first]
    alone = complete(provider, messages=[first]).usage
    again = complete(provider, messages=more).usage
    assert again.prompt_tokens == 2 * alone.prompt_tokens + 108
    assert again.total_tokens == again.prompt_tokens + again.completion_tokens


def test_models_know_the_beginning_of_a_conversation_for_a_while(zoo, monkeypatch):
    provider = FakeProvider(zoo, caches=True)
    first = {"role": "user", "content": "Why is the sky blue?"}
    more = [first, {"role": "assistant", "content": "Because."}, first]
    alone = complete(provider, messages=[first]).usage
    assert alone.prompt_tokens_details is None
    assert complete(provider, messages=more).usage.prompt_tokens_details.cached_tokens == (
        alone.prompt_tokens
    )
    other = complete(provider, messages=more, model="sim-mini").usage
    assert other.prompt_tokens_details is None
    monkeypatch.setattr("floorline.demo.fake_provider.CACHE_SECONDS", 0.0)
    late = complete(provider, messages=[*more, first]).usage
    assert late.prompt_tokens_details is None


def test_an_unavailable_model_fails_until_it_is_back(zoo):
    provider = FakeProvider(zoo)
    provider.unavailable.add("sim-nano")
    with pytest.raises(openai.InternalServerError, match="a simulated outage"):
        complete(provider)
    assert complete(provider, model="sim-mini").choices
    provider.unavailable.clear()
    assert complete(provider).choices


def collect(provider, **given):
    async def call(client):
        given.setdefault("messages", [{"role": "user", "content": "Why?"}])
        stream = await client.chat.completions.create(model="sim-nano", stream=True, **given)
        return [chunk async for chunk in stream]

    return ask(provider, call)


def test_an_answer_states_that_it_is_simulated_and_has_the_drawn_usage(zoo):
    provider = FakeProvider(zoo, seed=3)
    prompt = zoo.prompts[0]
    answer = complete(provider, messages=[{"role": "user", "content": prompt}])
    drawn = provider.answer(prompt, "sim-nano")
    assert "simulated" in answer.choices[0].message.content
    assert answer.system_fingerprint == FINGERPRINT
    assert answer.usage.prompt_tokens == drawn.tokens_in
    assert answer.usage.completion_tokens == drawn.tokens_out
    assert answer.usage.total_tokens == drawn.tokens_in + drawn.tokens_out
    assert answer.choices[0].finish_reason == "stop"


def test_no_answer_contains_the_satisfaction_of_the_user(zoo):
    provider = FakeProvider(zoo)

    async def call(client):
        raw = client.chat.completions.with_raw_response
        texts = {}
        for prompt in zoo.prompts:
            answer = await raw.create(
                model="sim-nano", messages=[{"role": "user", "content": prompt}]
            )
            headers = sorted(set(answer.headers) - {"date", "content-length"})
            fields = sorted(json.loads(answer.text))
            satisfied = provider.answer(prompt, "sim-nano").satisfied
            texts.setdefault(satisfied, set()).add((*headers, *fields))
        return texts

    seen = ask(provider, call)
    assert set(seen) == {True, False}
    assert seen[True] == seen[False]
    assert not any("satisf" in name for name in next(iter(seen[True])))


def test_answers_do_not_depend_on_earlier_requests(zoo):
    provider, other = FakeProvider(zoo, seed=3), FakeProvider(zoo, seed=3)
    first = [other.answer(prompt, "sim-large") for prompt in zoo.prompts]
    assert [provider.answer(p, "sim-large") for p in reversed(zoo.prompts)] == first[::-1]
    assert [FakeProvider(zoo, seed=4).answer(p, "sim-large") for p in zoo.prompts] != first


def test_satisfaction_has_the_probabilities_of_the_zoo(zoo):
    provider = FakeProvider(zoo)
    names = [model.name for model in zoo.models]
    drawn = [[provider.answer(p, name).satisfied for name in names] for p in zoo.prompts]
    expected = zoo.probabilities.mean(axis=0)
    error = np.sqrt((zoo.probabilities * (1 - zoo.probabilities)).sum(axis=0)) / len(zoo.prompts)
    assert (np.abs(np.mean(drawn, axis=0) - expected) < 5 * error).all()


def test_a_stream_has_the_content_of_the_whole_answer(zoo):
    provider = FakeProvider(zoo)
    answer = complete(provider)
    chunks = collect(provider, stream_options={"include_usage": True})
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == answer.choices[0].message.content
    assert len(chunks) > 5
    assert chunks[-1].usage == answer.usage
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert {c.system_fingerprint for c in chunks} == {FINGERPRINT}
    assert len({c.id for c in chunks}) == 1


def test_a_stream_contains_the_usage_only_on_request(zoo):
    assert all(chunk.usage is None for chunk in collect(FakeProvider(zoo)))


def test_several_choices(zoo):
    provider = FakeProvider(zoo)
    one, three = complete(provider), complete(provider, n=3)
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert three.usage.completion_tokens == 3 * one.usage.completion_tokens
    assert {c.choices[0].index for c in collect(provider, n=2)} == {0, 1}


def test_a_limit_cuts_the_answer(zoo):
    answer = complete(FakeProvider(zoo), max_tokens=1)
    assert answer.usage.completion_tokens == 1
    assert answer.choices[0].finish_reason == "length"


def test_tools_are_called_with_arguments_of_their_schema(zoo):
    provider = FakeProvider(zoo)
    answer = complete(provider, tools=[TOOL])
    call = answer.choices[0].message.tool_calls[0]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "weather"
    jsonschema.validate(json.loads(call.function.arguments), WEATHER)
    streamed = [c.choices[0].delta.tool_calls for c in collect(provider, tools=[TOOL])]
    assert [calls[0].function.arguments for calls in streamed if calls] == [call.function.arguments]


@pytest.mark.parametrize(
    "given",
    [
        {"tool_choice": "none"},
        {"messages": [{"role": "tool", "tool_call_id": "call_1", "content": "12 C"}]},
    ],
)
def test_tools_are_not_called_if_forbidden_or_answered_already(zoo, given):
    answer = complete(FakeProvider(zoo), tools=[TOOL], **given)
    assert answer.choices[0].message.tool_calls is None
    assert "simulated" in answer.choices[0].message.content


def test_json_mode_answers_in_json(zoo):
    provider = FakeProvider(zoo)
    plain = complete(provider, response_format={"type": "json_object"})
    assert json.loads(plain.choices[0].message.content) == {"simulated": True}
    schema = {"type": "json_schema", "json_schema": {"name": "weather", "schema": WEATHER}}
    typed = complete(provider, response_format=schema)
    jsonschema.validate(json.loads(typed.choices[0].message.content), WEATHER)


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
        {"type": "string", "enum": ["a", "b"]},
        {"const": 3},
        {"type": "boolean"},
        {"type": ["integer", "null"], "minimum": 4},
        {"type": "object", "required": ["x"], "properties": {"x": {"type": "array"}}},
    ],
)
def test_example_values_are_valid_for_their_schema(schema):
    jsonschema.validate(example_value(schema), schema)


@pytest.mark.parametrize(
    "schema", [None, 3, {"type": 3}, {"enum": []}, {"type": "array", "minItems": "many"}]
)
def test_invalid_schemas_give_empty_values(schema):
    assert example_value(schema) in ({}, [])


def test_example_values_have_bounded_length_and_depth():
    assert len(example_value({"type": "string", "minLength": 10**9})) <= 1000
    recursive = {"required": ["x"], "properties": {}}
    recursive["properties"]["x"] = recursive
    json.dumps(example_value(recursive))


def test_models_are_those_of_the_zoo(zoo):
    async def call(client):
        return [(model.id, model.owned_by) async for model in client.models.list()]

    listed = ask(FakeProvider(zoo), call)
    assert listed == [(model.name, FINGERPRINT) for model in zoo.models]


def test_an_unknown_model_is_rejected(zoo):
    with pytest.raises(openai.NotFoundError, match="sim-nano"):
        complete(FakeProvider(zoo), model="gpt-9")


@pytest.mark.parametrize(
    "body", ["", "{", "[]", '{"model": 3}', '{"model": "sim-nano", "messages": "hi"}']
)
def test_a_malformed_body_is_rejected_with_openais_error_object(zoo, body):
    async def main():
        async with (
            serving(FakeProvider(zoo).app()) as url,
            aiohttp.ClientSession() as client,
            client.post(f"{url}/v1/chat/completions", data=body) as answer,
        ):
            return answer.status, await answer.json()

    status, error = asyncio.run(main())
    assert status == 400
    assert error["error"]["type"] == "invalid_request_error"


def test_faults_have_their_rate_and_are_reproducible(zoo):
    body = {"model": "sim-nano", "messages": [{"role": "user", "content": "Why?"}]}

    async def statuses(**given):
        async with (
            serving(FakeProvider(zoo, seed=5, **given).app()) as url,
            aiohttp.ClientSession() as client,
        ):
            found = []
            for _ in range(60):
                async with client.post(f"{url}/v1/chat/completions", json=body) as answer:
                    await answer.read()
                    found.append(answer.status)
            return found

    found = asyncio.run(statuses(fault_rate=0.5))
    assert 15 < found.count(200) < 45
    assert set(found) == {200, 429, 500}
    assert found == asyncio.run(statuses(fault_rate=0.5))
    assert set(asyncio.run(statuses())) == {200}


def test_answers_take_the_scaled_simulated_time(zoo):
    provider = FakeProvider(zoo, latency=0.05)
    drawn = provider.answer("Why?", "sim-nano")

    async def call(client):
        started = asyncio.get_running_loop().time()
        await client.chat.completions.create(
            model="sim-nano", messages=[{"role": "user", "content": "Why?"}]
        )
        return asyncio.get_running_loop().time() - started

    assert ask(provider, call) >= drawn.latency * 0.05


@pytest.mark.parametrize("given", [{"latency": -1.0}, {"fault_rate": 1.5}])
def test_arguments_out_of_range_are_rejected(zoo, given):
    with pytest.raises(InvalidInput, match=next(iter(given))):
        FakeProvider(zoo, **given)
