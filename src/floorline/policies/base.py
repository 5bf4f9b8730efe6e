"""Interface of policies: a decision for a request, and a fold over events."""

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
from floorline.errors import Bar
from floorline.estimators.cost import CacheTokens
from floorline.events import Decision, Feedback, Outcome
from floorline.policies.conversation import Turn
from floorline.sla import SLA
from floorline.zoo import CallLimits, Zoo

Knows = Literal["feedback", "features", "means", "labels"]
Need = Literal["history", "budget", "checkpoint"]

_OTHERS = inspect.Parameter.VAR_KEYWORD


class Request(NamedTuple):
    """A request as a policy sees it.

    Attributes
    ----------
    features
        Features (dim,) of the prompt.
    sla
        Name of the SLA.
    floor
        Floor τ that holds for the request.
    input_tokens
        Number of tokens of the prompt.
    allowed
        Mask (M,) of the models that may serve; None if all may.
    at
        Time of the request in seconds, so that a budget whose new period begins with this request
        is planned with as a renewed one.
    limits
        Upper bounds of the call's tokens; None to reserve its expected cost.
    cache
        Tokens of the prompt that each provider is expected to read from its cache and to write to
        it; None if caches play no part. Only ĉ uses them: what is reserved has nothing cached.
    turn
        What the request is in its conversation; None if it is in none, or caches play no part.
    added_cost
        What serving each model costs beside its call and the conversation's later turns (M,), in
        the zoo's cost unit: the price of being late, where the SLA promises latency. Policies
        choose by it, and budgets do not pay it. None for nothing.
    barred
        What bars each model that ``allowed`` leaves out, by name; only explanations use it. None
        for nothing.
    """

    features: Features
    sla: str
    floor: float
    input_tokens: int = 0
    allowed: NDArray[np.bool_] | None = None
    at: float = 0.0
    limits: CallLimits | None = None
    cache: CacheTokens | None = None
    turn: Turn | None = None
    added_cost: NDArray[np.float64] | None = None
    barred: Mapping[str, Bar] | None = None

    def scored(self, cost: NDArray[np.float64]) -> NDArray[np.float64]:
        """(M,) cost by which policies compare models: that of a call (M,), and ``added_cost``."""
        return cost if self.added_cost is None else cost + self.added_cost


