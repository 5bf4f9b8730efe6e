"""The simulated zoo: prompts, models and outcomes drawn from a known distribution and a seed.

Model m satisfies a prompt of family f and difficulty d with probability
sigmoid(sharpness_m · (ability_{m,f} − d)): the two-parameter logistic model of item response
theory (Birnbaum 1968). No real model answered these prompts; every table is marked as simulated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from floorline.datasets.simulated_models import MODELS, SimulatedModel, list_prices
from floorline.datasets.simulated_prompts import make_prompts
from floorline.datasets.simulated_vocabulary import FAMILIES
from floorline.datasets.table import RoutingTable
from floorline.errors import InvalidInput, check_one_of
from floorline.estimators.sigmoid import sigmoid

__all__ = ["MODELS", "SimulatedAnswer", "SimulatedModel", "SimulatedZoo", "list_prices", "simulate"]

_SPREAD = 0.35
"""Standard deviation of the logarithm of a reply's length around its mean."""

_CHARACTERS_PER_TOKEN = 4.2
"""Average of common tokenisers on English text."""


@dataclass(frozen=True)
class SimulatedAnswer:
    """One drawn answer; ``cost`` in USD and ``latency`` in seconds are those of this call."""

    model: str
    satisfied: bool
    tokens_in: int
    tokens_out: int
    cost: float
    latency: float


