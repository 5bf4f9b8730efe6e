"""The reader of streams, whatever pieces they come in."""

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.bounds import canonical_id
from floorline.gateway.upstreams.completions import read_completion
from floorline.gateway.upstreams.event_reader import looks_like_events
from floorline.gateway.upstreams.sse import SseReader
from floorline.gateway.upstreams.usage import Usage

USAGE = {"prompt_tokens": 5, "completion_tokens": 2}


def chunk(text, finish=None, **more):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return json.dumps({"id": "c-1", "choices": [choice], **more}, ensure_ascii=False)


def read(pieces, **options):
    reader = SseReader(**options)
    passed = b"".join(reader.feed(piece) for piece in pieces) + reader.close()
    return reader, passed


def facts(reader):
    found = reader.found
    return (
        found.completion_id,
        found.usage,
        found.output_characters,
        found.finish_reasons,
        found.error,
        reader.done,
        reader.begun,
    )


def split(data, cuts):
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


texts = st.text(max_size=8)
lines = st.one_of(
    texts.map(lambda text: f"data: {chunk(text)}"),
    texts.map(lambda text: f"data:{chunk(text, 'stop')}"),
    # A completion on several lines of data.
    texts.map(lambda text: "data: {\ndata: " + chunk(text)[1:]),
    st.sampled_from(
        [
            ": still there",
            "",
            "event: message",
            "id: 7",
            "data",
            "data: [DONE]",
            "data: <html>",
            'data: {"error": {"message": "no"}}',
            "data: " + json.dumps({"id": "c-1", "choices": [], "usage": USAGE}),
            "data: " + chunk("x", usage=None),
        ]
    ),
)
streams = st.builds(
    lambda blocks, end, bom, tail: (
        (b"\xef\xbb\xbf" if bom else b"")
        + "\n\n".join(blocks).encode().replace(b"\n", end)
        + tail.encode().replace(b"\n", end)
    ),
    st.lists(lines, max_size=6),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.booleans(),
    st.sampled_from(["", "\n", "\n\n", "\n\n\n\n"]),
)
cuts = st.lists(st.integers(0, 10_000), max_size=12)


def up_to_done(data):
    """What a client gets of a stream, apart from line ends after it."""
    match = re.search(rb"(?:\A|\n|\r)(?:\xef\xbb\xbf)?data: \[DONE\]", data)
    return data[: match.end()] if match else data


@given(streams, cuts)
def test_any_split_reads_the_same_and_passes_unchanged(data, cuts):
    reader, passed = read(split(data, cuts))
    assert passed.rstrip(b"\r\n") == up_to_done(data).rstrip(b"\r\n")
    assert reader.done or passed == data
    assert facts(reader) == facts(read([data])[0])
    assert facts(reader) == facts(read([bytes([byte]) for byte in data])[0])


@given(streams, cuts)
def test_any_split_drops_the_same(data, cuts):
    reader, passed = read(split(data, cuts), drop_usage=True)
    assert facts(reader) == facts(read([data])[0])
    again = read([passed])[0]
    assert again.found.usage is None
    assert again.found.output_characters == reader.found.output_characters
    assert again.done == reader.done


def events_of(data):
    text = data.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return [event.split("\n") for event in text.split("\n\n")]


def payload(event):
    data = "\n".join(line[5:] for line in event if line.startswith("data:"))
    try:
        return json.loads(data)
    except ValueError:
        return None


@given(streams, cuts)
def test_any_split_gets_the_same_ids_of_our_own_and_nothing_else_changes(data, cuts):
    reader, passed = read(split(data, cuts), own_id="d-1")
    assert facts(reader) == facts(read([data])[0])
    assert passed == read([data], own_id="d-1")[1]
    before, after = events_of(up_to_done(data)), events_of(up_to_done(passed))
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        was, now = payload(old), payload(new)
        if isinstance(was, dict) and isinstance(was.get("choices"), list):
            assert now == {**was, "id": "d-1"}
            assert [line for line in old if line[:5] != "data:"] == new[:-1]
        else:
            assert new == old