def _describe(value: object) -> str:
    """Describe a hyper-parameter by a text that is the same in every process."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}:{hashlib.sha256(value.tobytes()).hexdigest()[:12]}"
    if isinstance(value, partial):
        filled = ", ".join(f"{k}={_describe(v)}" for k, v in value.keywords.items())
        return f"{_describe(value.func)}({filled})"
    return str(getattr(value, "__qualname__", repr(value)))


NO_MULTIPLIERS: dict[str, float] = {}
"""What a policy weighs by that has no multipliers; decisions share it, so it must stay empty."""
DECLINED = -1
"""Position that stands for no model, where a request is declined."""


class Choice(NamedTuple):
    """What a policy returns for a request. Models are positions in the zoo.

    The router checks it with ``choice_check.check_choice`` before it logs the decision.

    Attributes
    ----------
    model
        Model that serves; ``DECLINED`` if none does.
    called
        All models whose call is paid, the served one first; empty if the request is declined.
    propensities
        Probability (M,) with which the policy serves each model. They sum to 1; under a budget,
        what they lack to 1 is the probability that the policy declines the request.
    explored
        Whether the policy chose the model to explore.
    quality, cost
        Estimated quality q̂ in [0, 1] and cost ĉ of each model, (M,).
    prediction
        What the estimator predicted (M,) before the policy adjusted it to ``quality``; the decision
        carries it to ``on_decision``.
    future_cost
        What serving each model is expected to cost the later turns of the conversation (M,), which
        the policy added to ``cost`` in its scores; None for nothing.
    rule, scores, multipliers
        Which part of the policy decided, the numbers (M,) by which it compared the models, and what
        it weighed them by, as ``Decision`` has them. Only explanations use them.
    """

    model: int
    called: tuple[int, ...]
    propensities: NDArray[np.float64]
    explored: bool
    quality: NDArray[np.float64]
    cost: NDArray[np.float64]
    prediction: NDArray[np.float64] | None = None
    future_cost: NDArray[np.float64] | None = None
    rule: str = ""
    scores: NDArray[np.float64] | None = None
    multipliers: dict[str, float] = NO_MULTIPLIERS


class History(NamedTuple):
    """Labelled requests from before.

    Attributes
    ----------
    features
        Features (dim,) of n requests.
    quality, cost
        Score in [0, 1] and cost of each model's response, (n, M); NaN where unknown.
    input_tokens
        Number of tokens of each prompt, (n,).
    """

    features: Sequence[Features]
    quality: NDArray[np.float64]
    cost: NDArray[np.float64]
    input_tokens: NDArray[np.int64]


class ModelEstimates(NamedTuple):
    """What a policy knows of the models, whatever the prompt.

    Attributes
    ----------
    models
        Names of the M models.
    mean, sd
        Mean satisfaction of each model in [0, 1], and the standard deviation of that estimate,
        (M,) each.
    labels
        Number of labels that the estimate rests on, by their weights, (M,); older ones count less
        where the policy forgets.
    """

    models: tuple[str, ...]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    labels: NDArray[np.float64]


class ModelChanges(NamedTuple):
    """What a policy detected of changes of the models' quality.

    Attributes
    ----------
    detected
        Number of changes since the start.
    recent
        Names of the models that changed or joined, and have few labels since; the policy tries
        them more than others.
    """

    detected: int
    recent: tuple[str, ...]


class Policy(Stateful, ABC):
    """Base of policies: hyper-parameters in the constructor, state in names that end in ``_``.

    ``decide`` reads the state and changes nothing. Each ``on_…`` method folds one event into the
    state. A router is rebuilt after a crash by the latter only, so ``decide`` must keep nothing.

    Class attributes
    ----------------
    name : str
        Name in configurations and tables.
    knows : str
        What the policy is told in addition to the revealed feedback: ``"feedback"`` nothing;
        ``"features"`` the features of all requests in advance, without labels; ``"means"`` the true
        mean quality and cost of every model on the stream (reference points without prompts);
        ``"labels"`` every label and cost (oracles).
    batch : int
        Number of requests that the policy plans at once.
    needs : tuple of str
        What the policy needs to be more than a baseline: ``"history"`` labelled requests from
        before, ``"budget"`` a budget of its SLA, ``"checkpoint"`` a trained network.
    """

    name: ClassVar[str]
    knows: ClassVar[Knows] = "feedback"
    batch: ClassVar[int] = 1
    needs: ClassVar[tuple[Need, ...]] = ()

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Names of the constructor's arguments."""
        return tuple(inspect.signature(cls).parameters)

    @property
    def changes_detected(self) -> int:
        """Number of changes of quality that the policy detected; 0 if it detects none."""
        return 0

    def model_estimates(self) -> ModelEstimates | None:
        """Return what the policy knows of the models; None if it estimates no means."""
        return None

    def changes(self) -> ModelChanges:
        """Return what the policy detected of changes of quality; nothing by default."""
        return ModelChanges(self.changes_detected, ())

    @property
    def fingerprint(self) -> str:
        """Name and hyper-parameters; a snapshot is refused by a policy of another fingerprint."""
        parameters = inspect.signature(type(self)).parameters.values()
        # Further keywords have no attribute of their own; their name may be that of a method.
        given = [
            p.name for p in parameters if p.kind is not p.VAR_KEYWORD and hasattr(self, p.name)
        ]
        described = [f"{name}={_describe(getattr(self, name))}" for name in given]
        return f"{self.name}({', '.join(described)})"

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Set the initial state for these models, SLAs and features of length ``dim``."""

    @abstractmethod
    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Choose a model; a function of the state, the request and the draws from ``rng``."""

    def decide_batch(self, requests: Sequence[Request], rng: np.random.Generator) -> list[Choice]:
        """Choose models for several requests that are known at once; one by one by default."""
        return [self.decide(request, rng) for request in requests]

    def on_decision(self, decision: Decision) -> None:
        """Fold a decision of this policy, or of another one whose log is folded."""

    def on_outcome(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Fold the outcome of one call to the model at position ``model``."""

    def on_feedback(
        self, decision: Decision, model: int, feedback: Feedback, previous: float | None
    ) -> None:
        """Fold one label of the model at position ``model``.

        ``previous`` is the score that the label replaces; None if it is the first. The label counts
        as ``feedback.influence`` labels in what all SLAs learn, and as ``feedback.weight`` labels
        in the surplus of its own; both are 1 while there is one sender of labels.
        """

    def on_judgement(self, decision: Decision, model: int, label: Feedback) -> None:
        """Fold a judge's score of a response without a user's label, corrected by users' labels.

        It counts as ``label.influence`` labels in what all SLAs learn, and in no SLA's surplus. A
        label of a user may come later, as a first one.
        """
        self.on_feedback(decision, model, label, None)

    def on_zoo(self, zoo: Zoo) -> None:
        """Fold a change of models or prices."""

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Fold a change of SLAs."""

    def expected_cost(self, input_tokens: int) -> NDArray[np.float64] | None:
        """(M,) estimated cost ĉ for a prompt of this length; None if the policy estimates none."""
        return None

    def queue(self, sla: str) -> float | None:
        """Virtual queue of an SLA; None if the policy keeps none."""
        return None

    def warm_start(self, history: History) -> None:
        """Learn labelled requests from before; policies without estimators learn nothing."""


def cache_tokens_of(decision: Decision, outcome: Outcome) -> tuple[float, float]:
    """Tokens that a call read from its provider's cache and wrote to it; 0 if unknown.

    They are in the measure of ``decision.input_tokens``, which is an estimate, while the outcome
    has the tokens that the provider counted.
    """
    read, written = outcome.cached_tokens or 0, outcome.cache_write_tokens or 0
    if not (read or written) or not outcome.input_tokens:
        return float(read), float(written)
    scale = decision.input_tokens / outcome.input_tokens
    return scale * read, scale * written


def certain(
    model: int,
    quality: NDArray[np.float64],
    cost: NDArray[np.float64],
    *,
    explored: bool = False,
    rule: str = "",
    scores: NDArray[np.float64] | None = None,
    multipliers: dict[str, float] = NO_MULTIPLIERS,
) -> Choice:
    """Build the choice of a model with probability 1."""
    propensities = np.zeros(len(quality))
    propensities[model] = 1.0
    return Choice(
        model,
        (model,),
        propensities,
        explored,
        quality,
        cost,
        rule=rule,
        scores=scores,
        multipliers=multipliers,
    )


def declined(models: int) -> Choice:
    """Build the choice to decline a request with probability 1, in a zoo of ``models`` models."""
    return Choice(DECLINED, (), np.zeros(models), False, np.zeros(models), np.zeros(models))


def mixed(
    weights: NDArray[np.float64],
    quality: NDArray[np.float64],
    cost: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    rule: str = "",
) -> Choice:
    """Draw a model m with probability ``weights[m]`` and build its choice; weights sum to 1."""
    cumulative = weights.cumsum()
    model = int(cumulative.searchsorted(rng.random() * cumulative[-1], side="right"))
    return Choice(model, (model,), weights, False, quality, cost, rule=rule)


def lowest(scores: NDArray[np.float64], allowed: NDArray[np.bool_] | None) -> int:
    """Position of the lowest score among the allowed models; the first of equal ones."""
    if allowed is not None:
        scores = np.where(allowed, scores, np.inf)
    return int(scores.argmin())
