"""Payloads of other programs, read as feedback messages.

The forms are those of Langfuse's ``GET /api/public/v2/scores`` and ``/v3/scores``, of Open WebUI's
``GET /api/v1/evaluations/feedbacks/all/export`` and of LibreChat's collection ``messages``. Fields
that are not read may have any value, because these programs add some with each version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from floorline.config.bridges import BridgeKind, BridgeSettings
from floorline.errors import FloorlineError, InvalidInput
from floorline.gateway.api.body import malformed
from floorline.gateway.bridges.message_aliases import langfuse_observation

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=16_384)]
_SHARE, _THUMB = (0.0, 1.0), (-1.0, 1.0)
"""Worst and best rating of scores, and of Open WebUI's thumbs."""


class Label(NamedTuple):
    """A label of an answer, and what the program knows the answer by.

    Attributes
    ----------
    ids
        Ids of messages, traces or completions, the most exact first.
    decision
        Id of the decision itself; "" if it is not known.
    score
        From 0 to 1.
    source
        Who judged.
    version
        Names this state of the label; the same label with the same version changes nothing. "" if
        the program gives none.
    """

    ids: tuple[str, ...]
    decision: str
    score: float
    source: str
    version: str


class Skipped(msgspec.Struct, frozen=True):
    """An item that is no label.

    Attributes
    ----------
    reason
        Why it counts for nothing.
    object
        Names the kind of this JSON object.
    """

    reason: str
    object: str = "floorline.skipped"


Read = Label | Skipped | FloorlineError
"""What an item of a payload comes to."""


class WebhookItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item of a bridge of the kind ``webhook``.

    Give ``id`` or ``decision``, and one of ``satisfied``, ``score`` and ``rating``.

    Attributes
    ----------
    id
        Id of the message (header X-Floorline-Message of its request), the completion or the
        decision.
    decision
        Value of the header X-Floorline-Decision.
    satisfied
        Whether the answer satisfied.
    score
        How much it satisfied, from 0 to 1.
    rating
        How much it satisfied, on the bridge's scale.
    source
        Who judged: user, judge or rule; by default the bridge's source.
    idempotency
        Key of the message; one with the key of an earlier message changes nothing.
    """

    id: _Id | None = None
    decision: _Id | None = None
    satisfied: bool | None = None
    score: float | None = None
    rating: float | None = None
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    idempotency: Annotated[str, msgspec.Meta(max_length=128)] = ""


class _Subject(msgspec.Struct, rename="camel"):
    """What a score of Langfuse's API v3 is about."""

    kind: str
    id: str
    trace_id: str | None = None


class _Score(msgspec.Struct, rename="camel"):
    id: _Id
    name: str
    data_type: str = "NUMERIC"
    trace_id: str | None = None
    observation_id: str | None = None
    value: bool | float | str | None = None
    string_value: str | None = None
    source: str = "API"
    updated_at: str = ""
    metadata: Any = None
    subject: _Subject | None = None

    def traced(self) -> tuple[str | None, str | None]:
        """Trace and observation that it is about."""
        subject = self.subject
        if subject is None:
            return self.trace_id, self.observation_id
        if subject.kind == "observation":
            return subject.trace_id, subject.id
        return (subject.id if subject.kind == "trace" else None), None


class _RatingDetails(msgspec.Struct):
    rating: float | None = None


class _Rating(msgspec.Struct):
    rating: float | str | None = None
    details: _RatingDetails | None = None


class _RatingMeta(msgspec.Struct):
    message_id: str | None = None


class _OpenWebUiFeedback(msgspec.Struct):
    id: _Id
    type: str = "rating"
    data: _Rating | None = None
    meta: _RatingMeta | None = None
    updated_at: int = 0


class _Thumb(msgspec.Struct):
    rating: Literal["thumbsUp", "thumbsDown"]


class _LibreChatMessage(msgspec.Struct, rename="camel"):
    message_id: _Id
    feedback: _Thumb | None = None
    updated_at: Any = None


def read_items(bridge: BridgeSettings, items: list[Any]) -> list[Read]:
    """Read the items of a payload, each by itself."""
    return [_read(bridge, item) for item in items]


def items_of(bridge: BridgeSettings, given: Any) -> list[Any]:
    """Return the items of a body: of a list, of an object with a list, or the object itself."""
    if isinstance(given, list):
        return given
    if isinstance(given, dict):
        listed = given.get("feedback" if bridge.kind == "webhook" else "data")
        if isinstance(listed, list):
            return listed
        return [given]
    raise InvalidInput("body", given, "send a JSON object or a list of them")


