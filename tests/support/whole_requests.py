"""Requests in no dialect with all fields that every dialect can say, for round trips."""

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

_texts = st.text(min_size=1, max_size=12)
_text_parts = st.builds(TextPart, _texts)
_media = st.one_of(
    st.builds(
        MediaPart,
        st.just("image"),
        data=st.just("AAAA"),
        media_type=st.sampled_from(["image/png", "image/jpeg"]),
        detail=st.sampled_from(["", "low", "high"]),
    ),
    st.just(MediaPart("image", "https://a.example/b.png")),
    st.just(MediaPart("file", data="AAAA", media_type="application/pdf", name="a.pdf")),
    st.just(MediaPart("file", "https://a.example/b.pdf")),
    st.just(MediaPart("audio", data="AAAA", media_type="audio/mpeg")),
)
_user_turns = st.lists(_text_parts | _media, min_size=1, max_size=3).map(lambda p: Turn("user", p))


@st.composite
def conversations(draw):
    turns = []
    if draw(st.booleans()):
        turns.append(Turn("system", draw(st.lists(_text_parts, min_size=1, max_size=2))))
    calls = 0
    for _ in range(draw(st.integers(1, 4))):
        turns.append(draw(_user_turns))
        said = draw(st.lists(_text_parts, max_size=2))
        made = []
        for _ in range(draw(st.integers(0, 2))):
            calls += 1
            made.append(
                ToolCallPart(f"call_{calls}", "f", draw(st.sampled_from(["{}", "no JSON"])))
            )
        if said or made:
            turns.append(Turn("assistant", [*said, *made]))
        if made:
            answers = st.lists(_text_parts, min_size=1, max_size=2)
            turns.append(Turn("user", [ToolResultPart(one.id, draw(answers)) for one in made]))
    limits = st.none() | st.integers(16, 4096)
    return Conversation(
        turns=turns,
        stream=draw(st.booleans()),
        tools=[Tool("f", draw(st.text(max_size=5)), {"type": "object"}, draw(st.booleans()))],
        tool_choice=draw(st.sampled_from(["", "auto", "none", "required", "tool:f"])),
        parallel_tools=draw(st.none() | st.booleans()),
        max_output_tokens=draw(limits),
        temperature=draw(st.none() | st.floats(0, 2)),
        top_p=draw(st.none() | st.floats(0, 1)),
        effort=draw(st.sampled_from(["", "low", "medium", "high"])),
        output=draw(
            st.none()
            | st.just(OutputSchema())
            | st.just(OutputSchema({"type": "object"}, "a", True))
        ),
        user=draw(st.text(max_size=64)),
        cache_key=draw(st.text(max_size=64)),
    )
