"""Read a request for an answer: the fields that routing needs; all others stay unchanged.

The provider decides whether a request is well formed. Routing takes what it can find: a text from
any message, a number from any form of one. Refused are only a body that is no JSON object, one
without ``model``, values above their bounds, and malformed ``floorline`` options.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec

from floorline.config.provider import DialectName
from floorline.core.bounds import MAX_NAME, MAX_TOKENS, check_name
from floorline.encoders.base import Prompt
from floorline.errors import InvalidInput, abbreviated
from floorline.gateway.errors import ApiError
from floorline.gateway.header_text import header_lines, header_names, header_text
from floorline.gateway.lenient_json import read_fields, read_value, write_fields
from floorline.gateway.request_size import measure_request
from floorline.gateway.request_views import VIEWS, NamedPath, View
from floorline.gateway.session_keys import session_name
from floorline.state.previewing import MAX_FLOORS
from floorline.zoo import CallLimits

ROUTED = "floorline/"
"""Prefix of the model names that ask for an SLA instead of a model."""

_AUTO = "auto"
MAX_EXCLUDED = 1_000
"""Most models that a request excludes; each is looked up in the zoo."""
_MAX_MESSAGES = 10_000
"""Messages of a request, and parts of all its contents: five times what OpenAI takes. Each takes
some 10 µs of the event loop."""
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
"""Texts that providers take for ``true``, in lower case."""
_USUAL_TIERS = frozenset(
    {b"null", b'"default"', b'"standard"', b'"standard_only"', b'"flex"', b'"batch"'}
)
"""Service tiers of requests that cost no more than the usual price, as JSON."""
_MAX_DIGITS = 400
"""Characters of a number that is a text."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The field ``floorline`` of a body.

    Attributes
    ----------
    floor
        Floor of this request, in place of the SLA's.
    exclude
        Models that must not serve.
    session
        Name of the conversation that the request belongs to.
    floors
        Floors that ``/v1/preview`` is to compare.
    """

    floor: float | None = None
    exclude: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_EXCLUDED)] = ()
    session: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] = ""
    floors: Annotated[tuple[float, ...], msgspec.Meta(max_length=MAX_FLOORS)] = ()


class ChatBody(msgspec.Struct, frozen=True):
    """A chat request.

    Attributes
    ----------
    model, stream
        Fields of the body.
    prompt
        Messages, as the encoders take them; "" if there are none.
    input_tokens
        Estimated tokens of the whole prompt.
    certain_tokens
        Those of them that every provider counts.
    needs, prefers
        Capabilities that a model must have, and those that it should have if one has them.
    reserve
        Largest number of tokens of the answer; 0 if the request does not say.
    limits
        Upper bounds of the tokens of its call.
    media
        Number of images, recordings, videos and files.
    options
        Field ``floorline`` of the body, and the headers that stand for it.
    session
        Name of the conversation; "" if nothing names it.
    fields
        All fields of the body but ``floorline``, as the bytes that arrived.
    dialect
        Dialect of the body.
    query
        Query of the request's URL.
    path
        Path of the endpoint below the base URL, if it takes only names of models; "" for the
        endpoints of answers.
    echoed_characters
        Characters of the prompts that all answers together repeat.
    """

    model: str
    prompt: Prompt
    stream: bool
    input_tokens: int
    certain_tokens: int
    needs: frozenset[str]
    prefers: frozenset[str]
    reserve: int
    limits: CallLimits
    media: int
    options: Options
    session: str
    fields: dict[str, msgspec.Raw]
    dialect: DialectName = "openai"
    query: str = ""
    path: NamedPath = ""
    echoed_characters: int = 0

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
        return write_fields(fields)

    def with_input(self, items: Any) -> ChatBody:
        """Return the request with another ``input``, and with the size and the needs of that."""
        read = read_chat(
            self.with_fields(input=items), {}, self.dialect, self.query, deployment=self.model
        )
        return msgspec.structs.replace(read, options=self.options, session=self.session)

    def values(self) -> dict[str, Any]:
        """Decode all fields, for a translation.

        Raises
        ------
        ApiError
            400 if a field is malformed.
        """
        found = {}
        for name, raw in self.fields.items():
            try:
                found[name] = read_value(raw)
            except ValueError as error:
                text = f"{name} cannot be read: {error}"
                raise ApiError(400, text, code="invalid_body", param=name) from error
        return found

    @property
    def prompt_json(self) -> bytes:
        """The messages as they arrived."""
        field = "input" if self.dialect == "responses" else _PROMPT_FIELDS[self.path]
        return bytes(self.fields.get(field, b""))


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_options = msgspec.json.Decoder(Options | None)
_PROMPT_FIELDS: dict[NamedPath, str] = {
    "": "messages",
    "/completions": "prompt",
    "/embeddings": "input",
}
"""Field with the prompt, by the path of an endpoint."""


def read_chat(
    data: bytes,
    headers: Mapping[str, str],
    dialect: DialectName = "openai",
    query: str = "",
    path: NamedPath = "",
    deployment: str = "",
) -> ChatBody:
    """Read the body of a request for an answer.

    Parameters
    ----------
    data
        The body, JSON.
    headers
        Headers, names in lower case; some of them stand for fields of ``floorline``.
    dialect
        Dialect of the body.
    query
        Query of the request's URL.
    path
        As in ``ChatBody``.
    deployment
        Model that the request's URL names, which then counts in place of the body's, as with Azure.

    Raises
    ------
    ApiError
        400 if the body is no JSON object, names no model, has too many messages, or its field
        ``floorline`` is malformed.
    InvalidInput
        If a number of tokens or a name is out of its bounds.

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
        view = VIEWS[path or dialect].decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fields, view = _read_leniently(data, error, VIEWS[path or dialect].type)
    _refuse_other_case(fields, type(view))
    model = deployment or view.model
    if not isinstance(model, str) or not model.strip():
        raise ApiError(
            400,
            f"model is {abbreviated(model)}: name an SLA as {ROUTED}NAME, or a model",
            code="invalid_value",
            param="model",
        )
    fields.pop("floorline", None)
    options = _with_headers(_read_options(view.floorline), headers)
    check_name("floorline.session", options.session)
    if len(options.exclude) > MAX_EXCLUDED:
        fix = f"exclude at most {MAX_EXCLUDED:,} models"
        raise InvalidInput("floorline.exclude", f"{len(options.exclude):,} names", fix)
    messages = view.measured()
    _check_numbers(messages)
    prompt = view.for_encoders()
    size = measure_request(fields, messages, len(data))
    reserve, is_certain = _largest_answer(view)
    token_ids = view.token_ids()
    return ChatBody(
        model=model,
        prompt=prompt if isinstance(prompt, list | str) and prompt else "",
        stream=_is_true(view.stream),
        input_tokens=size.input_tokens + token_ids,
        certain_tokens=size.certain_tokens + token_ids,
        needs=size.needs,
        prefers=size.prefers,
        reserve=reserve,
        limits=CallLimits(
            input_tokens=size.largest_input,
            output_tokens=0 if path == "/embeddings" else reserve or None,
            answers=_answers(view),
            is_certain=is_certain,
            images=size.images,
            has_audio="audio" in size.needs,
            is_priority=_may_be_priority(fields.get("service_tier")),
        ),
        media=size.media,
        options=options,
        session=options.session if path else session_name(options.session, headers, fields),
        fields=fields,
        dialect=dialect,
        query=query,
        path=path,
        echoed_characters=view.echoed_characters() * max(1, _count("n", view.n)[0]),
    )


