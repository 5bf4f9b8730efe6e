"""Trainer of PROTEUS's network (arXiv 2601.19402) with PyTorch, on the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn.functional import binary_cross_entropy_with_logits, dropout

from floorline.datasets import RoutingTable
from floorline.encoders import Encoder
from floorline.estimators.network import TrainedNetwork, Weights
from floorline.training.duals import Duals
from floorline.training.network import ENCODER, Network
from floorline.training.parts import Parts
from floorline.training.settings import TrainingSettings, normalised_cost

EVALUATE_EVERY = 25
"""Number of warm-up steps between two evaluations on the validation rows."""


class Progress(NamedTuple):
    """State of the training after a step.

    Parameters
    ----------
    step, steps
        Number of finished steps and of all steps.
    accuracy
        Satisfaction on the last batch.
    dual
        Largest λ.
    loss
        Loss on the last batch.
    """

    step: int
    steps: int
    accuracy: float
    dual: float
    loss: float


class ProteusTrainer:
    """Trainer of PROTEUS [1]_, step by step; its state can be saved and restored exactly.

    The random numbers of a step depend only on the seed and the number of the step, so the state
    contains no generator. The arithmetic has a fixed order on a single thread, so equal seeds give
    equal bytes.

    Parameters
    ----------
    parts
        Training and validation rows; the test rows are not used.
    encoder
        Encoder of the prompts.
    settings
        ``TrainingSettings``, which states the choices that the paper leaves open.

    References
    ----------
    .. [1] PROTEUS: arXiv:2601.19402.
    """

    def __init__(self, parts: Parts, encoder: Encoder, settings: TrainingSettings) -> None:
        self.settings = settings
        self.models = parts.train.models
        self.fingerprint = encoder.fingerprint
        mean_cost = parts.train.mean_cost
        cost_unit = float(mean_cost.max()) or 1.0
        self._train = _tensors(parts.train, encoder, cost_unit)
        self._tune = _tensors(parts.validation, encoder, cost_unit)
        self.step = 0
        with _deterministic(settings.seed, -1):
            cost = normalised_cost(mean_cost)
            self.network = Network.fresh(settings, encoder.dim, cost)
            base = self._train.quality.mean(0).clamp(0.01, 0.99)
            self.network.quality_bias.data.copy_(torch.log(base / (1.0 - base)))
        self.duals = Duals(settings)
        named = dict(self.network.named_parameters())
        self._first = [named[name] for name in ENCODER]
        self._second = [named[name] for name in named if name not in ENCODER]
        decay, rate = settings.decay, settings.rate
        self._optimizers = [
            torch.optim.AdamW(group, lr=rate, weight_decay=decay)
            for group in (self._first, self._second)
        ]
        self.best_loss = math.inf
        self._best = [p.detach().clone() for p in self._first]
        self._mean = [torch.zeros_like(p) for p in self._second]
        self._averaged = 0
        self._encoded: tuple[Tensor, Tensor] | None = None

    def run(
        self,
        *,
        until: int | None = None,
        progress: Callable[[Progress], object] | None = None,
        save: Callable[[ProteusTrainer], object] | None = None,
        save_every: int = 500,
    ) -> None:
        """Train up to a step.

        Parameters
        ----------
        until
            Number of the last step. Default: the end of the training.
        progress
            Called after every step.
        save
            Called after every ``save_every`` steps, to save the state.
        save_every
            Number of steps between two calls of ``save``.
        """
        settings = self.settings
        last = settings.steps if until is None else min(until, settings.steps)
        while self.step < last:
            in_warm_up = self.step < settings.warm_up_steps
            with _deterministic(settings.seed, self.step):
                accuracy, loss = self._warm_up() if in_warm_up else self._ppo_step()
            self.step += 1
            if progress is not None:
                dual = float(self.duals.values.max())
                progress(Progress(self.step, settings.steps, accuracy, dual, loss))
            if save is not None and self.step % save_every == 0 and self.step < settings.steps:
                save(self)

    def trained(self) -> TrainedNetwork:
        """Return the network for serving: the best encoder and head 1, the averaged head 2."""
        weights = self.network.weights()._asdict()
        names = [name for name, _ in self.network.named_parameters()]
        second = [name for name in names if name not in ENCODER]
        for name, best in zip(ENCODER, self._best, strict=True):
            weights[name] = best.numpy().copy()
        if self._averaged:
            for name, total in zip(second, self._mean, strict=True):
                weights[name] = (total / self._averaged).numpy()
        return TrainedNetwork(Weights(**weights), self.models, self.fingerprint)

    def _warm_up(self) -> tuple[float, float]:
        """Make one step of cross-entropy for encoder and head 1; return accuracy and loss."""
        network, settings = self.network, self.settings
        rows = torch.randint(len(self._train.x), (settings.batch,))
        x, labels = self._train.x[rows], self._train.quality[rows]
        logits = network.quality(network.encode(x, settings.dropout))
        loss = binary_cross_entropy_with_logits(logits, labels)
        self._optimizers[0].zero_grad()
        loss.backward()
        self._optimizers[0].step()
        if (self.step + 1) % EVALUATE_EVERY == 0 or self.step + 1 == settings.warm_up_steps:
            with torch.no_grad():
                found = network.quality(network.encode(self._tune.x))
                held_out = float(binary_cross_entropy_with_logits(found, self._tune.quality))
            if held_out < self.best_loss:
                self.best_loss = held_out
                self._best = [p.detach().clone() for p in self._first]
        served = logits.detach().argmax(1, keepdim=True)
        return float(labels.gather(1, served).mean()), float(loss.detach())

    def _ppo_step(self) -> tuple[float, float]:
        """Make one step of PPO for head 2, b_m and γ, and one of the duals every few steps.

        Returns accuracy and loss.
        """
        network, settings, tune = self.network, self.settings, self._tune
        z_all, p_all = self._frozen()
        rows = torch.randint(len(z_all), (settings.batch,))
        z, p = dropout(z_all[rows], settings.policy_dropout), p_all[rows]
        labels, cost = tune.quality[rows], tune.cost[rows]
        floor = _stratified_floors(settings)
        dual = self.duals.at(floor)
        # λ as the policy sees it: 1 for a share of the requests, as at run time.
        input_dual = torch.where(
            torch.rand(settings.batch) < settings.anchor, torch.ones_like(dual), dual
        )
        # Reward of all models: r = p − α·c + λ(p − τ). It is divided by 1 + λ, because otherwise
        # the τ with the largest λ would dominate the gradient.
        reward = labels - settings.alpha * cost + dual[:, None] * (labels - floor[:, None])
        reward = reward / (1.0 + dual[:, None])
        with torch.no_grad():
            a, b = network.beta(z, floor, input_dual)
            old = Beta(a, b)
            mu = old.sample((settings.draws,)).clamp(1e-4, 1.0 - 1e-4)
            old_log_prob = old.log_prob(mu)
            served = network.scores(p, mu).argmax(-1)
            gained = reward.expand(settings.draws, -1, -1).gather(2, served[..., None])[..., 0]
            baseline = (gained.sum(0, keepdim=True) - gained) / (settings.draws - 1)
            advantage = (gained - baseline) / (gained - baseline).std().clamp(min=1e-3)
            at_mean = network.scores(p, a / (a + b)).argmax(-1, keepdim=True)
            satisfied = labels.gather(1, at_mean)[:, 0]
        for _ in range(settings.epochs):
            loss = self._loss(z, p, floor, input_dual, mu, old_log_prob, advantage, reward, labels)
            self._optimizers[1].zero_grad()
            loss.backward()
            self._optimizers[1].step()
        self.duals.observe(floor, satisfied)
        if (self.step + 1) % settings.dual_every == 0:
            self.duals.step()
        if self.step >= settings.steps - max(1, round(settings.average * settings.steps)):
            for total, value in zip(self._mean, self._second, strict=True):
                total += value.detach()
            self._averaged += 1
        return float(satisfied.mean()), float(loss.detach())

    def _loss(
        self,
        z: Tensor,
        p: Tensor,
        floor: Tensor,
        dual: Tensor,
        mu: Tensor,
        old_log_prob: Tensor,
        advantage: Tensor,
        reward: Tensor,
        labels: Tensor,
    ) -> Tensor:
        """Return PPO's clipped loss minus the entropy bonus and the soft objectives of b_m and γ.

        ``TrainingSettings.temperature`` describes the soft objectives.
        """
        network, settings = self.network, self.settings
        a, b = network.beta(z, floor, dual)
        mean_mu = (a / (a + b)).detach()
        scores = network.scores(p, mean_mu, boost=network.boost.detach())
        choice = torch.softmax(scores / settings.temperature, -1)
        best = torch.softmax((p + network.boost) / settings.temperature, -1)
        soft = (choice * reward).sum(-1).mean() + (best * labels).sum(-1).mean()
        policy = Beta(a, b)
        ratio = torch.exp(policy.log_prob(mu) - old_log_prob)
        clipped = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
        gain = torch.minimum(ratio * advantage, clipped * advantage).mean()
        return -gain - settings.entropy * policy.entropy().mean() - soft

    def _frozen(self) -> tuple[Tensor, Tensor]:
        """Return z and p̂ of the validation rows, computed once by the best encoder and head 1."""
        if self._encoded is None:
            with torch.no_grad():
                for current, best in zip(self._first, self._best, strict=True):
                    current.copy_(best)
                z = self.network.encode(self._tune.x)
                self._encoded = z, torch.sigmoid(self.network.quality(z))
        return self._encoded

    def state(self) -> dict[str, Any]:
        """Return the state of the training as tensors and numbers."""
        return {
            "step": self.step,
            "network": {n: v.clone() for n, v in self.network.state_dict().items()},
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "duals": self.duals.state(),
            "best_loss": self.best_loss,
            "best": [value.clone() for value in self._best],
            "mean": [value.clone() for value in self._mean],
            "averaged": self._averaged,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Replace the state by that of a trainer constructed with the same arguments."""
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        for optimizer, values in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        self.duals.restore(state["duals"])
        self.best_loss = state["best_loss"]
        self._best, self._mean = list(state["best"]), list(state["mean"])
        self._averaged = state["averaged"]
        self._encoded = None


