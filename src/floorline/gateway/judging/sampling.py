"""Which responses a judge sees: draws with probabilities that are known and logged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from floorline.config.judging import JudgeSettings
from floorline.events import Decision
from floorline.gateway.tenants import split_tenant

INFORMATIVE_LABELS = 100.0
"""Labels of a model after which another one tells half as much as the first: as many as the policy
``primal_dual`` explores by (``PrimalDualConfig.informative_labels``)."""


def draw(seed: int, purpose: str, decision: str) -> float:
    """Number from 0 to 1, the same in every process, that nothing else depends on.

    Parameters
    ----------
    seed
        Seed of all random choices.
    purpose
        What is drawn, such as the name of a judge.
    decision
        Id of the decision.

    Examples
    --------
    >>> draw(1, "strict", "d1") == draw(1, "strict", "d1") != draw(1, "strict", "d2")
    True
    """
    text = f"{seed}\n{purpose}\n{decision}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) / 2.0**64


def rate_of(judge: JudgeSettings, decision: Decision, labels: Mapping[str, float]) -> float:
    """Probability from 0 to 1 with which a judge sees the response of a decision.

    The rate that is configured for it is raised up to ``boost`` times for a model with few labels.

    Parameters
    ----------
    judge
        Rates of the judge.
    decision
        The decision.
    labels
        Number of labels that the policy has learned of each model by name; empty if unknown.
    """
    rate = judge.rate
    sla, _ = split_tenant(decision.sla)
    for other in judge.rates:
        wanted = ((other.sla, sla), (other.tenant, decision.tenant), (other.model, decision.model))
        if all(name in (None, given) for name, given in wanted):
            rate = other.rate
            break
    known = labels.get(decision.model)
    if known is None:
        return rate
    missing = INFORMATIVE_LABELS / (INFORMATIVE_LABELS + known)
    return min(1.0, rate * (1.0 + (judge.boost - 1.0) * missing))


def another_model(seed: int, decision: Decision, allowed: Sequence[str]) -> str | None:
    """Model that a shadow call of a decision is made to, drawn evenly; None if there is none.

    Parameters
    ----------
    seed
        Seed of all random choices.
    decision
        The decision; models that it barred are left out.
    allowed
        Names of the models that may be called.
    """
    names = [
        name
        for name in decision.models
        if name != decision.model and name not in decision.barred and name in allowed
    ]
    if not names:
        return None
    return names[int(draw(seed, "shadow model", decision.id) * len(names))]