def _read_leniently(
    data: bytes, strict: Exception, kind: type[View]
) -> tuple[dict[str, msgspec.Raw], View]:
    """Read a body that is no strict JSON, such as one with ``NaN`` or a lone surrogate."""
    try:
        fields = read_fields(data)
        view = kind()
        for name in kind.__struct_fields__:
            raw = fields.get(name)
            if raw is not None:
                setattr(view, name, raw if name == "floorline" else read_value(raw))
    except ValueError as error:
        # The strict parser says where JSON is malformed; but it speaks of its codec, too.
        text = str(strict if type(strict) is msgspec.DecodeError else error)
        raise ApiError(400, f"the body is no JSON object: {text}", code="invalid_body") from error
    return fields, view


def _refuse_other_case(fields: Iterable[str], kind: type[View]) -> None:
    """Refuse ``MODEL`` beside ``model``.

    Parsers that compare names without case, as Go's does, would read the one that comes last, and
    so call a model, or grant a length, that was not decided on.
    """
    read = (*kind.__struct_fields__, "service_tier")
    for name in fields:
        if name not in read and (known := name.casefold()) in read:
            raise ApiError(
                400,
                f"{abbreviated(name)} differs from {known} in the case of its letters only, and "
                f"some providers would read it as {known}: leave it out",
                code="invalid_value",
                param=known,
            )