@pytest.mark.parametrize(
    ("id", "kept"),
    [
        ('"c-1"', "c-1"),
        ("17", "17"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("1.5e0", "1.5"),
        ('"\\u0000x"', canonical_id("\0x")),
        (f'"{"x" * 9000}"', canonical_id("x" * 9000)),
        ("9" * 9000, canonical_id("9" * 9000)),
        ("1e400", "inf"),
        *((odd, None) for odd in ('""', "-x", "null", "true", "[1]", '{"id": 3}')),
    ],
)
def test_an_id_of_any_kind_is_read_and_makes_nothing_else_unreadable(id, kept):
    event = f'data: {{"id": {id}, "choices": [{{"delta": {{"content": "Hi"}}}}]}}\n\n'
    reader, passed = read([event.encode()], own_id="d-1")
    assert (reader.found.completion_id, reader.found.output_characters) == (kept, 2)
    assert passed == b'data: {"id":"d-1","choices":[{"delta": {"content": "Hi"}}]}\n\n'


@given(st.lists(texts, min_size=1, max_size=8), st.sampled_from(["\n", "\r\n", "\r"]), cuts)
def test_valid_streams_are_read_right(words, end, cuts):
    blocks = [chunk(word) for word in words] + [chunk("", "stop"), "[DONE]"]
    data = "".join(f"data: {block}{end}{end}" for block in blocks).encode()
    reader, _ = read(split(data, cuts))
    found = reader.found
    assert found.completion_id == "c-1"
    assert found.output_characters == sum(map(len, words))
    assert found.finish_reasons == ["stop"]
    assert (reader.done, reader.begun) == (True, True)


@given(st.binary(max_size=200), cuts)
def test_arbitrary_bytes_raise_no_error(data, cuts):
    reader, passed = read(split(data, cuts))
    assert passed == data
    assert facts(reader) == facts(read([data])[0])


NAMES = [
    *("id", "choices", "usage", "error", "x_groq", "timings", "index", "delta", "message", "text"),
    *("finish_reason", "content", "tool_calls", "function", "name", "arguments", "role", "type"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens"),
    *("prompt_tokens_details", "cached_tokens", "prompt_n", "predicted_n", "billed_units"),
]
odd_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "stop", "error", "null", "12", "\ud83e", [], {}])
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
        | st.fixed_dictionaries({"choices": st.lists(inner, max_size=2), "usage": inner})
    ),
    max_leaves=25,
)


@given(st.lists(odd_values, max_size=4), st.booleans(), st.booleans())
def test_any_value_in_any_field_is_read_without_an_error(values, drop, own):
    events = [b"data: " + json.dumps(value).encode() for value in values]
    reader, passed = read(
        [b"\n\n".join(events), b"\n\n"], drop_usage=drop, own_id="d-1" if own else ""
    )
    found = reader.found
    assert found.usage is None or found.usage.prompt_tokens >= 0
    assert all(isinstance(reason, str) for reason in found.finish_reasons)
    assert found.error is None or isinstance(found.error, dict)
    assert drop or len(events_of(passed)) >= len(events)
    for event in events:
        whole = read_completion(event[6:])
        assert whole is None or whole.fault is None or isinstance(whole.fault, dict)


def test_what_a_model_wrote_is_counted_wherever_it_stands():
    delta = {
        "content": "four",
        "reasoning_content": "ab",
        "refusal": "c",
        "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}, "odd"],
    }
    event = {"id": 7, "choices": [{"delta": delta}, {"delta": None}, {"delta": {"content": []}}]}
    reader, _ = read([b"data: " + json.dumps(event).encode()])
    assert reader.found.output_characters == 4 + 2 + 1 + 3
    assert reader.found.completion_id == "7"


def test_usage_with_every_chunk_counts_once_and_stays():
    events = [chunk("a", usage={"prompt_tokens": 5, "completion_tokens": n}) for n in (1, 2)]
    data = "".join(f"data: {event}\n\n" for event in events).encode()
    reader, passed = read([data], drop_usage=True)
    assert reader.found.usage == Usage(5, 2)
    assert passed == data


def test_only_events_look_like_events():
    whole = b'\xef\xbb\xbf: hi\r\n\r\ndata: {"a": 1}\n\n'
    assert all(looks_like_events(whole[:n]) for n in range(1, len(whole)))
    for start in (b"{}", b"<html>", b"data", b"Internal error", b" data: x"):
        assert looks_like_events(start) == (start == b"data")


def test_counts_of_ever_new_names_take_no_time_and_no_memory():
    reader = SseReader()
    for number in range(20_000):
        usage = {f"tokens_{number}": 1}
        chunk = {"choices": [{"index": number, "usage": {"input_tokens": 1, "output_tokens": 1}}]}
        reader.feed(b"data: " + json.dumps({**chunk}).encode() + b"\n\n")
        reader.feed(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n")
    assert len(reader.found._usage_of_choices) <= 1_000
    assert len(reader.found._usage_fields) <= 1
