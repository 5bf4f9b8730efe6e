"""What of messages in any dialect is text, what is an image or a file, and what they need."""

import json
import time

import pytest

from floorline.encoders.prompt_size import approximate_tokens, measure_messages
from floorline.errors import InvalidInput

BASE64 = "iVBORw0KGgo" * 10_000
PNG = "data:image/png;base64," + BASE64
PDF = "data:application/pdf;base64," + BASE64
BLOCK = {"type": "base64", "media_type": "image/png", "data": BASE64}
IMAGES = {
    "OpenAI chat": {"type": "image_url", "image_url": {"url": PNG}},
    "OpenAI chat, address": {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
    "OpenAI responses": {"type": "input_image", "image_url": PNG, "detail": "high"},
    "OpenAI responses, id": {"type": "input_image", "file_id": "file-1"},
    "OpenAI assistants": {"type": "image_file", "image_file": {"file_id": "file-1"}},
    "OpenAI screenshot": {"type": "computer_screenshot", "image_url": PNG},
    "OpenAI, made": {"type": "image_generation_call", "id": "ig_1", "result": BASE64},
    "Mistral": {"type": "image_url", "image_url": PNG},
    "Anthropic": {"type": "image", "source": BLOCK},
    "Anthropic, address": {"type": "image", "source": {"type": "url", "url": "https://a.example"}},
    "Gemini": {"inline_data": {"mime_type": "image/png", "data": BASE64}},
    "Gemini in JavaScript": {"inlineData": {"mimeType": "image/png", "data": BASE64}},
    "Gemini, address": {"fileData": {"mimeType": "image/webp", "fileUri": "gs://a/b"}},
    "Bedrock": {"image": {"format": "png", "source": {"bytes": BASE64}}},
    "Vercel": {"type": "image", "image": PNG, "mediaType": "image/png"},
    "Vercel, file": {"type": "media", "data": BASE64, "mediaType": "image/png"},
    "Vercel's file": {"type": "file", "data": BASE64, "mediaType": "image/png"},
    "LangChain": {
        "type": "file",
        "source_type": "base64",
        "data": BASE64,
        "mime_type": "image/gif",
    },
    "MCP": {"type": "image", "data": BASE64, "mimeType": "image/png"},
    "unknown part": {"type": "sticker", "sticker": {"where": PNG}},
}
OTHERS = {
    "audio": [
        {"type": "input_audio", "input_audio": {"data": BASE64, "format": "wav"}},
        {"type": "audio_url", "audio_url": {"url": "https://a.example/b.mp3"}},
        {"inlineData": {"mimeType": "audio/wav", "data": BASE64}},
        {"type": "audio", "data": BASE64, "mimeType": "audio/wav"},
        {"audio": {"format": "mp3", "source": {"bytes": BASE64}}},
    ],
    "video": [
        {"type": "video_url", "video_url": {"url": "https://a.example/b.mp4"}},
        {"type": "video", "video": [PNG, PNG]},
        {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://a/b"}}}},
        {"file_data": {"mime_type": "video/mp4", "file_uri": "gs://a/b"}},
    ],
    "files": [
        {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_file", "file_data": PDF, "filename": "a.pdf"},
        {"type": "input_file", "file_url": "https://a.example/b.pdf"},
        {"type": "document", "source": {**BLOCK, "media_type": "application/pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "document_url", "document_url": "https://a.example/b.pdf"},
        {"document": {"format": "pdf", "name": "a", "source": {"bytes": BASE64}}},
        {"inline_data": {"mime_type": "application/pdf", "data": BASE64}},
    ],
}


def sized(*parts, role="user"):
    return measure_messages([{"role": role, "content": list(parts)}])


@pytest.mark.parametrize("part", IMAGES.values(), ids=IMAGES)
def test_an_image_of_any_dialect_needs_vision_and_is_no_text(part):
    found = sized({"type": "text", "text": "What?"}, part)
    assert (found.media, found.needs) == (1, {"vision"})
    assert (found.media_tokens, found.largest_media_tokens) == (1_024, 2_048)
    assert 5 <= found.characters < 40
    assert found.message_characters == 5
    longest = max(len(BASE64) * (BASE64 in json.dumps(part)), 1)
    assert found.media_characters >= longest - 1


@pytest.mark.parametrize(
    ("need", "part"), [(need, part) for need, parts in OTHERS.items() for part in parts]
)
def test_recordings_videos_and_files_need_their_capability(need, part):
    found = sized(part)
    assert (found.media, found.needs) == (1, {need})
    assert found.tokens < 1_024 + 20


@pytest.mark.parametrize(
    "around",
    [
        lambda part: {"type": "tool_result", "tool_use_id": "t", "content": [part]},
        lambda part: {"type": "function_call_output", "call_id": "c", "output": [part]},
        lambda part: {"toolResult": {"toolUseId": "t", "content": [part]}},
        lambda part: {"type": "document", "source": {"type": "content", "content": [part]}},
        lambda part: {"type": "tool_result", "content": [{"type": "wrapper", "parts": [part]}]},
    ],
)
def test_an_image_within_a_tool_result_is_found(around):
    found = sized(around(IMAGES["Anthropic"]), {"type": "text", "text": "What?"})
    assert (found.media, found.needs) == (1, {"vision"})
    assert found.characters < 40


def test_a_computers_screenshot_is_an_image():
    item = {"type": "computer_call_output", "output": IMAGES["OpenAI screenshot"]}
    assert measure_messages([item]).needs == {"vision"}


def test_images_of_a_message_itself_are_counted():
    found = measure_messages([{"role": "user", "content": "What?", "images": [BASE64, BASE64]}])
    assert (found.media, found.characters, found.needs) == (2, 5, {"vision"})


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        {"type": "input_image", "image_url": PNG, "detail": "low"},
    ],
)
def test_an_image_of_low_detail_is_small(part):
    assert sized(part).media_tokens == 85


LONG = "x" * 4_000
ARGUMENTS = {"path": "a.py", "text": LONG}
CALL = {"name": "f", "arguments": json.dumps(ARGUMENTS)}


def user(*parts):
    return {"role": "user", "content": list(parts)}


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "reasoning_content": LONG},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": LONG}]},
        {"role": "user", "name": LONG, "content": None},
        {"role": "assistant", "refusal": LONG},
        {"role": "model", "parts": [{"text": LONG}]},
        {"type": "message", "content": [{"type": "output_text", "text": LONG}]},
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": LONG}]},
        user({"type": "search_result", "content": [{"type": "text", "text": LONG}]}),
        user({"type": "document", "source": {"type": "text", "data": LONG}}),
        user({"document": {"name": "a", "source": {"text": LONG}}}),
        user({"type": "document", "document": {"id": "1", "data": {"text": LONG}}}),
        user({"type": "resource", "resource": {"mimeType": "text/plain", "text": LONG}}),
        [LONG],
        LONG,
    ],
)
def test_all_texts_of_a_message_count(message):
    found = measure_messages([message])
    assert 1_000 <= found.tokens < 1_020
    assert (found.media, found.needs, found.calls_tools) == (0, set(), False)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": CALL}]},
        {"role": "assistant", "function_call": CALL},
        {"role": "assistant", "tool_calls": [{"function": {**CALL, "arguments": ARGUMENTS}}]},
        user({"type": "tool_use", "id": "t", "name": "f", "input": ARGUMENTS}),
        user({"toolUse": {"toolUseId": "t", "name": "f", "input": ARGUMENTS}}),
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": ARGUMENTS}}]},
        {"type": "function_call", "call_id": "c", **CALL},
        {"role": "tool", "tool_call_id": "c", "content": LONG},
        {"role": "tool", "content": {"rows": [LONG]}},
        {"role": "function", "name": "f", "content": LONG},
        user({"type": "tool_result", "tool_use_id": "t", "content": LONG}),
        user({"toolResult": {"content": [{"json": ARGUMENTS}]}}),
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": ARGUMENTS}}]},
        {"type": "function_call_output", "call_id": "c", "output": LONG},
    ],
)
def test_tool_calls_and_their_results_count(message):
    found = measure_messages([message])
    assert 1_000 <= found.tokens < 1_020
    assert found.calls_tools
    assert found.media == 0


