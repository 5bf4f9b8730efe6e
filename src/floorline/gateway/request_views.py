"""The fields of requests that routing reads, for each dialect and endpoint."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

NamedPath = Literal["", "/completions", "/embeddings"]
"""Path below the base URL of an endpoint that takes only names of models; "" for the others."""


class View(msgspec.Struct):
    """The fields that routing reads, of any type."""

    counts_of_answers: ClassVar[tuple[str, ...]] = ("n",)
    """Fields that say how many answers to each prompt are paid for; the largest one counts."""

    model: Any = None
    messages: Any = None
    stream: Any = None
    max_completion_tokens: Any = None
    max_tokens: Any = None
    max_output_tokens: Any = None
    n: Any = None
    floorline: msgspec.Raw | None = None

    def measured(self) -> list[Any]:
        """Return the messages whose size counts, beside the fields of the body."""
        return self.messages if isinstance(self.messages, list) else [self.messages]

    def for_encoders(self) -> Any:
        """Return what the encoders read."""
        return self.messages

    def token_ids(self) -> int:
        """Return the number of tokens that the prompt gives as numbers."""
        return 0

    def prompts(self) -> int:
        """Return the number of prompts."""
        return 1

    def echoed_characters(self) -> int:
        """Return the characters of all prompts if answers repeat them, once for each ``n``."""
        return 0


class _AnthropicView(View):
    counts_of_answers: ClassVar[tuple[str, ...]] = ("",)

    system: Any = None

    def for_encoders(self) -> Any:
        """Return the messages with the system prompt; tools' results are no words of the user."""
        if not isinstance(self.messages, list):
            return self.messages
        turns = [_results_apart(message) for message in self.messages]
        return [{"role": "system", "content": self.system}, *turns] if self.system else turns


class _ResponsesView(View):
    counts_of_answers: ClassVar[tuple[str, ...]] = ("",)

    input: Any = None
    instructions: Any = None

    def measured(self) -> list[Any]:
        return self.input if isinstance(self.input, list) else [self.input]

    def for_encoders(self) -> Any:
        """Return the items with the instructions; a text is a message of the user."""
        items = self.input if isinstance(self.input, list) else [self.input] if self.input else []
        if self.instructions:
            return [{"role": "system", "content": self.instructions}, *items]
        return items


class _CompletionsView(View):
    counts_of_answers: ClassVar[tuple[str, ...]] = ("n", "best_of")

    prompt: Any = None
    best_of: Any = None
    echo: Any = None

    def measured(self) -> list[Any]:
        return _texts(self.prompt)

    def for_encoders(self) -> Any:
        return [{"role": "user", "content": text} for text in _texts(self.prompt)]

    def token_ids(self) -> int:
        return _token_ids(self.prompt)

    def prompts(self) -> int:
        many = isinstance(self.prompt, list) and not _is_tokens(self.prompt)
        return max(1, len(self.prompt)) if many else 1

    def echoed_characters(self) -> int:
        return sum(map(len, _texts(self.prompt))) if self.echo else 0


class _EmbeddingsView(View):
    counts_of_answers: ClassVar[tuple[str, ...]] = ("",)

    input: Any = None

    def measured(self) -> list[Any]:
        return _texts(self.input)

    def for_encoders(self) -> Any:
        """Return nothing: no policy decides on embeddings, and their texts may be many."""
        return ""

    def token_ids(self) -> int:
        return _token_ids(self.input)


def _texts(value: Any) -> list[str]:
    """Texts among prompts, each of which may also be a list of tokens."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and type(value[0]) is int


def _token_ids(value: Any) -> int:
    if not isinstance(value, list):
        return 0
    if _is_tokens(value):
        return len(value)
    return sum(len(one) for one in value if _is_tokens(one))


def _results_apart(message: Any) -> Any:
    """Return a message of Anthropic's; one with results of tools alone has the role of OpenAI's."""
    if type(message) is dict and message.get("role") == "user":
        content = message.get("content")
        if type(content) is list and content and all(map(_is_result, content)):
            return {"role": "tool", "content": content}
    return message


def _is_result(part: Any) -> bool:
    return type(part) is dict and part.get("type") == "tool_result"


VIEWS: dict[str, msgspec.json.Decoder[Any]] = {
    "openai": msgspec.json.Decoder(View),
    "anthropic": msgspec.json.Decoder(_AnthropicView),
    "responses": msgspec.json.Decoder(_ResponsesView),
    "/completions": msgspec.json.Decoder(_CompletionsView),
    "/embeddings": msgspec.json.Decoder(_EmbeddingsView),
}
"""Decoders of views, by the dialect or by the path of an endpoint that takes names of models."""
