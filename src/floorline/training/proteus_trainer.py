"""Training PROTEUS's network (arXiv 2601.19402) with PyTorch, on the CPU."""

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
"""Warm-up steps between looks at the validation rows."""


class Progress(NamedTuple):
    """How training stands; ``dual`` is the largest λ, ``accuracy`` that of the latest batch."""

    step: int
    steps: int
    accuracy: float
    dual: float
    loss: float


class ProteusTrainer:
    """Trains step by step; the state after any step is saved and restored to the last bit.

    Randomness is drawn anew in every step from the seed and the step's number, so a state holds
    no generator. Single-threaded arithmetic in a fixed order makes equal seeds give equal bytes.

    Parameters
    ----------
    parts
        Rows to learn from and to tune on; the test part is not looked at.
    encoder
        Makes the features.
    settings
        See ``TrainingSettings``, which says what the paper leaves open and what we chose.
    """

    def __init__(self, parts: Parts, encoder: Encoder, settings: TrainingSettings) -> None:
        self.settings = settings
        self.models = parts.train.models
        self.fingerprint = encoder.fingerprint
        mean_cost = parts.train.mean_cost
        dearest = float(mean_cost.max()) or 1.0
        self._train = _tensors(parts.train, encoder, dearest)
        self._tune = _tensors(parts.validation, encoder, dearest)
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
        """Train up to a step, by default to the end."""
        settings = self.settings
        last = settings.steps if until is None else min(until, settings.steps)
        while self.step < last:
            warming = self.step < settings.warm_up_steps
            with _deterministic(settings.seed, self.step):
                accuracy, loss = self._warm_up() if warming else self._improve()
            self.step += 1
            if progress is not None:
                dual = float(self.duals.values.max())
                progress(Progress(self.step, settings.steps, accuracy, dual, loss))
            if save is not None and self.step % save_every == 0 and self.step < settings.steps:
                save(self)

    def trained(self) -> TrainedNetwork:
        """Return the network as it is served: best encoder and head 1, averaged head 2."""
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
        """One step of cross-entropy for encoder and head 1."""
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

    def _improve(self) -> tuple[float, float]:
        """One batch of PPO for head 2, b_m and γ, and a step of the duals when it is due."""
        network, settings, tune = self.network, self.settings, self._tune
        z_all, p_all = self._frozen()
        rows = torch.randint(len(z_all), (settings.batch,))
        z, p = dropout(z_all[rows], settings.policy_dropout), p_all[rows]
        labels, cost = tune.quality[rows], tune.cost[rows]
        floor = _spread(settings)
        dual = self.duals.at(floor)
        read = torch.where(
            torch.rand(settings.batch) < settings.anchor, torch.ones_like(dual), dual
        )
        # Of every model at once: r = p − α·c + λ(p − τ), over 1 + λ so that no τ drowns others.
        reward = labels - settings.alpha * cost + dual[:, None] * (labels - floor[:, None])
        reward = reward / (1.0 + dual[:, None])
        with torch.no_grad():
            a, b = network.beta(z, floor, read)
            old = Beta(a, b)
            mu = old.sample((settings.draws,)).clamp(1e-4, 1.0 - 1e-4)
            before = old.log_prob(mu)
            served = network.scores(p, mu).argmax(-1)
            won = reward.expand(settings.draws, -1, -1).gather(2, served[..., None])[..., 0]
            others = (won.sum(0, keepdim=True) - won) / (settings.draws - 1)
            advantage = (won - others) / (won - others).std().clamp(min=1e-3)
            usual = network.scores(p, a / (a + b)).argmax(-1, keepdim=True)
            satisfied = labels.gather(1, usual)[:, 0]
        for _ in range(settings.epochs):
            loss = self._loss(z, p, floor, read, mu, before, advantage, reward, labels)
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
        before: Tensor,
        advantage: Tensor,
        reward: Tensor,
        labels: Tensor,
    ) -> Tensor:
        """PPO's clipped loss, less the entropy bonus, and the softened ones for b_m and γ."""
        network, settings = self.network, self.settings
        a, b = network.beta(z, floor, dual)
        usual = (a / (a + b)).detach()
        priced = network.scores(p, usual, boost=network.boost.detach())
        choice = torch.softmax(priced / settings.temperature, -1)
        best = torch.softmax((p + network.boost) / settings.temperature, -1)
        soft = (choice * reward).sum(-1).mean() + (best * labels).sum(-1).mean()
        policy = Beta(a, b)
        ratio = torch.exp(policy.log_prob(mu) - before)
        clipped = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
        gain = torch.minimum(ratio * advantage, clipped * advantage).mean()
        return -gain - settings.entropy * policy.entropy().mean() - soft

    def _frozen(self) -> tuple[Tensor, Tensor]:
        """Return z and p̂ of the tuning rows, by the best encoder and head 1."""
        if self._encoded is None:
            with torch.no_grad():
                for current, best in zip(self._first, self._best, strict=True):
                    current.copy_(best)
                z = self.network.encode(self._tune.x)
                self._encoded = z, torch.sigmoid(self.network.quality(z))
        return self._encoded

    def state(self) -> dict[str, Any]:
        """Everything that changes, as tensors and numbers."""
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
        """Take over a state of a trainer built with the same arguments."""
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
    """Features (n, d), labels and costs (n, M); costs over the dearest model's mean."""

    x: Tensor
    quality: Tensor
    cost: Tensor


def _tensors(table: RoutingTable, encoder: Encoder, dearest: float) -> _Rows:
    return _Rows(
        torch.from_numpy(np.array(encoder.encode_batch(table.prompts), dtype=np.float32)),
        torch.from_numpy(np.array(table.quality, dtype=np.float32)),
        torch.from_numpy(np.array(table.cost / dearest, dtype=np.float32)),
    )


def _spread(settings: TrainingSettings) -> Tensor:
    """τ (batch,), uniform over its range; every batch has all of it, so every dual can move."""
    low, high = settings.targets
    places = (torch.arange(settings.batch) + torch.rand(settings.batch)) / settings.batch
    return low + (high - low) * places


@contextmanager
def _deterministic(seed: int, step: int) -> Iterator[None]:
    """Draw from seed and step alone, on one thread; leaves the caller's generator as it was."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        # Torch's generator heeds 32 bits of its seed only, so both numbers are mixed into them.
        torch.manual_seed(int(np.random.SeedSequence([seed, step + 1]).generate_state(1)[0]))
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
