"""Whether a replay can show what its user expects: what policies need, and what the data allow."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from floorline.errors import InvalidInput, listed
from floorline.policies import policy_class
from floorline.replay.budgets import cheapest_bill
from floorline.replay.data import ReplayData
from floorline.replay.run import stream_rows
from floorline.replay.spec import Spec


def check_needs(data: ReplayData, spec: Spec) -> None:
    """Check that a policy gets what it needs to be more than a baseline.

    Raises
    ------
    InvalidInput
        If it lacks a history, a budget or a trained network; the message says what to give.
    """
    kind = policy_class(spec.policy)
    why, give = [], []
    if "checkpoint" in kind.needs and not {"checkpoint", "network"} & set(spec.parameters):
        why.append("serves by a trained network")
        give.append(
            "its folder (--param checkpoint=FOLDER), which 'floorline train proteus' writes"
        )
    if "history" in kind.needs and spec.history == 0:
        why.append("learns from labelled requests before the stream only")
        give.append("a share of the rows as history (--history 0.3)")
    if "budget" in kind.needs and not spec.budgets and spec.total_budget is None:
        bill = 4 * cheapest_bill(data, spec)
        amount = f"{bill:.1g}" if bill > 0 and math.isfinite(bill) else "AMOUNT"
        why.append("divides a budget among the requests")
        give.append(
            f"a budget of the stream in {data.zoo.cost_unit} (--budget {amount} is four times the "
            "bill of the cheapest model)"
            if amount != "AMOUNT"
            else f"a budget of the stream in {data.zoo.cost_unit} (--budget AMOUNT)"
        )
    if why:
        fix = f"it {' and '.join(why)}: give {' and '.join(give)}"
        raise InvalidInput("policy", spec.policy, fix)


def notes(data: ReplayData, specs: Sequence[Spec]) -> list[str]:
    """Return what the data do not allow, as sentences for the user.

    These are horizons beyond the rows, floors that no model or no policy can reach, and models
    without a cost.
    """
    found = []
    first = specs[0]
    _, stream = stream_rows(data, first)
    if first.horizon is not None and first.horizon > len(stream):
        left = " after the history" if first.history else ""
        found.append(
            f"the horizon is {first.horizon:,} requests, but the data have {len(stream):,} rows"
            f"{left}: each stream ends there"
        )
    quality = data.quality[~np.isnan(data.quality).any(axis=1)]
    if len(quality):
        best, perfect = float(quality.mean(axis=0).max()), float(quality.max(axis=1).mean())
        name = data.zoo.names[int(quality.mean(axis=0).argmax())]
        for floor in sorted({spec.floor for spec in specs}):
            if floor > perfect:
                found.append(
                    f"no policy can reach the floor {floor:g}: the best model for each prompt "
                    f"satisfies {perfect:.3f} of them"
                )
            elif floor > best:
                found.append(
                    f"no model reaches the floor {floor:g} alone ({name} has the highest mean, "
                    f"{best:.3f}): only a policy that reads the prompts can"
                )
    with np.errstate(invalid="ignore"):
        free = [
            name
            for name, cost in zip(data.zoo.names, data.cost.T, strict=True)
            if not np.nansum(cost) > 0
        ]
    if len(free) == len(data.zoo):
        found.append("no model has a cost: all costs are 0, and ratios of costs are left out")
    elif free:
        found.append(f"models without a cost, whose calls are free: {listed(free)}")
    return found
