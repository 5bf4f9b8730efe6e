"""Route each LLM request to the cheapest model that keeps a promised floor on quality."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from floorline import errors
from floorline._version import __version__

if TYPE_CHECKING:
    from floorline.core.features import SparseFeatures
    from floorline.datasets.table import RoutingTable
    from floorline.encoders.base import Encoder
    from floorline.errors import Bar
    from floorline.events import Decision, Feedback, Judgement, Outcome, RequestContext
    from floorline.policies.base import (
        Choice,
        History,
        ModelChanges,
        ModelEstimates,
        Policy,
        Request,
    )
    from floorline.router import Router
    from floorline.sla import SLA, Budget
    from floorline.state.budget_status import BudgetStatus
    from floorline.state.certificate import Certificate
    from floorline.state.event_log import EventLog, MemoryLog
    from floorline.state.explanation import Explanation
    from floorline.state.fold import DecisionRecord
    from floorline.state.judge import Judge
    from floorline.state.judge_calibration import Agreement
    from floorline.state.outlook import ModelOutlook
    from floorline.state.senders import SenderRow
    from floorline.state.status import SlaTotals, Status
    from floorline.state.time_buckets import LabelSums, TimeCounts
    from floorline.zoo import CallLimits, Model, Zoo

__all__ = [
    "SLA",
    "Agreement",
    "Bar",
    "Budget",
    "BudgetStatus",
    "CallLimits",
    "Certificate",
    "Choice",
    "Decision",
    "DecisionRecord",
    "Encoder",
    "EventLog",
    "Explanation",
    "Feedback",
    "History",
    "Judge",
    "Judgement",
    "LabelSums",
    "MemoryLog",
    "Model",
    "ModelChanges",
    "ModelEstimates",
    "ModelOutlook",
    "Outcome",
    "Policy",
    "Request",
    "RequestContext",
    "Router",
    "RoutingTable",
    "SenderRow",
    "SlaTotals",
    "SparseFeatures",
    "Status",
    "TimeCounts",
    "Zoo",
    "__version__",
    "errors",
]


_MODULES = {
    "Agreement": "floorline.state.judge_calibration",
    "Bar": "floorline.errors",
    "Budget": "floorline.sla",
    "BudgetStatus": "floorline.state.budget_status",
    "CallLimits": "floorline.zoo",
    "Certificate": "floorline.state.certificate",
    "Choice": "floorline.policies.base",
    "Decision": "floorline.events",
    "DecisionRecord": "floorline.state.fold",
    "Encoder": "floorline.encoders.base",
    "EventLog": "floorline.state.event_log",
    "Explanation": "floorline.state.explanation",
    "Feedback": "floorline.events",
    "History": "floorline.policies.base",
    "Judge": "floorline.state.judge",
    "Judgement": "floorline.events",
    "LabelSums": "floorline.state.time_buckets",
    "MemoryLog": "floorline.state.event_log",
    "Model": "floorline.zoo",
    "ModelChanges": "floorline.policies.base",
    "ModelEstimates": "floorline.policies.base",
    "ModelOutlook": "floorline.state.outlook",
    "Outcome": "floorline.events",
    "Policy": "floorline.policies.base",
    "Request": "floorline.policies.base",
    "RequestContext": "floorline.events",
    "Router": "floorline.router",
    "RoutingTable": "floorline.datasets.table",
    "SLA": "floorline.sla",
    "SenderRow": "floorline.state.senders",
    "SlaTotals": "floorline.state.status",
    "SparseFeatures": "floorline.core.features",
    "Status": "floorline.state.status",
    "TimeCounts": "floorline.state.time_buckets",
    "Zoo": "floorline.zoo",
}
"""Module of each name. It is imported when the name is first used: most commands need few, and all
of them take half a second."""


def __getattr__(name: str) -> Any:
    """Import a name at its first use."""
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(module), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
