"""A request in no dialect: what all dialects can say, in one form.

Fields that only one dialect has stay out. A reader adds their names to ``Conversation.losses``, so
that the answer's headers and the documentation can say what a translation left out.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class TextPart(msgspec.Struct, tag="text"):
    """A text.

    Attributes
    ----------
    text
        The text.
    cached
        Whether the client asks the provider to cache the prompt up to here.
    """

    text: str
    cached: bool = False


class MediaPart(msgspec.Struct, tag="media"):
    """An image, a recording, a video or a file.

    Attributes
    ----------
    kind
        What it is.
    url, data
        Where it is, or its bytes in base64; one of the two is "".
    media_type
        Its MIME type, such as ``"image/png"``; "" if unknown.
    name
        Name of the file; "" if it has none.
    detail
        How closely an image is to be looked at, as OpenAI's ``detail``; "" for the default.
    cached
        As for ``TextPart``.
    """

    kind: Literal["image", "audio", "video", "file"]
    url: str = ""
    data: str = ""
    media_type: str = ""
    name: str = ""
    detail: str = ""
    cached: bool = False


class ThinkingPart(msgspec.Struct, tag="thinking"):
    """Reasoning of the model in an earlier turn.

    Attributes
    ----------
    text
        The reasoning, or its summary; "" if the provider hides it.
    signature
        The provider's proof that the text is its own (Anthropic's ``signature``).
    encrypted
        The hidden reasoning, encrypted (``redacted_thinking``, ``encrypted_content``).
    """

    text: str = ""
    signature: str = ""
    encrypted: str = ""


class ToolCallPart(msgspec.Struct, tag="tool_call"):
    """A call of a tool that the model asked for.

    Attributes
    ----------
    id
        Id that the tool's result refers to.
    name
        Name of the tool.
    arguments
        Arguments as the text that the model wrote; JSON for most tools.
    """

    id: str
    name: str
    arguments: str
    cached: bool = False


class ToolResultPart(msgspec.Struct, tag="tool_result"):
    """What a tool answered.

    Attributes
    ----------
    call
        Id of the call.
    parts
        Its answer: texts and media.
    failed
        Whether the tool says that it failed.
    """

    call: str
    parts: list[TextPart | MediaPart]
    failed: bool = False
    cached: bool = False


Part = TextPart | MediaPart | ThinkingPart | ToolCallPart | ToolResultPart


class Turn(msgspec.Struct):
    """A message.

    Attributes
    ----------
    role
        Who speaks. Tool results are parts of a turn of the user, as Anthropic has them.
    parts
        What is said, in order.
    """

    role: Literal["system", "user", "assistant"]
    parts: list[Part]


class Tool(msgspec.Struct):
    """A tool that the model may call.

    Attributes
    ----------
    name, description
        Its name, and when to use it.
    parameters
        JSON schema of its arguments.
    strict
        Whether the arguments must fit the schema exactly; None for the provider's default.
    """

    name: str
    description: str = ""
    parameters: Any = None
    strict: bool | None = None
    cached: bool = False


class OutputSchema(msgspec.Struct):
    """The form that the answer must have: any JSON object if ``schema`` is None."""

    schema: Any = None
    name: str = "answer"
    strict: bool | None = None


class Conversation(msgspec.Struct):
    """A request.

    Attributes
    ----------
    turns
        The messages so far.
    stream
        Whether the answer is to be streamed.
    tools
        Tools that the model may call.
    tool_choice
        ``"auto"``, ``"none"``, ``"required"`` (some tool) or ``"tool:NAME"`` (this one); "" for
        the provider's default.
    parallel_tools
        Whether the model may call several tools at once; None for the provider's default.
    max_output_tokens
        Largest number of tokens of the answer; None if the request does not say.
    temperature, top_p, stop
        Sampling, and the texts that end the answer.
    effort
        How much to think: ``"none"``, ``"minimal"``, ``"low"``, ``"medium"``, ``"high"`` or
        ``"max"``; "" for the provider's default.
    thinking_tokens
        Largest number of tokens of thinking; None if the request does not say.
    output
        Form of the answer; None for free text.
    user
        The client's name of its user; "" for none.
    cache_key
        OpenAI's ``prompt_cache_key``; "" for none.
    losses
        Names of the request's fields that this form does not hold.
    echo
        Fields of the request, as they came, for the writer of its answer in the same dialect:
        Responses repeats them, and names tool calls by the kind of their tool.
    """

    turns: list[Turn]
    stream: bool = False
    tools: list[Tool] = []
    tool_choice: str = ""
    parallel_tools: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = []
    effort: str = ""
    thinking_tokens: int | None = None
    output: OutputSchema | None = None
    user: str = ""
    cache_key: str = ""
    losses: list[str] = []
    echo: dict[str, Any] = {}
