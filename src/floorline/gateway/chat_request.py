"""Read a chat request: the fields that routing needs; all others stay unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from floorline.core.bounds import MAX_NAME, MAX_TOKENS, check_name
from floorline.encoders.messages import approximate_tokens
from floorline.errors import InvalidInput, abbreviated
from floorline.gateway.errors import ApiError
from floorline.gateway.header_text import header_lines, header_names, header_text
from floorline.zoo import CallLimits

ROUTED = "floorline/"
"""Prefix of the model names that ask for an SLA instead of a model."""

_AUTO = "auto"
MAX_EXCLUDED = 1_000
"""Most models that a request excludes; each is looked up in the zoo."""
_MEDIA_TOKENS = 2048
"""Tokens that are reserved for an image, a recording or a file of a prompt: most providers count
one image at up to about 1,600. Recordings and files may take more."""
_MAX_MESSAGES = 10_000
"""Messages of a request, and parts of all its contents: five times what OpenAI takes. Each takes
some 10 µs of the event loop."""
_PART_NEEDS = {"image_url": "vision", "input_audio": "audio", "file": "files"}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The field ``floorline`` of a body.

    Attributes
    ----------
    floor
        Floor of this request, in place of the SLA's.
    exclude
        Models that must not serve.
    session
        Name of a conversation that stays on the model that served it.
    """

    floor: float | None = None
    exclude: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_EXCLUDED)] = ()
    session: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] = ""


class ChatBody(msgspec.Struct, frozen=True):
    """A chat request.

    Attributes
    ----------
    model, messages, stream
        Fields of the body.
    input_tokens
        Estimated tokens of the messages.
    needs
        Capabilities that a model must have.
    reserve
        Largest number of tokens of the answer; 0 if the request does not say.
    limits
        Upper bounds of the tokens of its call.
    media
        Number of images, recordings and files in the messages.
    options
        Field ``floorline`` of the body, and the headers that stand for it.
    fields
        All fields of the body but ``floorline``, as the bytes that arrived.
    """

    model: str
    messages: list[Any]
    stream: bool
    input_tokens: int
    needs: frozenset[str]
    reserve: int
    limits: CallLimits
    media: int
    options: Options
    fields: dict[str, msgspec.Raw]

    @property
    def sla(self) -> str | None:
        """Name of the SLA; "" for the default SLA, None if the request names a model."""
        if not self.model.startswith(ROUTED):
            return None
        name = self.model[len(ROUTED) :]
        return "" if name == _AUTO else name

    def with_fields(self, **changed: Any) -> bytes:
        """Encode the body with some fields replaced; all other fields keep their bytes."""
        fields = dict(self.fields)
        for name, value in changed.items():
            fields[name] = msgspec.Raw(msgspec.json.encode(value))
        return msgspec.json.encode(fields)


class _Format(msgspec.Struct):
    type: str = "text"


class _View(msgspec.Struct):
    """The fields that routing reads, with their types."""

    model: str
    messages: list[Any]
    stream: bool | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: _Format | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    n: int | None = None
    floorline: Options | None = None


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_view = msgspec.json.Decoder(_View)


def read_chat(data: bytes, headers: Mapping[str, str]) -> ChatBody:
    """Read the body of a chat request.

    Parameters
    ----------
    data
        The body, JSON.
    headers
        Headers, names in lower case; some of them stand for fields of ``floorline``.

    Raises
    ------
    ApiError
        400 if the body is no JSON object, or a field that routing reads has another type.
    InvalidInput
        If the messages are malformed, or a number of tokens or a name is out of its bounds.

    Examples
    --------
    >>> body = read_chat(b'{"model": "floorline/gold", "seed": 1.50, "messages": '
    ...                  b'[{"role": "user", "content": "Why?"}]}', {})
    >>> body.sla, body.input_tokens
    ('gold', 1)
    >>> body.with_fields(model="small")
    b'{"model":"small","seed":1.50,"messages":[{"role": "user", "content": "Why?"}]}'
    """
    try:
        fields = _fields.decode(data)
        view = _view.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"the body is no chat request: {error}", code="invalid_body") from error
    fields.pop("floorline", None)
    for named in ("max_completion_tokens", "max_tokens", "n"):
        given = getattr(view, named) or 0
        if given > MAX_TOKENS:
            raise InvalidInput(named, given, f"give a number up to {MAX_TOKENS:,}")
    options = _with_headers(view.floorline or Options(), headers)
    check_name("floorline.session", options.session)
    if len(options.exclude) > MAX_EXCLUDED:
        fix = f"exclude at most {MAX_EXCLUDED:,} models"
        raise InvalidInput("floorline.exclude", f"{len(options.exclude):,} names", fix)
    needs = set()
    if view.tools or view.functions:
        needs.add("tools")
    if view.response_format is not None and view.response_format.type != "text":
        needs.add("json")
    media, media_bytes = 0, 0
    if len(view.messages) > _MAX_MESSAGES:
        raise _too_many("messages", "messages", len(view.messages))
    parts = 0
    for message in view.messages:
        if isinstance(message, dict) and isinstance(message.get("content"), list):
            parts += len(message["content"])
            if parts > _MAX_MESSAGES:
                raise _too_many("content", "parts", parts)
            for part in message["content"]:
                kind = part.get("type") if isinstance(part, dict) else None
                if isinstance(kind, str) and kind in _PART_NEEDS:
                    needs.add(_PART_NEEDS[kind])
                    media += 1
                    media_bytes += _content_length(part.get(kind))
    # Providers read one of the two fields; the larger one bounds the answer for all of them.
    reserve = max(0, view.max_completion_tokens or 0, view.max_tokens or 0)
    limits = CallLimits(
        # A token is at least one byte. The JSON around a text is longer than a chat template.
        input_tokens=max(0, len(data) - media_bytes) + media * _MEDIA_TOKENS,
        output_tokens=reserve or None,
        answers=max(1, view.n or 1),
    )
    return ChatBody(
        model=view.model,
        messages=view.messages,
        stream=bool(view.stream),
        input_tokens=approximate_tokens(view.messages),
        needs=frozenset(needs),
        reserve=reserve,
        limits=limits,
        media=media,
        options=options,
        fields=fields,
    )


def _content_length(content: Any) -> int:
    """Number of characters of the texts in a part that is no text, such as a data URL."""
    if not isinstance(content, dict):
        return 0
    return sum(len(value) for value in content.values() if isinstance(value, str))


def _too_many(field: str, what: str, number: int) -> ApiError:
    return ApiError(
        400,
        f"the request has {number:,} {what}: send at most {_MAX_MESSAGES:,}",
        code="invalid_value",
        param=field,
    )


def _with_headers(options: Options, headers: Mapping[str, str]) -> Options:
    floor, exclude, session = (
        headers.get(f"x-floorline-{name}") for name in ("floor", "exclude", "session")
    )
    if floor is None and exclude is None and session is None:
        return options
    changed: dict[str, Any] = {}
    if floor is not None:
        try:
            changed["floor"] = float(floor)
        except ValueError:
            raise ApiError(
                400,
                f"header X-Floorline-Floor is {abbreviated(floor)}: give a number from 0 to 1",
                code="invalid_value",
                param="X-Floorline-Floor",
            ) from None
    if exclude is not None:
        lines = header_lines(headers, "x-floorline-exclude")
        changed["exclude"] = header_names("X-Floorline-Exclude", lines)
    if session is not None:
        changed["session"] = header_text(session)
    return msgspec.structs.replace(options, **changed)
