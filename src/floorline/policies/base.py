"""What a policy is: a decision from features and estimates, and a fold over what happened."""

from __future__ import annotations

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features
from floorline.core.snapshots import Stateful
from floorline.events import Decision, Feedback, Outcome
from floorline.sla import SLA
from floorline.zoo import Zoo

Knows = Literal["feedback", "features", "means", "labels"]


class Request(NamedTuple):
    """All that a policy sees of a request.

    ``floor`` is the τ that holds for it; ``allowed`` a mask (M,) of the models that may serve it,
    None when all may.
    """

    features: Features
    sla: str
    floor: float
    input_tokens: int = 0
    allowed: NDArray[np.bool_] | None = None


def _describe(value: object) -> str:
    """Text of a hyper-parameter that is the same in every process."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}:{hashlib.sha256(value.tobytes()).hexdigest()[:12]}"
    if isinstance(value, partial):
        filled = ", ".join(f"{k}={_describe(v)}" for k, v in value.keywords.items())
        return f"{_describe(value.func)}({filled})"
    return str(getattr(value, "__qualname__", repr(value)))


DECLINED = -1
"""Position of the model that serves a request nobody serves."""


class Choice(NamedTuple):
    """What a policy answers; model numbers are positions in the zoo.

    ``called`` lists every model whose call is to be paid, the served one first. A policy under
    budgets may decline: ``model`` is ``DECLINED``, nothing is called, and what ``propensities``
    lack to 1 is the probability of that. ``prediction`` (M,) is what the estimator predicted before
    the policy adjusted it to ``quality``; it comes back with the decision in ``on_decision``.
    """

    model: int
    called: tuple[int, ...]
    propensities: NDArray[np.float64]
    explored: bool
    quality: NDArray[np.float64]
    cost: NDArray[np.float64]
    prediction: NDArray[np.float64] | None = None


class History(NamedTuple):
    """Labelled requests from before: features (n, d), quality and cost (n, M), tokens (n,).

    NaN marks an unknown quality or cost.
    """

    features: Sequence[Features]
    quality: NDArray[np.float64]
    cost: NDArray[np.float64]
    input_tokens: NDArray[np.int64]


class Policy(Stateful, ABC):
    """A router: hyper-parameters in the constructor, everything learned in names ending in ``_``.

    ``decide`` reads the state and changes nothing; the ``on_…`` methods fold one event each into
    it. A router that crashed is rebuilt by calling only the latter, so state that ``decide`` kept
    would be lost.

    Class attributes
    ----------------
    name
        How users call it.
    knows
        What it is told beside the revealed feedback: ``"feedback"`` nothing; ``"features"`` all
        requests of the stream in advance, and no label of them; ``"means"`` every
        model's true mean quality and cost on the stream (reference points that need no prompt);
        ``"labels"`` every label and cost in hindsight (oracles).
    """

    name: ClassVar[str]
    knows: ClassVar[Knows] = "feedback"
    batch: ClassVar[int] = 1

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Names of the constructor's arguments."""
        return tuple(inspect.signature(cls).parameters)

    @property
    def changes_detected(self) -> int:
        """Number of changes of quality that the policy detected; 0 if it detects none."""
        return 0

    @property
    def fingerprint(self) -> str:
        """Name and hyper-parameters; a snapshot refuses a policy of another fingerprint."""
        given = inspect.signature(type(self)).parameters
        described = [f"{p}={_describe(getattr(self, p))}" for p in given if hasattr(self, p)]
        return f"{self.name}({', '.join(described)})"

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Begin with these models, SLAs and features of length ``dim``."""

    @abstractmethod
    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Choose a model; pure but for draws from ``rng``."""

    def decide_batch(self, requests: Sequence[Request], rng: np.random.Generator) -> list[Choice]:
        """Choose for several requests that are known at once; by default one by one."""
        return [self.decide(request, rng) for request in requests]

    def on_decision(self, decision: Decision) -> None:
        """Fold a decision, made by this policy or by another whose log is replayed."""

    def on_outcome(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Fold what one call cost."""

    def on_feedback(
        self, decision: Decision, model: int, feedback: Feedback, previous: float | None
    ) -> None:
        """Fold one label; ``previous`` is the score that it replaces, None if it is the first."""

    def on_zoo(self, zoo: Zoo) -> None:
        """Fold a change of models or prices."""

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Fold a change of promises."""

    def expected_cost(self, input_tokens: int) -> NDArray[np.float64] | None:
        """(M,) estimate ĉ for a prompt of this length; None if the policy estimates no costs."""
        return None

    def queue(self, sla: str) -> float | None:
        """Virtual queue of an SLA; None if the policy keeps none."""
        return None

    def warm_start(self, history: History) -> None:
        """Learn from labelled requests from before; a policy without estimators learns nothing."""


def certain(
    model: int, quality: NDArray[np.float64], cost: NDArray[np.float64], *, explored: bool = False
) -> Choice:
    """Build the choice of a policy that left nothing to chance."""
    propensities = np.zeros(len(quality))
    propensities[model] = 1.0
    return Choice(model, (model,), propensities, explored, quality, cost)


def declined(models: int) -> Choice:
    """Build the choice of serving nobody."""
    return Choice(DECLINED, (), np.zeros(models), False, np.zeros(models), np.zeros(models))


def mixed(
    weights: NDArray[np.float64],
    quality: NDArray[np.float64],
    cost: NDArray[np.float64],
    rng: np.random.Generator,
) -> Choice:
    """Build the choice of a policy that serves model m with probability ``weights[m]``."""
    cumulative = weights.cumsum()
    model = int(cumulative.searchsorted(rng.random() * cumulative[-1], side="right"))
    return Choice(model, (model,), weights, False, quality, cost)


def lowest(scores: NDArray[np.float64], allowed: NDArray[np.bool_] | None) -> int:
    """Position of the lowest score among allowed models; the first one on ties."""
    if allowed is not None:
        scores = np.where(allowed, scores, np.inf)
    return int(scores.argmin())
