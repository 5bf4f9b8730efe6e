"""Online network of two layers on frozen features: the predictor of MESS+ in its public code."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, SparseFeatures
from floorline.errors import check_number
from floorline.estimators.base import QualityEstimator, check_label
from floorline.estimators.sigmoid import sigmoid

_EPSILON = 1e-5
"""Added to the variance in the layer normalisation, as in PyTorch."""

Floats = NDArray[np.float32]


class OnlinePerceptron(QualityEstimator):
    """Linear, layer normalisation, ReLU, linear: one sigmoid output per model.

        h = relu(γ ⊙ norm(W₁·x + b₁) + β),      q̂_m = sigmoid(w_m·h + b_m)

    The classifier of the public code of MESS+ [1]_, which stands on the frozen text encoder
    ModernBERT. Each label is one step of stochastic gradient descent with momentum on the binary
    cross-entropy; a label of one of M models counts 1/M, as in the mean over all labels. Left out
    are dropout, the warm-up of the rate and the class weights. The first layer has as many units as
    the encoder's output there (768) and fewer here, because online features are hashed n-grams.

    Parameters
    ----------
    dim
        Length d of the feature vectors. A step takes time and memory in proportion to d·hidden.
    models
        Names of the M models.
    hidden
        Number of units H of the first layer.
    rate, momentum, decay
        Step size, momentum and weight decay of the descent.
    epochs
        Number of steps per label.
    seed
        Seed of the initial weights.

    Attributes
    ----------
    first_, second_
        (H, d + 1) and (M, H + 1) float32 weights; the last column is the bias.
    norm_
        (2, H) float32 scale γ and shift β.
    speed_first_, speed_second_, speed_norm_
        Momentum of each of them.
    models_
        Names of the models.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] MESS+: Dynamically Learned Inference-Time LLM Routing in Model Zoos with Service Level
       Guarantees. arXiv:2505.19947.

    Examples
    --------
    >>> network = OnlinePerceptron(2, ["small", "large"])
    >>> for _ in range(50):
    ...     network.learn_one(np.array([1.0, 0.0], dtype=np.float32), 0, 1.0)
    ...     network.learn_one(np.array([0.0, 1.0], dtype=np.float32), 0, 0.0)
    >>> bool(network.predict_one(np.array([1.0, 0.0], dtype=np.float32))[0] > 0.9)
    True
    """

    def __init__(
        self,
        dim: int,
        models: Sequence[str],
        *,
        hidden: int = 64,
        rate: float = 0.05,
        momentum: float = 0.9,
        decay: float = 0.01,
        epochs: int = 1,
        seed: int = 0,
    ) -> None:
        where = "OnlinePerceptron."
        whole = "give a whole number of 1 or more"
        self.dim = int(check_number(f"{where}dim", dim, low=1, fix=whole))
        self.hidden = int(check_number(f"{where}hidden", hidden, low=1, high=4096, fix=whole))
        self.rate = check_number(f"{where}rate", rate, low=0.0, high=10.0, fix="give 0 to 10")
        self.momentum = check_number(
            f"{where}momentum", momentum, low=0.0, high=0.999, fix="give 0 to 0.999"
        )
        self.decay = check_number(f"{where}decay", decay, low=0.0, high=1.0, fix="give 0 to 1")
        self.epochs = int(check_number(f"{where}epochs", epochs, low=1, high=1000, fix=whole))
        self.seed = int(check_number(f"{where}seed", seed, low=0, fix="give 0 or more"))
        self.models_ = list(models)
        self.first_ = self._initial("", self.hidden, self.dim + 1)
        self.second_ = self._heads(models)
        self.norm_ = np.stack([np.ones(self.hidden), np.zeros(self.hidden)]).astype(np.float32)
        self.speed_first_ = np.zeros_like(self.first_)
        self.speed_second_ = np.zeros_like(self.second_)
        self.speed_norm_ = np.zeros_like(self.norm_)

    def predict_one(self, x: Features) -> NDArray[np.float64]:
        """Return the (M,) probabilities that each model satisfies the request."""
        _, _, hidden = self._forward(x)
        logits = self.second_[:, :-1] @ hidden + self.second_[:, -1]
        return sigmoid(logits.astype(np.float64))

    def learn_one(self, x: Features, model: int, y: float, weight: float = 1.0) -> None:
        """Learn one label of one model.

        Raises
        ------
        InvalidInput
            If a feature, the label or the weight is out of range.
        """
        check_label(x, y, weight)
        # A heavier label counts up to ten labels: a step of any length would blow up the weights.
        share = np.float32(min(weight, 10.0) / len(self.models_))
        for _ in range(self.epochs):
            self._step(x, model, y, share)

    def set_models(self, names: Sequence[str]) -> None:
        """Change the list of models: known models keep their output, new ones start anew."""
        second, speed = self._heads(names), np.zeros((len(names), self.hidden + 1), np.float32)
        for position, name in enumerate(names):
            if name in self.models_:
                old = self.models_.index(name)
                second[position], speed[position] = self.second_[old], self.speed_second_[old]
        self.second_, self.speed_second_ = second, speed
        self.models_ = list(names)

    def _forward(self, x: Features) -> tuple[Floats, np.float32, Floats]:
        """Return the normalised sums of the first layer, their scale, and the hidden units."""
        if isinstance(x, SparseFeatures):
            sums = self.first_.take(x.indices, axis=1) @ x.values
        else:
            sums = self.first_[:, :-1] @ x
        sums = sums + self.first_[:, -1]
        sums = sums - sums.mean()
        scale = np.float32(1.0) / np.sqrt(np.square(sums).mean() + np.float32(_EPSILON))
        normal = sums * scale
        return normal, scale, np.maximum(self.norm_[0] * normal + self.norm_[1], np.float32(0.0))

    def _step(self, x: Features, model: int, y: float, share: np.float32) -> None:
        normal, scale, hidden = self._forward(x)
        head = self.second_[model]
        error = share * np.float32(sigmoid(float(head[:-1] @ hidden + head[-1])) - y)
        back = np.where(hidden > 0.0, error * head[:-1], np.float32(0.0))
        of_head = np.zeros_like(self.second_)
        of_head[model] = error * np.append(hidden, np.float32(1.0))
        of_norm = np.stack([back * normal, back])
        back = back * self.norm_[0]
        back = scale * (back - back.mean() - normal * (back * normal).mean())
        of_first = np.zeros_like(self.first_)
        if isinstance(x, SparseFeatures):
            of_first[:, x.indices] = np.outer(back, x.values)
        else:
            of_first[:, :-1] = np.outer(back, x)
        of_first[:, -1] = back
        for weights, speed, gradient in (
            (self.first_, self.speed_first_, of_first),
            (self.second_, self.speed_second_, of_head),
            (self.norm_, self.speed_norm_, of_norm),
        ):
            speed *= np.float32(self.momentum)
            speed += gradient + np.float32(self.decay) * weights
            weights -= np.float32(self.rate) * speed

    def _heads(self, names: Sequence[str]) -> Floats:
        return np.concatenate([self._initial(name, 1, self.hidden + 1) for name in names])

    def _initial(self, name: str, rows: int, columns: int) -> Floats:
        """Return uniform weights of at most 1/√inputs, as PyTorch draws them.

        They depend on the seed and the model's name, so that the order of models is nothing to
        them.
        """
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        bound = 1.0 / np.sqrt(columns - 1)
        return rng.uniform(-bound, bound, (rows, columns)).astype(np.float32)