class _Rows(NamedTuple):
    """Rows as tensors.

    Parameters
    ----------
    x
        (n, d) features.
    quality
        (n, M) labels.
    cost
        (n, M) costs relative to the largest mean cost of a model.
    """

    x: Tensor
    quality: Tensor
    cost: Tensor


def _tensors(table: RoutingTable, encoder: Encoder, cost_unit: float) -> _Rows:
    return _Rows(
        torch.from_numpy(np.array(encoder.encode_batch(table.prompts), dtype=np.float32)),
        torch.from_numpy(np.array(table.quality, dtype=np.float32)),
        torch.from_numpy(np.array(table.cost / cost_unit, dtype=np.float32)),
    )


def _stratified_floors(settings: TrainingSettings) -> Tensor:
    """Return τ (batch,), stratified over its range, so that every batch updates every dual."""
    low, high = settings.targets
    shares = (torch.arange(settings.batch) + torch.rand(settings.batch)) / settings.batch
    return low + (high - low) * shares


@contextmanager
def _deterministic(seed: int, step: int) -> Iterator[None]:
    """Make random draws depend on seed and step only, on one thread.

    The caller's generator and number of threads are restored afterwards.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        # Torch's generator uses only 32 bits of its seed, so both numbers are mixed into them.
        torch.manual_seed(int(np.random.SeedSequence([seed, step + 1]).generate_state(1)[0]))
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
