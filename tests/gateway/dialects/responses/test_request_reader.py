"""Requests of the Responses API as conversations."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.gateway.dialects.conversation import (
    MediaPart,
    OutputSchema,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from floorline.gateway.dialects.losses import READ
from floorline.gateway.dialects.responses import ResponsesDialect
from floorline.gateway.dialects.responses.reasoning import pack_proof
from floorline.gateway.errors import ApiError

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PNG = "iVBORw0KGgo="


def read(**fields):
    return ResponsesDialect().read_request({"model": "floorline/gold", "input": "Why?", **fields})


def refused(**fields):
    with pytest.raises(ApiError) as caught:
        read(**fields)
    assert caught.value.status == 400
    assert caught.value.param in caught.value.text
    return caught.value


def test_a_text_is_a_turn_of_the_user():
    assert read().turns == [Turn("user", [TextPart("Why?")])]


def test_instructions_are_the_first_turn():
    found = read(instructions="Be brief.", input=[{"role": "user", "content": "Why?"}])
    assert found.turns == [
        Turn("system", [TextPart("Be brief.")]),
        Turn("user", [TextPart("Why?")]),
    ]


def test_instructions_alone_are_enough():
    assert read(instructions="Tell a joke.", input=None).turns[0].role == "system"


# https://platform.openai.com/docs/guides/images-vision and /pdf-files
def test_images_and_files():
    content = [
        {"type": "input_text", "text": "what's in this image?"},
        {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "high"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
        {"type": "input_file", "filename": "d.pdf", "file_data": "data:application/pdf;base64,JV"},
        {"type": "input_file", "file_url": "https://a.example/c.pdf"},
        {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
    ]
    found = read(input=[{"role": "user", "content": content}])
    assert found.turns == [
        Turn(
            "user",
            [
                TextPart("what's in this image?"),
                MediaPart("image", "https://a.example/b.png", detail="high"),
                MediaPart("image", data=PNG, media_type="image/png"),
                MediaPart("file", data="JV", media_type="application/pdf", name="d.pdf"),
                MediaPart("file", "https://a.example/c.pdf"),
                MediaPart("audio", data="SUQz", media_type="audio/mpeg"),
            ],
        )
    ]
    assert found.losses == []


# https://platform.openai.com/docs/guides/function-calling
def test_a_tool_loop():
    items = [
        {"role": "user", "content": "What is the weather like in Paris and Bogotá today?"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Two."}]},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look it up.", "annotations": []}],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "get_weather",
            "arguments": '{"city":"Paris"}',
        },
        {
            "type": "function_call",
            "id": "fc_2",
            "call_id": "call_2",
            "name": "get_weather",
            "arguments": '{"city":"Bogotá"}',
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "12 °C"},
        {
            "type": "function_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": "18 °C"}],
        },
        {"role": "user", "content": [{"type": "input_text", "text": "And tomorrow?"}]},
    ]
    found = read(input=items)
    assert found.turns == [
        Turn("user", [TextPart("What is the weather like in Paris and Bogotá today?")]),
        Turn(
            "assistant",
            [
                ThinkingPart("Two."),
                TextPart("I look it up."),
                ToolCallPart("call_1", "get_weather", '{"city":"Paris"}'),
                ToolCallPart("call_2", "get_weather", '{"city":"Bogotá"}'),
            ],
        ),
        Turn(
            "user",
            [
                ToolResultPart("call_1", [TextPart("12 °C")]),
                ToolResultPart("call_2", [TextPart("18 °C")]),
            ],
        ),
        Turn("user", [TextPart("And tomorrow?")]),
    ]
    assert found.losses == []


def test_arguments_that_are_no_json_stay():
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{not JSON"}
    assert read(input=[call]).turns[0].parts == [ToolCallPart("c", "f", "{not JSON")]


def test_calls_of_other_tools_become_calls_of_functions():
    items = [
        {"type": "custom_tool_call", "call_id": "1", "name": "exec", "input": 'print("hi")'},
        {"type": "custom_tool_call_output", "call_id": "1", "output": "hi"},
        {
            "type": "local_shell_call",
            "id": "lsh_1",
            "call_id": "2",
            "status": "completed",
            "action": {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": None},
        },
        {"type": "local_shell_call_output", "id": "2", "output": "a.txt"},
        {"type": "shell_call", "call_id": "3", "action": {"commands": ["ls", "pwd"]}},
        {
            "type": "shell_call_output",
            "call_id": "3",
            "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
        },
        {
            "type": "apply_patch_call",
            "call_id": "4",
            "status": "completed",
            "operation": {"type": "delete_file", "path": "a.txt"},
        },
        {"type": "apply_patch_call_output", "call_id": "4", "status": "failed", "output": "no"},
    ]
    parts = [part for turn in read(input=items).turns for part in turn.parts]
    calls = [(part.name, json.loads(part.arguments)) for part in parts[::2]]
    assert calls == [
        ("exec", {"input": 'print("hi")'}),
        ("local_shell", {"command": ["ls"], "env": {}}),
        ("shell", {"commands": ["ls", "pwd"]}),
        ("apply_patch", {"type": "delete_file", "path": "a.txt"}),
    ]
    assert [part.call for part in parts[1::2]] == ["1", "2", "3", "4"]
    assert parts[-1] == ToolResultPart("4", [TextPart("no")], failed=True)


def test_tools():
    found = read(
        tools=[
            {
                "type": "function",
                "name": "get_weather",
                "description": "Weather",
                "parameters": SCHEMA,
                "strict": True,
            },
            {
                "type": "custom",
                "name": "exec",
                "description": "Runs code.",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
            },
            {
                "type": "namespace",
                "name": "crm",
                "description": "Customers",
                "tools": [{"type": "function", "name": "find", "defer_loading": True}],
            },
            {"type": "web_search_2025_08_26"},
            {"type": "hologram"},
            {"type": "local_shell"},
            {"type": "shell", "environment": {"type": "container_auto"}},
        ],
        tool_choice={"type": "function", "name": "get_weather"},
        parallel_tool_calls=False,
    )
    weather, exec_, find, shell = found.tools
    assert weather == Tool("get_weather", "Weather", SCHEMA, True)
    assert exec_.description.endswith("lark grammar:\nstart: /.+/")
    assert exec_.parameters["required"] == ["input"]
    assert (find.name, shell.name) == ("crm__find", "local_shell")
    assert found.tool_choice == "tool:get_weather"
    assert found.parallel_tools is False
    assert found.losses == [
        "tools.custom.format",
        "tools.defer_loading",
        "tools.web_search",
        "tools.hologram",
        "tools.shell",
    ]


def test_allowed_tools_leave_out_the_others():
    tools = [{"type": "function", "name": name} for name in ("a", "b", "c")]
    allowed = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "b"}],
    }
    found = read(tools=tools, tool_choice=allowed)
    assert [tool.name for tool in found.tools] == ["b"]
    assert found.tool_choice == "required"


def test_sampling_and_the_form_of_the_answer():
    found = read(
        max_output_tokens=100,
        temperature=0.5,
        top_p=1,
        reasoning={"effort": "xhigh", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "city", "schema": SCHEMA, "strict": True}},
        safety_identifier="u1",
        user="u0",
        prompt_cache_key="k",
        stream=True,
        store=False,
        include=["reasoning.encrypted_content"],
        service_tier="auto",
        truncation="disabled",
    )
    assert (found.max_output_tokens, found.temperature, found.top_p) == (100, 0.5, 1)
    assert found.effort in ("xhigh", "max")
    assert found.output == OutputSchema(SCHEMA, "city", True)
    assert (found.user, found.cache_key, found.stream) == ("u1", "k", True)
    assert found.losses == []


def test_the_output_of_a_tool_that_was_not_called_is_a_text():
    item = {"type": "function_call_output", "name": "clock", "output": "It is noon."}
    texts = [TextPart("Output of clock:"), TextPart("It is noon.")]
    assert read(input=[item]).turns == [Turn("user", texts)]


def test_items_may_change_the_settings():
    form = {"type": "json_schema", "name": "city", "schema": SCHEMA}
    items = [
        {"type": "configuration_update", "reasoning": {"effort": "high"}},
        {"role": "user", "content": "Why?"},
        {"type": "configuration_update", "text": {"format": form}},
        {"type": "configuration_update", "reasoning": {"effort": "low"}},
    ]
    found = read(input=items, reasoning={"effort": "medium", "summary": "auto"})
    assert (found.effort, found.output) == ("low", OutputSchema(SCHEMA, "city"))
    assert found.losses == []
    assert refused(input=[{"type": "configuration_update", "text": 3}]).param == "input[0].text"


def test_reasoning_of_other_providers_comes_back():
    items = [
        {"type": "reasoning", "summary": [], "encrypted_content": pack_proof("EqQB", "")},
        {"type": "reasoning", "summary": [], "encrypted_content": pack_proof("", "x")},
        {"type": "reasoning", "summary": [], "encrypted_content": pack_proof("", "")},
        {"role": "assistant", "content": "So."},
    ]
    found = read(input=items)
    assert found.turns[0].parts == [
        ThinkingPart(signature="EqQB"),
        ThinkingPart(encrypted="x"),
        TextPart("So."),
    ]
    assert found.losses == []


def test_reasoning_that_openai_encrypted_is_lost():
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    found = read(input=[item, {"role": "user", "content": "Why?"}])
    assert found.turns == [Turn("user", [TextPart("Why?")])]
    assert found.losses == ["input.reasoning.encrypted_content"]


LOST = {
    "client_metadata": {"client_metadata": {"session_id": "a"}},
    "context_management": {"context_management": [{"type": "compaction"}]},
    "include": {"include": ["message.output_text.logprobs"]},
    "input.content.annotations": {
        "input": [
            {
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": "a", "annotations": [{"type": "url_citation"}]}
                ],
            }
        ]
    },
    "input.phase": {"input": [{"role": "assistant", "content": "a", "phase": "commentary"}]},
    "input.reasoning.encrypted_content": {
        "input": [{"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}]
    },
    "max_tool_calls": {"max_tool_calls": 3},
    "metadata": {"metadata": {"a": "b"}},
    "moderation": {"moderation": {"model": "m"}},
    "prompt_cache_options": {"prompt_cache_options": {"mode": "explicit"}},
    "prompt_cache_retention": {"prompt_cache_retention": "24h"},
    "reasoning.context": {"reasoning": {"context": "all_turns"}},
    "reasoning.mode": {"reasoning": {"mode": "pro"}},
    "reasoning.summary": {"reasoning": {"summary": "detailed"}},
    "service_tier": {"service_tier": "flex"},
    "store": {"store": True},
    "stream_options": {"stream_options": {"include_obfuscation": True}},
    "text.format.description": {
        "text": {
            "format": {
                "type": "json_schema",
                "name": "a",
                "schema": {},
                "description": "An answer.",
            }
        }
    },
    "text.verbosity": {"text": {"verbosity": "low"}},
    "tools.allowed_callers": {
        "tools": [{"type": "function", "name": "a", "allowed_callers": ["direct"]}]
    },
    "tools.custom.format": {
        "tools": [
            {
                "type": "custom",
                "name": "a",
                "format": {"type": "grammar", "syntax": "regex", "definition": "a"},
            }
        ]
    },
    "tools.defer_loading": {"tools": [{"type": "function", "name": "a", "defer_loading": True}]},
    "tools.output_schema": {"tools": [{"type": "function", "name": "a", "output_schema": SCHEMA}]},
    "tools.shell": {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]},
    "top_logprobs": {"top_logprobs": 2},
    "truncation": {"truncation": "auto"},
}
for _name in READ["responses"]:
    _head, _, _kind = _name.partition(".")
    if _name not in LOST and _head in ("input", "tools"):
        LOST[_name] = {_head: [{"type": _kind}]}


def test_the_table_has_an_example_of_each_loss():
    assert LOST.keys() == READ["responses"].keys()


@pytest.mark.parametrize("name", sorted(LOST))
def test_losses_are_those_of_the_table(name):
    assert read(**LOST[name]).losses == [name]


def test_fields_that_are_unknown_are_lost_by_their_names():
    found = read(seed=3, **{"a b": 1}, text={"colour": "red"}, reasoning={"speed": 3})
    assert found.losses == ["seed", "unknown", "reasoning.speed", "text.colour"]


def test_unknown_items_and_parts_are_lost():
    content = [{"type": "input_text", "text": "Why?"}, {"type": "input_smell"}]
    found = read(input=[{"type": "hologram"}, {"role": "user", "content": content}])
    assert found.turns == [Turn("user", [TextPart("Why?")])]
    assert found.losses == ["input.hologram", "input.content.input_smell"]


@pytest.mark.parametrize(
    ("param", "fields"),
    {
        "previous_response_id": {"previous_response_id": "resp_1"},
        "conversation": {"conversation": "conv_1"},
        "prompt": {"prompt": {"id": "pmpt_1"}},
        "background": {"background": True},
        "input[0]": {"input": [{"type": "item_reference", "id": "msg_1"}]},
        "input[1]": {"input": [{"role": "user", "content": "a"}, {"id": "msg_1"}]},
        "input[0].content[0].file_id": {
            "input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]
        },
        "tool_choice.type": {"tools": [{"type": "mcp"}], "tool_choice": {"type": "mcp"}},
    }.items(),
)
def test_what_no_other_dialect_has_is_refused(param, fields):
    error = refused(**fields)
    assert error.param == param
    assert "cannot be translated for a model whose provider does not speak Responses" in error.text


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("input", {"input": None}),
        ("input", {"input": 3}),
        ("input[0]", {"input": ["a"]}),
        ("input[0].role", {"input": [{"role": "robot", "content": "a"}]}),
        ("input[0].content", {"input": [{"role": "user"}]}),
        ("input[0].content[0].text", {"input": [{"role": "user", "content": [{"type": "text"}]}]}),
        ("input[0].type", {"input": [{"type": 3}]}),
        ("input[0].arguments", {"input": [{"type": "function_call", "arguments": {}}]}),
        (
            "input[0].call_id",
            {"input": [{"type": "function_call_output", "call_id": "c", "output": "a"}]},
        ),
        ("max_output_tokens", {"max_output_tokens": 0}),
        ("max_output_tokens", {"max_output_tokens": "100"}),
        ("temperature", {"temperature": "hot"}),
        ("reasoning.effort", {"reasoning": {"effort": "some"}}),
        ("stream", {"stream": "yes"}),
        ("text.format.type", {"text": {"format": {"type": "xml"}}}),
        ("text.format.schema", {"text": {"format": {"type": "json_schema", "name": "a"}}}),
        ("tools[0].name", {"tools": [{"type": "function"}]}),
        ("tools[0].type", {"tools": [{}]}),
        ("tools", {"tools": {}}),
        ("tool_choice", {"tool_choice": "maybe"}),
        ("tool_choice.name", {"tool_choice": {"type": "function", "name": "a"}}),
        ("instructions", {"instructions": 3}),
    ],
)
def test_malformed_fields_are_named(param, fields):
    assert refused(**fields).param == param


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
_kinds = st.sampled_from(
    [
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "local_shell_call",
        "shell_call",
        "shell_call_output",
        "apply_patch_call",
        "additional_tools",
        "function",
        "custom",
        "namespace",
        "input_text",
        "input_image",
        "input_file",
        "input_audio",
        "json_schema",
        "allowed_tools",
    ]
)
_names = st.sampled_from(
    [
        *[
            "content",
            "role",
            "text",
            "summary",
            "call_id",
            "name",
            "arguments",
            "output",
            "action",
            "operation",
            "input",
            "tools",
            "format",
            "image_url",
            "file_data",
            "input_audio",
            "encrypted_content",
            "mode",
            "schema",
            "strict",
            "environment",
        ]
    ]
)
_objects = st.recursive(
    _json,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.builds(
            lambda kind, fields: {"type": kind, **fields},
            _kinds,
            st.dictionaries(_names, inner | st.sampled_from(["user", "assistant"]), max_size=4),
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *[
                    "input",
                    "instructions",
                    "tools",
                    "tool_choice",
                    "text",
                    "reasoning",
                    "include",
                    "max_output_tokens",
                    "stream",
                    "temperature",
                    "user",
                    "prompt_cache_key",
                    "metadata",
                    "store",
                    "seed",
                ]
            ]
        ),
        _objects,
    )
)
def test_any_fields_are_read_or_refused_by_name(fields):
    refusal = None
    try:
        losses = ResponsesDialect().read_request(fields).losses
    except ApiError as error:
        refusal = error
    if refusal is None:
        assert len(losses) == len(set(losses))
    else:
        assert refusal.status == 400
        assert refusal.param
