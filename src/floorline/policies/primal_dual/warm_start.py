"""What the flagship learns of a labelled history before it serves anybody."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from floorline.core.features import Features, stacked
from floorline.estimators import CostEstimator, QualityEstimator
from floorline.estimators.shared_difficulty import SharedDifficulty
from floorline.policies.base import History
from floorline.policies.primal_dual.prompt_gate import PromptGate
from floorline.policies.primal_dual.quality_posterior import Floats, QualityPosterior

_HELD_OUT = 0.2


def warm_start_quality(
    history: History, quality: QualityEstimator, levels: QualityPosterior, worth: PromptGate
) -> None:
    """Learn a history's labels; its last fifth one by one at first, to see what prompts tell."""
    features, labels = history.features, history.quality
    first = len(features) - int(_HELD_OUT * len(features))
    _learn_many(features[:first], labels[:first], quality, levels)
    level = levels.mean_
    for x, row in zip(features[first:], labels[first:], strict=True):
        raw = quality.predict_one(x)
        worth.see(raw)
        for model in np.flatnonzero(~np.isnan(row)).tolist():
            worth.learn(raw, float(level[model]), model, float(row[model]))
    _learn_many(features[first:], labels[first:], quality, levels)


def _learn_many(
    features: Sequence[Features],
    labels: Floats,
    quality: QualityEstimator,
    levels: QualityPosterior,
) -> None:
    levels.learn_many(labels)
    if isinstance(quality, SharedDifficulty):
        quality.learn_many(stacked(features), labels)
        return
    for x, row in zip(features, labels, strict=True):
        for model in np.flatnonzero(~np.isnan(row)).tolist():
            quality.learn_one(x, model, float(row[model]))


def warm_start_costs(history: History, cost: CostEstimator, quality: QualityEstimator) -> None:
    """Learn what calls cost, and which prompts cost more than others of their length."""
    cost.learn_many(history.cost, history.input_tokens)
    if isinstance(quality, SharedDifficulty):
        usual = np.array([cost.predict_one(int(tokens)) for tokens in history.input_tokens])
        shape = np.divide(history.cost, usual, out=np.ones_like(usual), where=usual > 0)
        quality.learn_costs(stacked(history.features), shape)
