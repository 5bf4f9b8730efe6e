"""The size of a prompt: how much text a model reads, which media, and what it must be able to do.

The messages may be of any dialect: OpenAI's chat and responses, Anthropic, Gemini, Bedrock,
Mistral, Cohere, Ollama and what imitates them. All texts of a message count, also tool calls and
their results, names and reasoning. The data of images, recordings, videos and files do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from floorline.encoders.base import Prompt
from floorline.encoders.dialects import (
    CALL_ROLES,
    CALLS,
    DATA_FIELDS,
    INLINE_FIELDS,
    JSON_FIELDS,
    MEDIA_FIELDS,
    MEDIA_PARTS,
    NO_TEXT_FIELDS,
    TEXT_FIELDS,
    TEXT_FORMATS,
    TEXT_TYPES,
    TYPE_FIELDS,
)
from floorline.encoders.messages import check_messages

CHARACTERS_PER_TOKEN = 4
"""Characters of English text in one token of common tokenizers, on average."""
MEDIA_TOKENS = 1_024
"""Tokens that are assumed of an image, a recording, a video or a file. Its bytes say little: OpenAI
counts 765 for a square image and at most 1,105, Anthropic at most some 1,600. Only a file with the
type of a text counts by its length."""
LARGEST_MEDIA_TOKENS = 2_048
"""What is reserved for each of them: most providers count one image at up to about 1,600."""
LOW_DETAIL_TOKENS = 85
"""Tokens of an image with ``"detail": "low"``, as OpenAI counts them."""
_MAX_VALUES = 200_000
"""Values of messages that are looked at, some 30 ms. What is beyond counts by the length of its
JSON."""

_SCALARS = frozenset({int, float, bool, type(None)})


class PromptSize(NamedTuple):
    """What of a prompt costs tokens, and what a model must be able to do.

    Attributes
    ----------
    characters : int
        Characters of all texts, those of tool calls and reasoning included.
    message_characters : int
        Those of the messages' own texts, which every provider counts.
    media : int
        Number of images, recordings, videos and files.
    media_tokens, largest_media_tokens : int
        Estimate of their tokens, and what is reserved for them.
    media_characters : int
        Characters of their data and addresses, which are no text.
    needs : frozenset of str
        Capabilities that the media need: vision, audio, video, files.
    calls_tools : bool
        Whether a message calls a tool or has its result.
    images : int
        Number of images.
    """

    characters: int = 0
    message_characters: int = 0
    media: int = 0
    media_tokens: int = 0
    largest_media_tokens: int = 0
    media_characters: int = 0
    needs: frozenset[str] = frozenset()
    calls_tools: bool = False
    images: int = 0

    @property
    def tokens(self) -> int:
        """Estimate of the tokens: characters / 4, rounded up, and those of the media."""
        return tokens_in(self.characters) + self.media_tokens


def tokens_in(characters: int) -> int:
    """Estimate the tokens of a text without a tokenizer: characters / 4, rounded up."""
    return (characters + CHARACTERS_PER_TOKEN - 1) // CHARACTERS_PER_TOKEN


def approximate_tokens(prompt: Prompt) -> int:
    """Estimate the tokens of a prompt without a tokenizer.

    Raises
    ------
    InvalidInput
        If the prompt is neither a text nor a list of messages, or the list is empty.

    Examples
    --------
    >>> approximate_tokens([{"role": "user", "content": "Why?"}])
    1
    """
    if isinstance(prompt, str):
        return tokens_in(len(prompt))
    return measure_messages(check_messages(prompt)).tokens


def measure_messages(messages: Iterable[Any]) -> PromptSize:
    """Measure messages of any dialect, or the items of a prompt in another shape.

    The time grows with the number of values and with the length of texts that are no ASCII. Values
    may be nested as deeply as they like.

    Parameters
    ----------
    messages
        Decoded JSON: texts, objects, lists.

    Examples
    --------
    >>> image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    >>> text = {"type": "text", "text": "What?"}
    >>> size = measure_messages([{"role": "user", "content": [text, image]}])
    >>> size.characters, size.media, size.media_tokens, sorted(size.needs)
    (5, 1, 1024, ['vision'])
    """
    plain = 0
    others = []
    for message in messages:
        # Most messages are a role and a text.
        if type(message) is dict and len(message) == 2:
            content, role = message.get("content"), message.get("role")
            if type(content) is str and type(role) is str and role not in CALL_ROLES:
                plain += len(content)
                continue
        others.append(message)
    if not others:
        return PromptSize(plain, plain)
    reader = _Reader()
    reader.read(others)
    return PromptSize(
        plain + reader.characters,
        plain + reader.message_characters,
        reader.media,
        reader.media_tokens,
        reader.largest_media_tokens,
        reader.media_characters,
        frozenset(reader.needs),
        reader.calls_tools,
        reader.images,
    )


class _Reader:
    """Adds up what is in the values of messages."""

    def __init__(self) -> None:
        self.characters = 0
        self.message_characters = 0
        self.media = 0
        self.media_tokens = 0
        self.largest_media_tokens = 0
        self.media_characters = 0
        self.needs: set[str] = set()
        self.calls_tools = False
        self.images = 0
        self._left = _MAX_VALUES
        # A stack in place of recursion, with the name of the field that holds each value.
        self._waiting: list[tuple[Any, Any]] = []

    def read(self, values: list[Any]) -> None:
        """Add these messages."""
        self.wait_for("content", values)
        while self._waiting:
            key, value = self._waiting.pop()
            if type(value) is dict or isinstance(value, Mapping):
                if self.takes(value):
                    self._object(value)
            elif isinstance(value, str):
                self._text(key, value)
            elif isinstance(value, list | tuple) and self.takes(value):
                self.wait_for(key, value)

    def wait_for(self, key: Any, values: Iterable[Any]) -> None:
        """Read the values of a list later; numbers are no text."""
        self._waiting.extend((key, value) for value in values if type(value) not in _SCALARS)

    def takes(self, value: Any) -> bool:
        """Whether an object or a list is looked at; else its JSON counts as text."""
        if len(value) > self._left:
            self.characters += _json_length(value)
            return False
        self._left -= len(value) + 1
        return True

    def _object(self, value: Mapping[Any, Any]) -> None:
        kind = value.get("type")
        if type(kind) is str and kind in MEDIA_PARTS:
            self._media(value, MEDIA_PARTS[kind])
            return
        if not TYPE_FIELDS.isdisjoint(value) and not INLINE_FIELDS.isdisjoint(value):
            self._media(value, _need_of(_mime_type(value)))
            return
        for key, item in value.items():
            if type(item) is str:
                if key in TEXT_FIELDS:
                    self.characters += len(item)
                    if key == "content" or key == "text":
                        self.message_characters += len(item)
                elif key not in NO_TEXT_FIELDS:
                    self._text(key, item)
                elif key == "role":
                    self.calls_tools |= item in CALL_ROLES
                elif key == "type":
                    self.calls_tools |= item in CALLS
            elif type(item) in _SCALARS or not item or key in NO_TEXT_FIELDS:
                continue
            elif key in MEDIA_FIELDS:
                for piece in item if isinstance(item, list | tuple) else (item,):
                    self._media(piece, MEDIA_FIELDS[key])
            elif key in JSON_FIELDS:
                self.characters += _json_length(item)
            else:
                self.calls_tools |= key in CALLS
                self._waiting.append((key, item))

    def _text(self, key: Any, text: str) -> None:
        """Add a text of a list, or of a field that is not known."""
        if key in TEXT_FIELDS:
            self.characters += len(text)
            if key == "content":
                self.message_characters += len(text)
        elif mime := _data_url_type(text):
            self._add_media(_need_of(mime), len(text), mime)
        elif key in MEDIA_FIELDS and key != "document":
            self._add_media(MEDIA_FIELDS[key], len(text))
        else:
            self.characters += len(text)

    def _media(self, part: Any, need: str) -> None:
        """Add a part that is no text: its data count by piece, its texts as texts."""
        found = _Media(self)
        found.read(part)
        self.characters += found.text
        if found.data or not found.is_text:
            self._add_media(need, found.data, found.mime, low_detail=found.low_detail)

    def _add_media(
        self, need: str, length: int, mime: str = "", *, low_detail: bool = False
    ) -> None:
        if need == "files" and mime:
            # Some dialects have one type of part for all media.
            need = _need_of(mime)
        self.media += 1
        self.images += need == "vision"
        self.needs.add(need)
        self.media_characters += length
        # Base64 has four characters for three bytes.
        size = length * 3 // 4 if mime.startswith(TEXT_TYPES) else 0
        is_small = low_detail and need == "vision"
        least = LOW_DETAIL_TOKENS if is_small else MEDIA_TOKENS
        self.media_tokens += max(least, tokens_in(size))
        self.largest_media_tokens += max(LARGEST_MEDIA_TOKENS, size)


class _Media:
    """What is in a part that is no text; the reader reads the blocks that it holds."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader
        self.data = 0
        self.text = 0
        self.is_text = False
        self.mime = ""
        self.low_detail = False

    def read(self, part: Any) -> None:
        """Add up a part."""
        waiting: list[tuple[Any, Any]] = [("data", part)]
        while waiting:
            key, value = waiting.pop()
            if isinstance(value, str):
                self._text(key, value)
            elif isinstance(value, Mapping):
                if not self._reader.takes(value):
                    continue
                self.mime = _mime_type(value) or self.mime
                is_text = value.get("type") == "text"
                waiting.extend(
                    ("text" if is_text and name == "data" else name, item)
                    for name, item in value.items()
                )
            elif isinstance(value, list | tuple):
                if key == "content":
                    # Blocks of a document: texts and images.
                    self.is_text = True
                    self._reader.wait_for(key, value)
                elif self._reader.takes(value):
                    waiting.extend((key, item) for item in value)

    def _text(self, key: Any, text: str) -> None:
        if key == "detail":
            self.low_detail = text == "low"
        elif key == "format" and text in TEXT_FORMATS:
            self.mime = self.mime or "text/plain"
        elif key in NO_TEXT_FIELDS or key == "filename":
            pass
        elif key not in DATA_FIELDS or (
            key == "data" and " " in text[:200] and ":" not in text[:5]
        ):
            # Base64 has no spaces.
            self.text += len(text)
            self.is_text |= key not in ("name", "title")
        else:
            self.data += len(text)
            self.mime = _data_url_type(text) or self.mime


def _is_prose(text: str) -> bool:
    """Whether a text is no Base64 and no address, because it has spaces."""
    return " " in text[:200] and not text.startswith("data:")


def _mime_type(value: Mapping[Any, Any]) -> str:
    return next((value[key] for key in TYPE_FIELDS if isinstance(value.get(key), str)), "")


def _need_of(mime: str) -> str:
    kind = mime.partition("/")[0]
    return {"image": "vision", "audio": "audio", "video": "video"}.get(kind, "files")


def _data_url_type(text: str) -> str:
    """Type of the data in a data URL with Base64; "" if the text is none."""
    if not text.startswith("data:"):
        return ""
    kind, base64, _ = text[5:261].partition(";base64,")
    return (kind or "text/plain") if base64 else ""


def _json_length(value: Any) -> int:
    try:
        return len(msgspec.json.encode(value, enc_hook=str))
    except (ValueError, TypeError, RecursionError):
        # Of a caller in the same process: what is no JSON.
        return len(str(type(value)))
