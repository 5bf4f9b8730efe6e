"""Conversations that a dialect can say whole, as strategies."""

import json
from base64 import b64encode

from hypothesis import strategies as st

from floorline.gateway.dialects.conversation import (
    Conversation,
    MediaPart,
    OutputSchema,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Turn,
)

# Texts that no dialect trims: an answer that ends with a space is one that goes on.
words = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=12)
ids = st.text("abcdefXYZ019_-", min_size=1, max_size=20)
names = st.sampled_from(["weather", "read_file", "run-tests"])
base64 = st.binary(min_size=1, max_size=9).map(lambda data: b64encode(data).decode())
arguments = st.dictionaries(
    words, st.integers() | words | st.none() | st.booleans(), max_size=3
).map(lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False))
images = st.builds(
    lambda data, kind: MediaPart("image", data=data, media_type=f"image/{kind}"),
    base64,
    st.sampled_from(["png", "jpeg"]),
) | words.map(lambda word: MediaPart("image", url="https://example.com/" + word))
pdfs = st.builds(
    lambda data, name: MediaPart("file", data=data, media_type="application/pdf", name=name),
    base64,
    words,
)
texts = words.map(TextPart)


@st.composite
def turns(draw, media_in_results=True, joined_results=False):
    """Turns as agents have them: calls have results, and roles alternate.

    Parameters
    ----------
    media_in_results
        Whether tools answer with images.
    joined_results
        Whether what the user says stands in the turn of the results.
    """
    found = []
    if draw(st.booleans()):
        found.append(Turn("system", [draw(texts)]))
    calls = 0
    for _ in range(draw(st.integers(0, 3))):
        said = draw(texts | images | pdfs)
        more = draw(st.lists(images, max_size=2))
        say = [said, *more]
        if joined_results and found and found[-1].role == "user":
            found[-1].parts += say
        else:
            found.append(Turn("user", say))
        answer = [TextPart(draw(words))] if draw(st.booleans()) else []
        results = []
        for _ in range(draw(st.integers(0 if answer else 1, 3))):
            id = f"call_{calls}"
            calls += 1
            answer.append(ToolCallPart(id, draw(names), draw(arguments)))
            content = draw(st.lists(texts, max_size=1))
            if media_in_results and content:
                content += draw(st.lists(images, max_size=1))
            results.append(ToolResultPart(id, content))
        found.append(Turn("assistant", answer))
        if results:
            found.append(Turn("user", results))
    if found and found[-1].role == "user":
        if joined_results:
            found[-1].parts += [draw(texts)]
            return found
        if type(found[-1].parts[0]) is not ToolResultPart:
            return found
    found.append(Turn("user", [draw(texts)]))
    return found


schemas = st.dictionaries(
    words, st.fixed_dictionaries({"type": st.just("string")}), max_size=2
).map(lambda properties: {"type": "object", "properties": properties})


closed = schemas.map(lambda schema: {**schema, "additionalProperties": False})


@st.composite
def conversations(draw, turns, **fields):
    """Requests with these turns; ``fields`` are strategies of further fields."""
    tools = draw(
        st.lists(
            st.builds(Tool, names, words, schemas, st.sampled_from([None, True, False])),
            max_size=3,
            unique_by=lambda tool: tool.name,
        )
    )
    choices = ["", "auto", "none", "required", *(f"tool:{tool.name}" for tool in tools)]
    choice = draw(st.sampled_from(choices)) if tools else ""
    return Conversation(
        turns=draw(turns),
        stream=draw(st.booleans()),
        tools=tools,
        tool_choice=choice,
        # Anthropic says how many calls there may be only where there may be some.
        parallel_tools=draw(st.sampled_from([True, False])) if choice not in ("", "none") else None,
        max_output_tokens=draw(st.integers(1, 10**5)),
        temperature=draw(st.none() | st.floats(0, 1)),
        top_p=draw(st.none() | st.floats(0, 1)),
        stop=draw(st.lists(words, max_size=4)),
        output=draw(st.none() | closed.map(OutputSchema)),
        user=draw(st.just("") | ids),
        **{name: draw(value) for name, value in fields.items()},
    )
