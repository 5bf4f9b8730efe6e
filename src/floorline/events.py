"""What happens: immutable events, of which the state of a router is a fold."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.core.features import SparseFeatures, freeze
from floorline.core.snapshots import array_from_ext, pack
from floorline.errors import InvalidInput, check_number
from floorline.sla import SLA
from floorline.zoo import Zoo

DIRECT = "direct"
"""Policy of decisions that the caller took by naming a model."""


class Decision(msgspec.Struct, frozen=True, tag="decision", eq=False, kw_only=True):
    """One request routed.

    Arrays over models follow the order of the zoo at the time.

    Attributes
    ----------
    id, seq
        Name, and position among all decisions of the router (from 1).
    sla, floor
        The SLA asked for and the floor τ that held for this request.
    model, index
        Name and position of the served model; "" and −1 if the request was declined.
    called
        All models whose call is paid, the served one first; more than one only when exploring.
    propensities
        (M,) probability with which each model would have been served.
    explored
        Whether exploration chose.
    quality, cost
        (M,) estimates q̂ and ĉ (cost unit per call) at decision time.
    features, input_tokens
        What the policy saw of the request.
    policy
        Name of the policy; ``DIRECT`` where the caller named the model, under no SLA ("").
    at
        Seconds of the caller's clock; 0 where nobody keeps one.
    tenant, key, session
        Whose request it was, the API key it came with and the conversation it belongs to.
    after
        Decision whose call failed, in place of which this one was made.
    prediction
        (M,) what the policy's estimator predicted for this request, before the policy adjusted it
        to ``quality``; None where the policy carries none.
    """

    id: str
    seq: int
    sla: str
    floor: float
    model: str
    called: tuple[str, ...]
    propensities: NDArray[np.float64]
    explored: bool
    quality: NDArray[np.float64]
    cost: NDArray[np.float64]
    index: int
    features: Any  # Features; NumPy's types tell msgspec nothing
    input_tokens: int
    policy: str
    at: float = 0.0
    tenant: str = ""
    key: str = ""
    session: str = ""
    after: str = ""
    prediction: NDArray[np.float64] | None = None
    v: int = 1

    @property
    def declined(self) -> bool:
        """Whether no model served the request."""
        return self.index < 0

    @property
    def expected_quality(self) -> float:
        """Estimate q̂ of the served model; 0 if declined."""
        return 0.0 if self.declined else float(self.quality[self.index])

    @property
    def expected_cost(self) -> float:
        """Estimate ĉ of the served model; 0 if declined."""
        return 0.0 if self.declined else float(self.cost[self.index])

    @property
    def propensity(self) -> float:
        """Probability with which the served model was chosen, or with which nobody was."""
        if self.declined:
            return 1.0 - float(self.propensities.sum())
        return float(self.propensities[self.index])


class Outcome(msgspec.Struct, frozen=True, tag="outcome", kw_only=True):
    """What one call really took; one per called model.

    ``cost`` in the zoo's unit, ``latency`` in seconds, ``error`` the failure's text if it failed.
    ``completion`` is the provider's name of the answer; ``estimated`` marks a cost that was worked
    out from the lengths of texts, for want of the provider's count of tokens.
    """

    decision: str
    model: str
    cost: float
    input_tokens: int | None = None
    output_tokens: int | None = None
    latency: float | None = None
    error: str | None = None
    at: float = 0.0
    completion: str | None = None
    estimated: bool = False
    v: int = 1

    def __post_init__(self) -> None:
        fix = "give the real cost, 0 or more and finite"
        check_number("Outcome.cost", self.cost, low=0.0, high=1e15, fix=fix)
        for field in ("input_tokens", "output_tokens", "latency"):
            value = getattr(self, field)
            if value is not None:
                check_number(f"Outcome.{field}", value, low=0.0, fix="give 0 or more, or None")


class Feedback(msgspec.Struct, frozen=True, tag="feedback", kw_only=True):
    """How satisfied somebody was with one model's response, from 0 (not) to 1 (fully).

    ``cost`` is what asking cost, in the zoo's unit: nothing for users, a call for a judge model.
    ``key`` is the caller's name of this very message, under which it may be sent again.
    """

    decision: str
    model: str
    score: float
    source: str = "user"
    cost: float = 0.0
    at: float = 0.0
    key: str = ""
    v: int = 1

    def __post_init__(self) -> None:
        check_number(
            "Feedback.score",
            float(self.score) if isinstance(self.score, bool) else self.score,
            low=0.0,
            high=1.0,
            fix="give a number from 0 (dissatisfied) to 1 (satisfied)",
        )
        check_number("Feedback.cost", self.cost, low=0.0, fix="give what the label cost, 0 or more")


class ZooChange(msgspec.Struct, frozen=True, tag="zoo", kw_only=True):
    """From now on these models can serve, at these prices."""

    zoo: Zoo
    at: float = 0.0
    v: int = 1


class SlaChange(msgspec.Struct, frozen=True, tag="sla", kw_only=True):
    """From now on this is promised under the SLA's name; ``removed`` withdraws it."""

    sla: SLA
    removed: bool = False
    at: float = 0.0
    v: int = 1


class Recall(msgspec.Struct, frozen=True, tag="recall", eq=False, kw_only=True):
    """A decision that was forgotten is remembered again, for the sake of late feedback.

    ``scores`` maps its judged models to their latest score in the log; ``keys`` names the feedback
    messages that came.
    """

    decision: Decision
    scores: dict[str, float] = {}
    keys: tuple[str, ...] = ()
    at: float = 0.0
    v: int = 1


def _as_array(kind: Any, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    raise ValueError(f"expected an array, got a {type(value).__name__}")


Event = Decision | Outcome | Feedback | ZooChange | SlaChange | Recall

_decoder = msgspec.msgpack.Decoder(Event, ext_hook=array_from_ext, dec_hook=_as_array)


def encode_event(event: Event) -> bytes:
    """Encode an event as MessagePack; arrays keep every bit."""
    return pack(event)


def decode_event(data: bytes) -> Event:
    """Decode what ``encode_event`` wrote.

    Raises
    ------
    InvalidInput
        If the bytes are not an event of a version this Floorline knows.

    Examples
    --------
    >>> event = Outcome(decision="d1", model="small", cost=0.5)
    >>> decode_event(encode_event(event)) == event
    True
    """
    fix = "give bytes made by encode_event of this or an older Floorline"
    try:
        event: Event = _decoder.decode(data)
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidInput("event", data[:20], f"{fix} ({error})") from error
    if event.v != 1:
        raise InvalidInput("event.v", event.v, fix)
    decision = event.decision if isinstance(event, Recall) else event
    if isinstance(decision, Decision):
        given = decision.features
        try:
            features = freeze(SparseFeatures(*given) if isinstance(given, list) else given)
        except (TypeError, ValueError) as error:
            raise InvalidInput("event.features", given, f"{fix} ({error})") from error
        msgspec.structs.force_setattr(decision, "features", features)
    return event
