"""The policy that a what-if question is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from floorline.errors import InvalidInput
from floorline.estimators.proteus_checkpoint import load_network
from floorline.policies import Policy, make_policy, policy_class
from floorline.sla import SLA


def check_knows(name: str, knows: str) -> None:
    """Check that a policy decides by what a log tells it.

    Raises
    ------
    InvalidInput
        If it knows the stream in advance.
    """
    if knows not in ("feedback", "means"):
        raise InvalidInput("policy", name, "choose one that does not know the stream in advance")


def other_policy(
    name: str, parameters: Mapping[str, Any], slas: Sequence[SLA], *, history: bool
) -> Policy:
    """Build a policy that can be evaluated on a log.

    Parameters
    ----------
    name
        Name of the policy.
    parameters
        Its parameters. ``checkpoint`` is the folder of a trained network.
    slas
        SLAs whose requests it serves.
    history
        Whether the log has a history that the policy learns.

    Raises
    ------
    InvalidInput
        If the policy knows the stream in advance, or lacks what it needs to be more than a
        baseline.
    """
    kind, given = policy_class(name), dict(parameters)
    check_knows(name, kind.knows)
    lacks = []
    if "checkpoint" in kind.needs and not {"checkpoint", "network"} & set(given):
        lacks.append("a trained network: give its folder as --param checkpoint=FOLDER")
    if "history" in kind.needs and not history:
        lacks.append(
            "labelled requests from before: give the log of a server whose configuration has a "
            "history"
        )
    if "budget" in kind.needs and all(sla.budget is None for sla in slas):
        lacks.append("a budget: give a --config with an SLA that has one")
    if lacks:
        raise InvalidInput("policy", name, f"it needs {'; and '.join(lacks)}")
    if "checkpoint" in given:
        given["network"] = load_network(given.pop("checkpoint"))
    return make_policy(name, **given)