class SimulatedZoo:
    """Simulated prompts and models whose true probabilities are known.

    Parameters
    ----------
    n
        Number of prompts.
    seed
        The same seed gives the same prompts and outcomes; a model's column does not depend on
        which other models are there.
    models
        Names from ``MODELS`` or other ``SimulatedModel`` objects; all of ``MODELS`` if not given.

    Raises
    ------
    InvalidInput
        If n is not an integer ≥ 1, seed not an integer ≥ 0, or a model is unknown or named twice.

    Examples
    --------
    >>> zoo = SimulatedZoo(200, seed=7, models=["sim-nano", "sim-titan"])
    >>> zoo.probabilities.shape
    (200, 2)
    >>> zoo.draw(zoo.prompts[0], "sim-titan", np.random.default_rng(0)).model
    'sim-titan'
    """

    def __init__(
        self, n: int = 10_000, seed: int = 0, models: Sequence[str | SimulatedModel] | None = None
    ) -> None:
        for field, value, least in (("n", n, 1), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidInput(field, value, f"give a whole number of at least {least}")
        self.seed = seed
        self.models = _choose(models)
        made = make_prompts(n, seed)
        self.prompts = made.texts
        self.family = made.family
        self.difficulty = made.difficulty
        self.tasks = [FAMILIES[f].name for f in made.family.tolist()]
        self._column = {model.name: m for m, model in enumerate(self.models)}

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """(N, M) true probability that the model satisfies the prompt."""
        columns = [_probability(model, self.family, self.difficulty) for model in self.models]
        truth = np.stack(columns, axis=1)
        truth.setflags(write=False)
        return truth

    @cached_property
    def tokens_in(self) -> NDArray[np.int64]:
        """(N,) input tokens."""
        return np.array([count_tokens(text) for text in self.prompts])

    def table(self) -> RoutingTable:
        """Draw one outcome of every model on every prompt; the same seed gives the same table."""
        shape = (len(self.prompts), len(self.models))
        quality = np.empty(shape, dtype=np.float32)
        tokens = np.empty(shape)
        cost = np.empty(shape)
        latency = np.empty(shape)
        for m, model in enumerate(self.models):
            salt = int.from_bytes(hashlib.sha256(model.name.encode()).digest()[:4], "big")
            rng = np.random.default_rng([self.seed, 2, salt])
            quality[:, m] = rng.random(shape[0]) < self.probabilities[:, m]
            tokens[:, m] = _reply_tokens(model, self.family, self.difficulty, rng)
            cost[:, m] = _cost(model, self.tokens_in, tokens[:, m])
            latency[:, m] = _latency(model, tokens[:, m], rng)
        return RoutingTable(
            self.prompts,
            [model.name for model in self.models],
            quality,
            cost,
            task=self.tasks,
            tokens_in=self.tokens_in,
            tokens_out=tokens,
            latency=latency,
            name="simulated",
            simulated=True,
            source=f"floorline simulated zoo, n={shape[0]}, seed={self.seed}",
        )

    def probability(self, prompt: str, model: str) -> float:
        """Return the true probability that ``model`` satisfies ``prompt``.

        A text that occurs more than once has the probability of its first occurrence. A prompt
        that is not in this zoo is of the family "chat", and a digest of its text gives its
        difficulty, so that the same text always has the same probability.

        Raises
        ------
        InvalidInput
            If the model is not in the zoo.
        """
        family, difficulty = self._family_and_difficulty(prompt)
        return float(_probability(self._model(model), family, difficulty)[0])

    def draw(self, prompt: str, model: str, rng: np.random.Generator) -> SimulatedAnswer:
        """Draw one answer of ``model`` to ``prompt``.

        Raises
        ------
        InvalidInput
            If the model is not in the zoo.
        """
        family, difficulty = self._family_and_difficulty(prompt)
        spec = self._model(model)
        satisfied = rng.random() < _probability(spec, family, difficulty)[0]
        tokens_in = count_tokens(prompt)
        tokens_out = _reply_tokens(spec, family, difficulty, rng)
        return SimulatedAnswer(
            model=model,
            satisfied=bool(satisfied),
            tokens_in=tokens_in,
            tokens_out=int(tokens_out[0]),
            cost=float(_cost(spec, np.array([tokens_in]), tokens_out)[0]),
            latency=float(_latency(spec, tokens_out, rng)[0]),
        )

    @cached_property
    def _row(self) -> dict[str, int]:
        return {text: row for row, text in reversed(list(enumerate(self.prompts)))}

    def _family_and_difficulty(self, prompt: str) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        row = self._row.get(prompt)
        if row is not None:
            return self.family[row : row + 1], self.difficulty[row : row + 1]
        chat = [f.name for f in FAMILIES].index("chat")
        digest = hashlib.sha256(prompt.encode(errors="replace")).digest()
        chance = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        return np.array([chat]), chance.standard_normal(1)

    def _model(self, name: str) -> SimulatedModel:
        check_one_of("model", name, self._column)
        return self.models[self._column[name]]


def simulate(
    n: int = 10_000, seed: int = 0, models: Sequence[str | SimulatedModel] | None = None
) -> RoutingTable:
    """Return the routing table of a ``SimulatedZoo`` of these arguments.

    Examples
    --------
    >>> table = simulate(1000, seed=0)
    >>> table
    RoutingTable('simulated', 1,000 × 8, simulated)
    >>> bool(table.mean_quality[0] < table.mean_quality[-1])
    True
    """
    return SimulatedZoo(n, seed, models).table()


def _choose(models: Sequence[str | SimulatedModel] | None) -> tuple[SimulatedModel, ...]:
    if models is None:
        return MODELS
    known = {model.name: model for model in MODELS}
    chosen = []
    for model in models:
        if isinstance(model, str):
            check_one_of("model", model, known)
            model = known[model]
        chosen.append(model)
    names = [model.name for model in chosen]
    if not chosen or len(set(names)) < len(names):
        raise InvalidInput("models", names, "name at least one model, and none twice")
    return tuple(chosen)


def _probability(
    model: SimulatedModel, family: NDArray[np.intp], difficulty: NDArray[np.float64]
) -> NDArray[np.float64]:
    return sigmoid(model.sharpness * (model.ability()[family] - difficulty))


def count_tokens(text: str) -> int:
    """Tokens of a message: its text, and 8 for its role and separators."""
    return 8 + round(len(text) / _CHARACTERS_PER_TOKEN)


def _reply_tokens(
    model: SimulatedModel,
    family: NDArray[np.intp],
    difficulty: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    usual = np.array([f.reply for f in FAMILIES])[family] * model.verbosity
    stretch = np.exp(_SPREAD * rng.standard_normal(len(family)) + 0.15 * difficulty)
    return np.maximum(1, np.rint(usual * stretch))


def _cost(
    model: SimulatedModel, tokens_in: NDArray[np.int64], tokens_out: NDArray[np.float64]
) -> NDArray[np.float64]:
    return (tokens_in * model.input_price + tokens_out * model.output_price) / 1e6


def _latency(
    model: SimulatedModel, tokens_out: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    steady = model.first_token + tokens_out / model.tokens_per_second
    return steady * np.exp(0.2 * rng.standard_normal(len(tokens_out)))
