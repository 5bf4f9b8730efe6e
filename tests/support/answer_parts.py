"""Answers as parts: strategies, and the form in which two answers are compared."""

from hypothesis import strategies as st

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
from floorline.gateway.upstreams.usage import Usage

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
usages = st.builds(
    lambda prompt, output, cached: Usage(prompt, output, min(cached, prompt)),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.integers(0, 10**6),
)


@st.composite
def answers(draw, thinking=True, refusals=True):
    """Parts of a whole answer, as a provider sends them: in order, each call after the other."""
    parts = [Started("answer_1", "model")]
    calls = 0
    kinds = ["text", "call", *(["thinking"] * thinking), *(["refusal"] * refusals)]
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=6)):
        if kind == "text":
            parts += [TextDelta(text) for text in draw(st.lists(texts, min_size=1, max_size=3))]
        elif kind == "refusal":
            parts.append(RefusalDelta(draw(texts)))
        elif kind == "thinking":
            parts += [ThinkingDelta(text) for text in draw(st.lists(texts, max_size=2))]
            if draw(st.booleans()):
                parts.append(ThinkingDelta(signature=draw(texts)))
        else:
            parts.append(ToolCallStarted(calls, f"call_{calls}", draw(st.sampled_from("abc"))))
            pieces = draw(
                st.lists(texts, min_size=1, max_size=3) | st.just(['{"city":', ' "Oslo"}'])
            )
            parts += [ToolCallDelta(calls, piece) for piece in pieces]
            calls += 1
    reason = "tool_calls" if calls else draw(st.sampled_from(["stop", "length", "content_filter"]))
    return [*parts, Used(draw(usages)), Ended(reason)]


failed = st.builds(lambda text: Failed({"message": text, "code": "server_error"}), texts)


def merged(parts):
    """Join what streams may cut anywhere: texts next to each other, and the arguments of a call."""
    found, arguments = [], {}
    for part in parts:
        last = found[-1] if found else None
        if isinstance(part, ToolCallDelta):
            arguments[part.index] = arguments.get(part.index, "") + part.arguments
        elif isinstance(part, TextDelta | RefusalDelta) and type(last) is type(part):
            found[-1] = type(part)(last.text + part.text)
        elif isinstance(part, ThinkingDelta) and isinstance(last, ThinkingDelta):
            # A proof ends the text before it.
            if part.text and (last.signature or last.encrypted):
                found.append(part)
            else:
                found[-1] = ThinkingDelta(
                    last.text + part.text,
                    last.signature + part.signature,
                    last.encrypted + part.encrypted,
                )
        elif not isinstance(part, Used):
            found.append(part)
    used = [part for part in parts if isinstance(part, Used)][-1:]
    return found, arguments, used
