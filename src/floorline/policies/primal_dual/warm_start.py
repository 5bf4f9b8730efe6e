"""What the flagship learns of a labelled history before it serves a request."""

from __future__ import annotations

import numpy as np

from floorline.estimators import CostEstimator, QualityEstimator
from floorline.policies.base import History
from floorline.policies.primal_dual.prompt_gate import PromptGate
from floorline.policies.primal_dual.quality_posterior import QualityPosterior


def warm_start_quality(
    history: History,
    quality: QualityEstimator,
    posterior: QualityPosterior,
    gate: PromptGate,
    *,
    held_out: float,
) -> None:
    """Learn a history's labels; its last part first label by label, to see what prompts tell.

    ``held_out`` is the share of the requests in that part: predictions for them do not know them.
    """
    features, labels = history.features, history.quality
    first = len(features) - int(held_out * len(features))
    posterior.learn_many(labels[:first])
    quality.learn_many(features[:first], labels[:first])
    mean = posterior.mean_
    for x, row in zip(features[first:], labels[first:], strict=True):
        prediction = quality.predict_one(x)
        gate.see(prediction)
        for model in np.flatnonzero(~np.isnan(row)).tolist():
            gate.learn(prediction, float(mean[model]), model, float(row[model]))
    posterior.learn_many(labels[first:])
    quality.learn_many(features[first:], labels[first:])


def warm_start_costs(history: History, cost: CostEstimator, quality: QualityEstimator) -> None:
    """Learn what calls cost, and which prompts cost more than others of their length.

    The latter are ratios: what a call cost over what calls of its length cost.
    """
    cost.learn_many(history.cost, history.input_tokens)
    usual = np.array([cost.predict_one(int(tokens)) for tokens in history.input_tokens])
    ratio = np.divide(history.cost, usual, out=np.ones_like(usual), where=usual > 0)
    quality.learn_costs(history.features, ratio)