def _read_options(raw: msgspec.Raw | None) -> Options:
    if raw is None:
        return Options()
    try:
        return _options.decode(raw) or Options()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = error if isinstance(error, msgspec.DecodeError) else "it is no JSON"
        raise ApiError(
            400, f"floorline is malformed: {text}", code="invalid_value", param="floorline"
        ) from error


def _check_numbers(messages: list[Any]) -> None:
    """Check the numbers of messages and of parts."""
    if len(messages) > _MAX_MESSAGES:
        raise _too_many("messages", "messages", len(messages))
    parts = 0
    for message in messages:
        if type(message) is dict:
            # Gemini's messages have parts in place of a content, items of responses an output.
            for name in ("content", "parts", "output"):
                held = message.get(name)
                if type(held) is list:
                    parts += len(held)
                    if parts > _MAX_MESSAGES:
                        raise _too_many(name, "parts", parts)


def _largest_answer(view: View) -> tuple[int, bool]:
    """Largest number of tokens of the answer, 0 for none, and whether it is certain.

    Providers read one of the fields; the largest one bounds the answer for all of them.
    """
    most, is_certain = 0, True
    for name in _LIMITS:
        given = getattr(view, name)
        if given is not None:
            count, certain = _count(name, given)
            most, is_certain = max(most, count), is_certain and certain
    return most, is_certain


def _answers(view: View) -> int:
    """Number of answers that are paid for."""
    each = max(_count(name, getattr(view, name, None))[0] for name in view.counts_of_answers)
    return max(1, each) * view.prompts()


def _count(name: str, given: Any) -> tuple[int, bool]:
    """Read a count leniently, and say whether every provider reads it so.

    Some providers read ``"100"`` as 100, others refuse it, and others ignore what is no number.

    Raises
    ------
    InvalidInput
        If it is above ``MAX_TOKENS``.
    """
    if given is None:
        return 0, True
    number: float = 0
    if isinstance(given, int | float) and not isinstance(given, bool):
        number, certain = given, given == given
    else:
        certain = False
        if isinstance(given, str) and len(given) <= _MAX_DIGITS:
            with contextlib.suppress(ValueError):
                number = float(given)
    if number > MAX_TOKENS:
        raise InvalidInput(name, given, f"give a number up to {MAX_TOKENS:,}")
    # Also for NaN, which is above nothing.
    return (math.ceil(number) if number > 0 else 0), certain


def _may_be_priority(tier: msgspec.Raw | None) -> bool:
    """Whether a provider may answer in its tier ``priority``; it is not asked for by default."""
    return tier is not None and bytes(tier) not in _USUAL_TIERS


def _is_true(value: Any) -> bool:
    """Whether providers take a value for ``true``."""
    if isinstance(value, str):
        return value.strip().lower() in _TRUE
    return bool(value == 1)


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