def test_base64_in_a_text_is_text():
    for part in ({"type": "text", "text": PNG}, PNG, {"type": "input_text", "text": PNG}):
        found = sized(part)
        assert (found.characters, found.media) == (len(PNG), 0)
    called = {"role": "assistant", "tool_calls": [{"function": {"arguments": {"url": PNG}}}]}
    assert measure_messages([called]).characters >= len(PNG)


def test_text_where_an_image_belongs_is_text():
    found = sized({"type": "image_url", "image_url": {"url": PNG}, "prompt": "x" * 400})
    assert (found.media, found.characters) == (1, 400)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_data": "data:text/csv;base64," + "QUFB" * 4_000}},
        {"inline_data": {"mime_type": "application/json", "data": "QUFB" * 4_000}},
        {"document": {"format": "md", "name": "a", "source": {"bytes": "QUFB" * 4_000}}},
    ],
)
def test_a_file_of_text_counts_by_its_length(part):
    found = sized(part)
    assert 12_000 // 4 <= found.media_tokens <= 12_000 // 4 + 20
    assert 12_000 <= found.largest_media_tokens <= 12_000 + 30
    assert found.needs == {"files"}


def deep(depth):
    value = "x"
    for n in range(depth):
        value = [value] if n % 2 else {"content": value}
    return value


@pytest.mark.parametrize(
    "messages",
    [
        [deep(100_000)],
        [{"role": "user", "content": [[]] * 100_000}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": [1] * 1_000_000}]}],
        [{"role": "user", "content": list(range(1_000_000))}],
        [{"role": "user", "content": [{f"k{n}": "v" for n in range(300_000)}]}],
        [{"type": "image", "image": [{"image": []}] * 100_000}] * 2,
        [{"role": "user", "content": [{"type": "text", "text": "x" * 20_000_000}]}],
    ],
    ids=["deep", "wide", "image of numbers", "numbers", "fields", "images", "long"],
)
def test_hostile_messages_take_little_time(messages):
    began = time.process_time()
    measure_messages(messages)
    assert time.process_time() - began < 2.0


def test_a_message_that_holds_itself_ends():
    message = {"role": "user"}
    message["content"] = [message, message]
    assert measure_messages([message]).media == 0


def test_a_prompt_is_a_text_or_a_list():
    assert approximate_tokens("12345") == 2
    assert approximate_tokens([{"role": "user", "content": "12345678"}]) == 2
    for wrong in (None, 7, {"role": "user"}, []):
        with pytest.raises(InvalidInput):
            approximate_tokens(wrong)
