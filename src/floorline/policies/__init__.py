"""Policies: each composes an estimator, multipliers and exploration; found here by name."""

from __future__ import annotations

import importlib
import inspect
import traceback
from typing import Any

from floorline.errors import InvalidInput, did_you_mean
from floorline.policies.base import Choice, History, Policy, Request
from floorline.policies.primal_dual.policy import PrimalDual
from floorline.policies.published.carrot import Carrot, RouteLlm
from floorline.policies.published.mess_plus import MessPlus
from floorline.policies.published.omnirouter import OmniRouter
from floorline.policies.published.port import Port
from floorline.policies.published.proteus import Proteus
from floorline.policies.published.sla_router import SlaRouter
from floorline.policies.reference.budget_fill import BudgetFill
from floorline.policies.reference.budget_oracle import BudgetOracle, LpOnEstimates
from floorline.policies.reference.cascade import FrugalCascade
from floorline.policies.reference.fixed_sample import ClopperPearsonGate, ConformalArbitrage
from floorline.policies.reference.oracle import Oracle
from floorline.policies.reference.port_baselines import (
    BatchSplit,
    ClassifierCost,
    ClassifierPerf,
    GreedyCost,
    GreedyPerf,
    KnnCost,
    KnnPerf,
)
from floorline.policies.reference.promptless import BestFixed, Cheapest, Random, StaticMix
from floorline.policies.reference.vowpal_wabbit import VowpalWabbit

POLICIES: dict[str, type[Policy]] = {
    policy.name: policy
    for policy in (
        MessPlus,
        SlaRouter,
        PrimalDual,
        OmniRouter,
        Proteus,
        Random,
        Cheapest,
        BestFixed,
        StaticMix,
        Carrot,
        RouteLlm,
        Oracle,
        Port,
        GreedyPerf,
        GreedyCost,
        KnnPerf,
        KnnCost,
        BatchSplit,
        ClassifierPerf,
        ClassifierCost,
        BudgetFill,
        LpOnEstimates,
        BudgetOracle,
        ClopperPearsonGate,
        ConformalArbitrage,
        FrugalCascade,
        VowpalWabbit,
    )
}
"""All built-in policies by name."""

REFERENCE_POINTS = (
    "random",
    "cheapest",
    "best_fixed",
    "static_mix",
    "carrot",
    "routellm",
    "oracle",
)
"""Policies that every result table lists beside the policies under test."""

BUDGET_REFERENCE_POINTS = (
    "random",
    "greedy_perf",
    "greedy_cost",
    "knn_perf",
    "knn_cost",
    "batch_split",
    "classifier_perf",
    "classifier_cost",
    "budget_fill",
    "lp_on_estimates",
    "budget_oracle",
)
"""The same for tables with budgets: PORT's eight baselines and three reference points."""


_OBJECTS = frozenset({"estimator", "config", "network"})
"""Parameters whose values are no numbers and texts."""


def policy_class(name: str) -> type[Policy]:
    """Return the class of a policy.

    Parameters
    ----------
    name
        Name of a built-in policy, or ``module:Class`` of your own.

    Raises
    ------
    InvalidInput
        If no policy has this name, or the class is not a subclass of ``Policy``.

    Examples
    --------
    >>> policy_class("mess_plus") is policy_class("floorline.policies.published.mess_plus:MessPlus")
    True
    """
    if name in POLICIES:
        return POLICIES[name]
    fix = (
        f"{did_you_mean(name, POLICIES)}choose one of {', '.join(POLICIES)}, or give module:Class "
        "of your own"
    )
    module_name, colon, class_name = name.partition(":")
    if not colon:
        raise InvalidInput("policy", name, fix)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        where = f"there is no module {missing!r} in this folder or installed"
        raise InvalidInput("policy", name, f"{fix} ({where})") from error
    # The module is the user's own and can raise anything.
    except Exception as error:
        raise InvalidInput("policy", name, f"correct its module: {_fault(error)}") from error
    found = getattr(module, class_name, None)
    if found is None:
        classes = [one for one, kind in vars(module).items() if inspect.isclass(kind)]
        near = did_you_mean(class_name, classes)
        where = f"{module_name} has no {class_name!r}"
        raise InvalidInput("policy", name, f"{near}give a subclass of Policy: {where}")
    if not (inspect.isclass(found) and issubclass(found, Policy)):
        raise InvalidInput("policy", name, "give a subclass of floorline.policies.Policy")
    return found


def _fault(error: Exception) -> str:
    """Return where an error of the user's own code is, and its text."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""
    return where + " ".join(str(error).split())


def make_policy(name: str, **parameters: Any) -> Policy:
    """Construct a policy by name.

    Parameters
    ----------
    name
        Name of a built-in policy, or ``module:Class`` of your own.
    parameters
        Arguments of its constructor.

    Raises
    ------
    InvalidInput
        If no policy has this name, or the policy has no such parameter.

    Examples
    --------
    >>> make_policy("mess_plus", V=1e-3).V
    0.001
    """
    kind = policy_class(name)
    known = kind.parameters()
    for parameter in parameters:
        if parameter not in known:
            near = did_you_mean(parameter, known)
            fix = f"{near}choose one of: {', '.join(known) or 'none'}"
            raise InvalidInput(f"parameter of {name}", parameter, fix)
    for parameter in _OBJECTS & set(parameters):
        if isinstance(parameters[parameter], str | int | float | list | dict):
            fix = "give it in Python: no text stands for it"
            raise InvalidInput(f"parameter {parameter} of {name}", parameters[parameter], fix)
    try:
        return kind(**parameters)
    except TypeError as error:
        required = [
            one.name
            for one in inspect.signature(kind).parameters.values()
            if one.default is one.empty and one.name not in parameters
        ]
        fix = f"also give {', '.join(required)}" if required else f"correct them: {_fault(error)}"
        raise InvalidInput(f"parameters of {name}", parameters, fix) from error


__all__ = [
    "BUDGET_REFERENCE_POINTS",
    "POLICIES",
    "REFERENCE_POINTS",
    "Choice",
    "History",
    "Policy",
    "Request",
    "make_policy",
    "policy_class",
]
