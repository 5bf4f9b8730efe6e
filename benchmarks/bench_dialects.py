"""Processor time of requests and events that pass in their dialect or are translated.

``python benchmarks/bench_dialects.py`` prints a table: a request of an agent with 25 tools and
some 50 turns (115 kB in Anthropic's dialect), and the events of a stream of 200 words, for each
pair of a client and a provider. The fastest of 15 rounds counts, which other work disturbs least.
"""

import json
import time

from floorline._markdown import markdown_table
from floorline.gateway.chat_request import read_chat
from floorline.gateway.dialects.answer_parts import Ended, Started, TextDelta, Used
from floorline.gateway.dialects.registry import dialect_named
from floorline.gateway.translation import for_provider
from floorline.gateway.upstreams import UpstreamSettings
from floorline.gateway.upstreams.dialect_readers import PassedReader, TranslatedReader
from floorline.gateway.upstreams.sse import SseReader
from floorline.gateway.upstreams.usage import Usage
from floorline.zoo import Model

DIALECTS = ("openai", "anthropic", "responses")
ROUNDS = 15
MODEL = Model("m")
WORDS = 200


def conversation():
    """Fields of a request in Anthropic's dialect."""
    properties = {f"field_{n}": {"type": "string", "description": "x" * 50} for n in range(8)}
    schema = {"type": "object", "properties": properties}
    tools = [
        {"name": f"tool_{n}", "description": "d" * 1500, "input_schema": schema} for n in range(25)
    ]
    turns = [{"role": "user", "content": "Hi" * 200}]
    for n in range(50):
        call = {"type": "tool_use", "id": f"t{n}", "name": "tool_1", "input": {"a": "b" * 100}}
        turns.append({"role": "assistant", "content": [{"type": "text", "text": "ok"}, call]})
        result = {"type": "tool_result", "tool_use_id": f"t{n}", "content": "r" * 500}
        turns.append({"role": "user", "content": [result]})
    about = {"model": "m", "max_tokens": 1000, "stream": True, "system": "s" * 14_000}
    return {**about, "messages": turns, "tools": tools}


def provider(dialect):
    return UpstreamSettings(model="theirs", endpoint="http://127.0.0.1/v1", kind=dialect)


def fastest(work, *given):
    """Seconds of processor time of the fastest round."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work(*given)
        found.append(time.process_time() - began)
    return min(found)


def events(dialect):
    """Events of a stream of words."""
    writer = dialect_named(dialect).stream_writer("theirs", "answer-1")
    parts = [
        Started("answer-1"),
        *(TextDelta(f"word{n} ") for n in range(WORDS)),
        Used(Usage(40, WORDS)),
        Ended("stop"),
    ]
    written = [writer.write([part]) for part in parts] + [writer.end()]
    return [event for event in written if event]


def reader(client, dialect):
    own = dialect_named(dialect).stream_reader()
    if client != dialect:
        return TranslatedReader(
            own, dialect_named(client).stream_writer("theirs", "answer-1"), client
        )
    return SseReader(drop_usage=True) if client == "openai" else PassedReader(own, client)


def pass_on(client, dialect, stream):
    passing = reader(client, dialect)
    for event in stream:
        passing.feed(event)


def main():
    asked = conversation()
    read = read_chat(json.dumps(asked).encode(), {}, "anthropic")
    rows = []
    for client in DIALECTS:
        data = for_provider(read, MODEL, provider(client))[0]
        chat = read_chat(data, {}, client)
        cells = [client, f"{1e3 * fastest(read_chat, data, {}, client):.2f} ms"]
        for kind in DIALECTS:
            request = fastest(for_provider, chat, MODEL, provider(kind))
            stream = events(kind)
            each = fastest(pass_on, client, kind, stream) / len(stream)
            cells.append(f"{1e3 * request:.2f} ms, {1e6 * each:.1f} µs")
        rows.append(cells)
    header = ["client", "routing reads it", *(f"provider: {kind}" for kind in DIALECTS)]
    print(markdown_table(header, rows))


if __name__ == "__main__":
    main()
