"""Streams that pass in their own dialect or are translated, however their bytes are cut."""

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.dialect_answers import CACHED, DIALECTS, OUTPUT, PROMPT, WORDS, joined
from tests.support.dialect_provider import ANSWERS, KINDS

from floorline.gateway.dialects.registry import dialect_named
from floorline.gateway.upstreams.dialect_readers import PassedReader, TranslatedReader
from floorline.gateway.upstreams.sse import SseReader

NEW = ("anthropic", "responses")
PAIRS = [(client, kind) for client in KINDS for kind in KINDS if client != kind]


def passed(kind, **given):
    return PassedReader(dialect_named(kind).stream_reader(), kind, **given)


def translated(client, kind):
    reader, writer = (
        dialect_named(kind).stream_reader(),
        dialect_named(client).stream_writer("their-model", "answer-1"),
    )
    mark = SseReader.end_mark if kind == "openai" else b""
    return TranslatedReader(reader, writer, client, end_mark=mark)


def written(kind, scene, line_end=b"\n", comments=False):
    """A provider's stream."""
    events = list(DIALECTS[kind].events(*ANSWERS[scene]))
    if comments:
        events = [piece for event in events for piece in (b": quiet\n\n", event)]
    return b"".join(events).replace(b"\n", line_end)


def cut(data, places):
    edges = sorted({0, len(data), *(place % len(data) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def without_chance(data):
    """Events as values, without what depends on the clock or on chance, as ids of items do."""
    found = []
    data = _ITEM_ID.sub(b'"ITEM"', data)
    for event in data.strip().split(b"\n\n"):
        payload = event.partition(b"data: ")[2]
        if payload in (b"", b"[DONE]"):
            found.append(payload)
            continue
        text = payload.decode()
        for name in ("created", "created_at", "completed_at"):
            value = json.loads(text)
            for holder in (value, value.get("response") or {}):
                holder.pop(name, None)
            text = json.dumps(value)
        found.append(text)
    return found


_ITEM_ID = re.compile(rb'"(msg|rs|fc)_[0-9a-f]{20,}"')

places = st.lists(st.integers(0, 10**5), max_size=12)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


@pytest.mark.parametrize("kind", NEW)
@given(scene=st.sampled_from([*ANSWERS]), line_end=ends, places=places, comments=st.booleans())
def test_a_stream_that_passes_keeps_its_bytes(kind, scene, line_end, places, comments):
    data = written(kind, scene, line_end, comments)
    reader = passed(kind)
    got = b"".join(reader.feed(piece) for piece in cut(data, places)) + reader.close()
    assert got.rstrip(b"\r\n") == data.rstrip(b"\r\n")
    check(reader)


@pytest.mark.parametrize(("client", "kind"), PAIRS)
@given(scene=st.sampled_from([*ANSWERS]), line_end=ends, places=places, comments=st.booleans())
def test_a_translated_stream_does_not_depend_on_the_cuts(
    client, kind, scene, line_end, places, comments
):
    data = written(kind, scene, line_end, comments)
    reader, whole = translated(client, kind), translated(client, kind)
    got = b"".join(reader.feed(piece) for piece in cut(data, places)) + reader.close()
    expected = whole.feed(written(kind, scene))
    kept = b"\n\n".join(e for e in got.split(b"\n\n") if not e.startswith(b":"))
    assert without_chance(kept) == without_chance(expected)
    check(reader)


def check(reader):
    found = reader.found
    assert reader.done
    assert reader.begun
    assert found.complete
    assert found.error is None
    usage = found.usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (
        PROMPT,
        CACHED,
        OUTPUT,
    )
    assert found.output_characters >= len(joined(WORDS))


@pytest.mark.parametrize("kind", NEW)
def test_what_has_no_content_does_not_begin_a_stream(kind):
    reader = passed(kind)
    for event in DIALECTS[kind].events(*ANSWERS["words"]):
        reader.feed(event)
        begins = WORDS[1] in event.decode()
        assert reader.begun is begins
        if begins:
            break


@pytest.mark.parametrize("kind", NEW)
def test_an_event_that_is_not_known_is_content(kind):
    reader = passed(kind)
    reader.feed(b'event: response.pictures\ndata: {"type": "response.pictures"}\n\n')
    assert reader.begun


@pytest.mark.parametrize("kind", NEW)
def test_events_without_names_are_read_by_their_types(kind):
    reader = passed(kind)
    for event in DIALECTS[kind].events(*ANSWERS["call"]):
        reader.feed(event.partition(b"\n")[2])
    assert reader.done
    assert reader.found.complete


@pytest.mark.parametrize("kind", NEW)
def test_an_own_id_replaces_the_providers_everywhere(kind):
    reader = passed(kind, own_id="d-1")
    got = b"".join(map(reader.feed, DIALECTS[kind].events(*ANSWERS["words"])))
    theirs = {"anthropic": b'"msg_1"', "responses": b'"resp_1"'}[kind]
    assert theirs not in got
    assert b'"d-1"' in got
    assert reader.found.completion_id == theirs.decode().strip('"')


def test_messages_without_their_last_event_get_it():
    reader = passed("anthropic")
    *events, last = DIALECTS["anthropic"].events(*ANSWERS["words"])
    for event in events:
        reader.feed(event)
    assert not reader.done
    assert reader.found.complete
    assert json.loads(reader.ending().partition(b"data: ")[2]) == {"type": "message_stop"}
    assert reader.ending().replace(b" ", b"") == last.replace(b" ", b"")


@pytest.mark.parametrize(("client", "kind"), PAIRS)
def test_an_error_ends_a_translated_stream(client, kind):
    reader = translated(client, kind)
    got = b""
    for event in DIALECTS[kind].events(*ANSWERS["words"]):
        got += reader.feed(event)
        if reader.begun:
            break
    got += reader.feed(DIALECTS[kind].error_event("overloaded_error", "no capacity"))
    assert reader.done
    assert reader.found.error is not None
    assert b"no capacity" in got
    assert reader.feed(b"data: more\n\n") == reader.ending() == b""