def _read(bridge: BridgeSettings, item: Any) -> Read:
    try:
        return _READERS[bridge.kind](bridge, item)
    except msgspec.ValidationError as error:
        return malformed(error)
    except FloorlineError as error:
        return error


def _webhook(bridge: BridgeSettings, given: Any) -> Read:
    item = msgspec.convert(given, WebhookItem)
    if (item.id is None) == (item.decision is None):
        raise InvalidInput("feedback", given, "give either 'id' or 'decision'")
    if [item.satisfied, item.score, item.rating].count(None) != 2:
        raise InvalidInput("feedback", given, "give one of 'satisfied', 'score' and 'rating'")
    if item.satisfied is not None:
        score = float(item.satisfied)
    elif item.score is not None:
        score = _scaled(item.score, _SHARE, "score")
    else:
        assert item.rating is not None
        score = _scaled(item.rating, bridge.scale or _SHARE, "rating")
    ids = () if item.id is None else (item.id,)
    source = item.source or bridge.source
    return Label(ids, item.decision or "", score, source, item.idempotency)


def _langfuse(bridge: BridgeSettings, given: Any) -> Read:
    item = msgspec.convert(given, _Score)
    if bridge.scores is not None and item.name not in bridge.scores:
        return Skipped("its name is not in the bridge's scores")
    if item.data_type == "BOOLEAN":
        score = _scaled(item.value, _SHARE, "value")
    elif item.data_type == "NUMERIC":
        score = _scaled(item.value, bridge.scale or _SHARE, "value")
    elif item.data_type == "CATEGORICAL":
        label = item.value if item.string_value is None else item.string_value
        if label not in bridge.labels:
            raise InvalidInput("stringValue", label, "give the bridge a score for it in 'labels'")
        score = bridge.labels[str(label)]
    else:
        return Skipped("its dataType is none of NUMERIC, BOOLEAN and CATEGORICAL")
    decision = item.metadata.get("floorline_decision") if isinstance(item.metadata, dict) else None
    trace, observation = item.traced()
    ids: tuple[str, ...] = () if trace is None else (trace,)
    if trace is not None and observation is not None:
        ids = (langfuse_observation(trace, observation), trace)
    decision = decision if isinstance(decision, str) else ""
    if not ids and not decision:
        return Skipped("it is about no trace")
    source = "judge" if item.source == "EVAL" else bridge.source
    return Label(ids, decision, score, source, f"{item.id} {item.updated_at}")


def _open_webui(bridge: BridgeSettings, given: Any) -> Read:
    item = msgspec.convert(given, _OpenWebUiFeedback)
    if item.type != "rating" or item.data is None or item.data.rating is None:
        return Skipped("it has no rating")
    if item.meta is None or not item.meta.message_id:
        return Skipped("it is about no message")
    details = item.data.details
    if bridge.scale is not None and details is not None and details.rating is not None:
        score = _scaled(details.rating, bridge.scale, "data.details.rating")
    else:
        score = _scaled(item.data.rating, _THUMB, "data.rating")
    version = f"{item.id} {item.updated_at}"
    return Label((item.meta.message_id,), "", score, bridge.source, version)


def _librechat(bridge: BridgeSettings, given: Any) -> Read:
    item = msgspec.convert(given, _LibreChatMessage)
    if item.feedback is None:
        return Skipped("it has no feedback")
    score = 1.0 if item.feedback.rating == "thumbsUp" else 0.0
    version = ""
    if item.updated_at is not None:
        # A text, or what exports of MongoDB have: {"$date": …}.
        version = f"{item.message_id} {msgspec.json.encode(item.updated_at).decode()}"
    return Label((item.message_id,), "", score, bridge.source, version)


def _scaled(given: float | str | None, scale: Sequence[float], name: str) -> float:
    """Map a rating linearly to a score from 0 to 1."""
    worst, best = scale
    try:
        # Open WebUI allows texts for numbers.
        rating = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        rating = float("nan")
    if not worst <= rating <= best:
        fix = f"give a number from {worst:g} to {best:g}, or set the bridge's scale"
        raise InvalidInput(name, given, fix)
    return (rating - worst) / (best - worst)


_READERS: dict[BridgeKind, Callable[[BridgeSettings, Any], Read]] = {
    "webhook": _webhook,
    "langfuse": _langfuse,
    "open_webui": _open_webui,
    "librechat": _librechat,
}
