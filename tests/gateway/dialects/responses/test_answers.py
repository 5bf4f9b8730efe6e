"""Answers of the Responses API, whole and streamed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response
from tests.support import answer_parts
from tests.support.answer_parts import merged

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
from floorline.gateway.dialects.responses import ResponsesDialect, without_translated
from floorline.gateway.upstreams.usage import Usage

DIALECT = ResponsesDialect()
REQUEST = DIALECT.read_request(
    {
        "input": "Why?",
        "instructions": "Be brief.",
        "metadata": {"a": "b"},
        "tools": [
            {"type": "function", "name": "weather", "parameters": {}, "strict": False},
            {"type": "custom", "name": "exec"},
            {
                "type": "namespace",
                "name": "crm",
                "description": "",
                "tools": [{"type": "function", "name": "find"}],
            },
            {"type": "shell"},
            {"type": "local_shell"},
            {"type": "apply_patch"},
        ],
    }
)


def whole(parts, request=REQUEST):
    return json.loads(DIALECT.write_answer(parts, "gold", "", request))


def call(index, name, arguments):
    return [ToolCallStarted(index, f"call_{index}", name), ToolCallDelta(index, arguments)]


def events_of(data):
    """Names and data of events."""
    found = []
    for block in data.split(b"\n\n")[:-1]:
        name, line = block.split(b"\n", 1)
        found.append((name.removeprefix(b"event: ").decode(), json.loads(line[len("data: ") :])))
    return found


def streamed(pieces, request=REQUEST):
    writer = DIALECT.stream_writer("gold", "", request)
    data = b"".join(writer.write(piece) for piece in pieces) + writer.end()
    assert writer.end() == b""
    return events_of(data)


def read_stream(events):
    reader, parts = DIALECT.stream_reader(), []
    for name, data in events:
        assert not reader.done
        parts += reader.read(name, json.dumps(data).encode())
    assert reader.done
    return parts


ANSWER = [
    Started("answer_1", "model"),
    ThinkingDelta("Hm."),
    ThinkingDelta(signature="EqQB"),
    TextDelta("I look "),
    TextDelta("it up."),
    *call(0, "weather", '{"city": "Oslo"}'),
    *call(1, "exec", '{"input": "print(1)"}'),
    *call(2, "crm__find", "{}"),
    *call(3, "shell", '{"commands": ["ls"]}'),
    *call(4, "local_shell", '{"command": ["ls"]}'),
    *call(5, "apply_patch", '{"type": "delete_file", "path": "a"}'),
    Used(Usage(12, 9, cached_tokens=8)),
    Ended("tool_calls"),
]


def test_a_whole_answer_is_one_of_the_sdks():
    answer = whole(ANSWER)
    parsed = Response.model_validate(answer, strict=False)
    assert parsed.output_text == "I look it up."
    assert [item.type for item in parsed.output] == [
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
        "function_call",
        "shell_call",
        "local_shell_call",
        "apply_patch_call",
    ]
    weather, code, find, shell, local, patch = answer["output"][2:]
    assert (weather["call_id"], weather["arguments"]) == ("call_0", '{"city": "Oslo"}')
    assert (code["name"], code["input"]) == ("exec", "print(1)")
    assert (find["name"], find["namespace"]) == ("find", "crm")
    assert shell["action"]["commands"] == local["action"]["command"] == ["ls"]
    assert patch["operation"] == {"type": "delete_file", "path": "a"}
    assert answer["usage"] == {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 21,
    }
    assert (answer["metadata"], answer["instructions"]) == ({"a": "b"}, "Be brief.")
    assert len(answer["tools"]) == 6
    assert (answer["model"], answer["status"], answer["id"]) == ("gold", "completed", "answer_1")


def test_ids_are_the_gateways_if_it_has_one():
    answer = json.loads(DIALECT.write_answer(ANSWER, "gold", "resp_f", REQUEST))
    assert answer["id"] == "resp_f"
    ids = [item["id"] for item in answer["output"]]
    assert len(set(ids)) == len(ids)
    assert all(len(one) <= 64 for one in ids)
    assert whole([TextDelta("a")])["id"].startswith("resp_")
    # Some servers give all answers the same id.
    again = json.loads(DIALECT.write_answer(ANSWER, "gold", "resp_f", REQUEST))
    assert not {item["id"] for item in again["output"]} & set(ids)


@pytest.mark.parametrize(
    ("arguments", "name", "found"),
    [
        ("ls -l", "exec", ("input", "ls -l")),
        ('{"code": 1}', "exec", ("input", '{"code": 1}')),
        ("{not JSON", "weather", ("arguments", "{not JSON")),
        ("", "weather", ("arguments", "{}")),
        (
            "ls",
            "shell",
            ("action", {"commands": ["ls"], "timeout_ms": None, "max_output_length": None}),
        ),
        ("no", "apply_patch", ("operation", {"type": "update_file", "path": "", "diff": "no"})),
    ],
)
def test_arguments_in_an_unexpected_form_are_kept(arguments, name, found):
    (item,) = whole(call(0, name, arguments))["output"]
    field, value = found
    assert item[field] == value
    events = streamed([call(0, name, arguments), [Ended("tool_calls")]])
    assert events[-1][1]["response"]["output"][0][field] == value


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("pause", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_ends(reason, status, details):
    parts = [TextDelta("a"), Ended(reason)]
    answer = whole(parts)
    assert (answer["status"], answer["incomplete_details"]) == (status, details)
    name, event = streamed([parts])[-1]
    assert name == event["type"] == f"response.{status}"
    assert event["response"]["incomplete_details"] == details


def test_a_failure_ends_the_stream_once():
    failure = Failed({"message": "overloaded", "type": "overloaded_error", "code": None})
    events = streamed([[TextDelta("a")], [failure, TextDelta("b")], [Ended("stop")]])
    name, event = events[-1]
    assert name == "response.failed"
    assert event["response"]["error"] == {"code": "overloaded_error", "message": "overloaded"}
    assert [name for name, _ in events].count("response.failed") == 1
    assert event["response"]["output"][0]["status"] == "incomplete"


def test_an_answer_without_parts_is_empty():
    names = [name for name, _ in streamed([[]])]
    assert names == ["response.created", "response.in_progress", "response.completed"]


# https://platform.openai.com/docs/api-reference/responses-streaming
def test_the_order_of_events():
    names = [name.removeprefix("response.") for name, _ in streamed([[one] for one in ANSWER[:7]])]
    assert names == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


def test_arguments_of_parallel_calls_may_come_in_turns():
    parts = [
        ToolCallStarted(0, "a", "weather"),
        ToolCallStarted(1, "b", "weather"),
        ToolCallDelta(0, "{"),
        ToolCallDelta(1, "["),
        ToolCallDelta(0, "}"),
        ToolCallDelta(1, "]"),
        TextDelta("done"),
        ToolCallDelta(0, " "),
    ]
    output = streamed([[one] for one in parts])[-1][1]["response"]["output"]
    assert [item.get("arguments") for item in output] == ["{} ", "[]", None]


def well_formed(events):
    """Check what clients rely on in any stream."""
    assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
    assert all(name == data["type"] for name, data in events)
    assert events[0][0] == "response.created"
    terminal = ("response.completed", "response.incomplete", "response.failed")
    assert [n for n, (name, _) in enumerate(events) if name in terminal] == [len(events) - 1]
    opened, texts = [], {}
    for name, data in events:
        place = tuple(data.get(key) for key in ("output_index", "content_index", "summary_index"))
        if name.endswith(".added"):
            assert place not in opened
            opened.append((name.removesuffix("added"), place))
            if name == "response.output_item.added":
                assert place[0] == sum(one == "response.output_item." for one, _ in opened) - 1
        elif name.endswith((".output_item.done", "_part.done")):
            opened.index((name.removesuffix("done"), place))
        elif name.endswith(".delta"):
            assert ("response.output_item.", (data["output_index"], None, None)) in opened
            texts[place] = texts.get(place, "") + data["delta"]
        elif name.endswith(("_text.done", ".refusal.done", "arguments.done", "input.done")):
            fields = ("text", "refusal", "arguments", "input")
            (text,) = (data[field] for field in fields if field in data)
            assert text == texts.get(place, "")
    counts = [name for name, _ in events]
    for kind in ("output_item", "content_part", "reasoning_summary_part"):
        added = counts.count(f"response.{kind}.added")
        assert added == counts.count(f"response.{kind}.done")
    items = [data["item"] for name, data in events if name == "response.output_item.done"]
    by_id = {item["id"]: item for item in items}
    assert [by_id[item["id"]] for item in events[-1][1]["response"]["output"]] == [
        *events[-1][1]["response"]["output"]
    ]
    assert len(by_id) == len(items)


@given(answer_parts.answers())
def test_whole_answers_are_read_again(parts):
    body = DIALECT.write_answer(parts, "model", "", None)
    Response.model_validate_json(body)
    assert merged(DIALECT.read_answer(body)) == merged(parts)


@given(answer_parts.answers(), st.data())
def test_streams_are_read_again_and_well_formed(parts, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(parts)), max_size=4)))
    pieces = [parts[a:b] for a, b in zip([0, *cuts], [*cuts, len(parts)], strict=True)]
    writer = DIALECT.stream_writer("model", "", None)
    events = events_of(b"".join(map(writer.write, pieces)) + writer.end())
    well_formed(events)
    assert merged(read_stream(events)) == merged(parts)


@given(answer_parts.answers(), answer_parts.failed, st.data())
def test_streams_are_well_formed_wherever_they_fail(parts, failure, data):
    at = data.draw(st.integers(0, len(parts)))
    events = streamed([parts[:at], [failure], parts[at:]])
    well_formed(events)
    assert events[-1][0] == "response.failed"
    assert read_stream(events)[-1].error["message"] == failure.error["message"]


@given(answer_parts.answers(), st.permutations(range(8)))
def test_any_order_of_parts_makes_a_well_formed_stream(parts, order):
    well_formed(streamed([[parts[n] for n in order if n < len(parts)]]))


# Examples of OpenAI's reference, shortened to what is read.
def test_an_answer_of_openai_is_read():
    body = {
        "id": "resp_67ca09c5efe0819096d0511c92b8c890096610f474011cc0",
        "object": "response",
        "created_at": 1741294021,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-4.1-2025-04-14",
        "output": [
            {
                "type": "function_call",
                "id": "fc_67ca09c6bedc8190a7abfec07b1a1332096610f474011cc0",
                "call_id": "call_unLAR8MvFNptuiZK6K6HCy5k",
                "name": "get_current_weather",
                "arguments": '{"location":"Boston, MA","unit":"celsius"}',
                "status": "completed",
            }
        ],
        "usage": {
            "input_tokens": 291,
            "output_tokens": 23,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 314,
        },
    }
    assert DIALECT.read_answer(json.dumps(body).encode()) == [
        Started(body["id"], body["model"]),
        ToolCallStarted(0, "call_unLAR8MvFNptuiZK6K6HCy5k", "get_current_weather"),
        ToolCallDelta(0, '{"location":"Boston, MA","unit":"celsius"}'),
        Used(Usage(291, 23)),
        Ended("tool_calls"),
    ]


def test_servers_that_send_only_the_whole_answer_are_read():
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hi!"}]}
    reasoning = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]}
    response = {"id": "r", "status": "completed", "output": [reasoning, message]}
    parts = read_stream([("", {"type": "response.completed", "response": response})])
    assert parts == [Started("r"), ThinkingDelta("Hm."), TextDelta("Hi!"), Ended("stop")]


def test_a_stream_may_end_with_done():
    response = {"id": "r", "status": "incomplete", "output": []}
    parts = read_stream([("", {"type": "response.done", "response": response})])
    assert parts == [Started("r"), Ended("length")]


def test_texts_are_read_once_whether_deltas_or_ends_bring_them():
    deltas = [
        ("", {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"}),
        ("", {"type": "response.output_text.done", "output_index": 0, "text": "Hi!"}),
        (
            "",
            {
                "type": "response.output_item.done",
                "output_index": 0,
                "item": {"type": "message", "content": [{"type": "output_text", "text": "Hi!"}]},
            },
        ),
        ("", {"type": "response.incomplete", "response": {"incomplete_details": {}}}),
    ]
    assert read_stream(deltas) == [
        TextDelta("Hi"),
        TextDelta("!"),
        Started(),
        Ended("length"),
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "server_error", "message": "no luck"},
        {"type": "error", "error": {"message": "no luck", "code": "server_error"}},
        {"error": {"message": "no luck", "code": "server_error"}},
        {
            "type": "response.failed",
            "response": {"error": {"message": "no luck", "code": "server_error"}},
        },
    ],
)
def test_errors_in_streams(event):
    part = read_stream([("", event)])[-1]
    assert (part.error["message"], part.error["code"]) == ("no luck", "server_error")


def test_errors_of_whole_answers():
    body = {"error": {"message": "no luck", "type": "server_error"}}
    assert DIALECT.read_answer(json.dumps(body).encode()) == [Failed(body["error"])]
    failed = {"object": "response", "status": "failed", "error": None, "output": []}
    assert isinstance(DIALECT.read_answer(json.dumps(failed).encode())[-1], Failed)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *[
                        "type",
                        "output",
                        "item",
                        "content",
                        "summary",
                        "text",
                        "id",
                        "call_id",
                        "name",
                        "arguments",
                        "input",
                        "usage",
                        "error",
                        "status",
                        "delta",
                        "output_index",
                        "content_index",
                        "summary_index",
                        "response",
                        "part",
                        "encrypted_content",
                        "namespace",
                        "incomplete_details",
                        "reason",
                        "object",
                    ]
                ]
            ),
            inner
            | st.sampled_from(
                [
                    "response",
                    "message",
                    "reasoning",
                    "function_call",
                    "custom_tool_call",
                    "output_text",
                    "refusal",
                    "failed",
                    "floorline:AAAA",
                ]
            ),
            max_size=5,
        )
    ),
    max_leaves=15,
)
_event_names = st.sampled_from(
    [
        "response.created",
        "response.completed",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "error",
        "",
    ]
)


@given(_json | st.binary(max_size=20))
def test_readers_of_whole_answers_never_raise(value):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    DIALECT.read_answer(body)


@given(st.lists(st.tuples(_event_names, _json | st.binary(max_size=20)), max_size=6))
def test_readers_of_streams_never_raise(events):
    reader = DIALECT.stream_reader()
    for name, value in events:
        reader.read(name, value if isinstance(value, bytes) else json.dumps(value).encode())


def test_the_reasoning_of_translations_is_taken_out_for_providers_of_the_dialect():
    output = whole(ANSWER)["output"]
    assert [item["type"] for item in without_translated(output)] == [
        item["type"] for item in output[1:]
    ]
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    assert without_translated([own]) == [own]


def test_streams_grow_in_proportion_to_their_texts():
    def size(number):
        parts = [TextDelta("word "), *call(0, "weather", "x"), TextDelta("more")]
        return sum(len(json.dumps(event)) for _, event in streamed([parts * number]))

    assert size(400) < 2.2 * size(200)


def test_errors():
    body = DIALECT.write_error(404, "no such model", kind="k", code="c", param="model")
    assert json.loads(body)["error"]["param"] == "model"
    ((name, event),) = events_of(DIALECT.write_stream_error(body))
    assert (name, event["message"], event["code"]) == ("error", "no such model", "c")
    assert event["error"] == {
        "type": "k",
        "code": "c",
        "message": "no such model",
        "param": "model",
    }
    ((_, event),) = events_of(DIALECT.write_stream_error(b"<html>"))
    assert event["message"] == "<html>"


def test_a_refusal_is_a_part_of_its_own():
    output = whole([TextDelta("Well."), RefusalDelta("No."), Ended("stop")])["output"]
    assert [part["type"] for part in output[0]["content"]] == ["output_text", "refusal"]
