"""Requests and answers of one dialect in each of the others."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import answer_parts
from tests.support.whole_requests import conversations

from floorline.gateway.dialects.answer_parts import Ended, ToolCallDelta, ToolCallStarted, Used
from floorline.gateway.dialects.conversation import TextPart, ToolCallPart, ToolResultPart
from floorline.gateway.dialects.registry import dialect_named

NAMES = ("openai", "anthropic", "responses")
MODELS = ("gpt-5.2", "gpt-4o", "claude-opus-4-8", "claude-3-5-haiku-latest", "deepseek-chat", "m")


def said(request):
    """Texts without spaces, calls and results of a conversation."""
    texts, calls, results = [], [], []
    for turn in request.turns:
        for part in turn.parts:
            if isinstance(part, TextPart):
                texts.append(part.text)
            elif isinstance(part, ToolCallPart):
                calls.append(part.id)
            elif isinstance(part, ToolResultPart):
                results.append(part.call)
                texts += [one.text for one in part.parts if isinstance(one, TextPart)]
    return ["".join(text.split()) for text in texts], calls, results


@pytest.mark.parametrize("to", NAMES)
@pytest.mark.parametrize("source", NAMES)
@settings(max_examples=25)
@given(request=conversations(), model=st.sampled_from(MODELS))
def test_nothing_of_what_was_said_is_lost(source, to, request, model):
    first, second = dialect_named(source), dialect_named(to)
    fields = msgspec.json.decode(msgspec.json.encode(first.write_request(request, "m")))
    read = first.read_request(fields)
    sent = msgspec.json.decode(msgspec.json.encode(second.write_request(read, model)))
    texts, calls, results = said(second.read_request(sent))
    wanted = said(read)
    assert (calls, results) == wanted[1:]
    # Some writers add words of their own, and join texts.
    assert all(text in "".join(texts) for text in wanted[0])


@pytest.mark.parametrize("to", NAMES)
@pytest.mark.parametrize("source", NAMES)
@settings(max_examples=25)
@given(parts=answer_parts.answers(refusals=False, thinking=False))
def test_answers_survive_a_translation(source, to, parts):
    first, second = dialect_named(source), dialect_named(to)
    read = first.read_answer(first.write_answer(parts, "m", "id"))
    again = second.read_answer(second.write_answer(read, "m", "id"))
    wanted, arguments, used = answer_parts.merged(read)
    found, found_arguments, found_used = answer_parts.merged(again)
    assert _filled(found_arguments) == _filled(arguments)
    names = [(part.id, part.name) for part in wanted if isinstance(part, ToolCallStarted)]
    assert [(p.id, p.name) for p in found if isinstance(p, ToolCallStarted)] == names
    assert _texts(found) == _texts(wanted)
    assert [_counts(one) for one in found_used] == [_counts(one) for one in used]
    assert sum(isinstance(part, Ended) for part in again) == 1


def _filled(arguments):
    """Calls with arguments: no arguments may be none or an empty object."""
    return {index for index, text in arguments.items() if text.strip() not in ("", "{}")}


def _texts(parts):
    return "".join(getattr(part, "text", "") for part in parts)


def _counts(used: Used):
    usage = used.usage
    return usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens


@pytest.mark.parametrize("to", NAMES)
@given(parts=answer_parts.answers(), data=st.data())
def test_streams_of_any_pieces_end_once(to, parts, data):
    dialect = dialect_named(to)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(parts)), max_size=4)))
    pieces = [parts[a:b] for a, b in zip([0, *cuts], [*cuts, len(parts)], strict=True)]
    writer = dialect.stream_writer("m", "id")
    written = b"".join(map(writer.write, pieces)) + writer.end()
    assert writer.end() == b""
    reader, read = dialect.stream_reader(), []
    for block in written.split(b"\n\n")[:-1]:
        lines = dict(line.split(b": ", 1) for line in block.split(b"\n"))
        read += reader.read(lines.get(b"event", b"").decode(), lines[b"data"])
    assert reader.done
    assert sum(isinstance(part, Ended) for part in read) == 1
    calls = {part.index for part in parts if isinstance(part, ToolCallDelta)}
    assert {part.index for part in read if isinstance(part, ToolCallStarted)} == calls
