"""Route each LLM request to the cheapest model that keeps a promised floor on quality."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floorline import errors
from floorline._version import __version__
from floorline.core.features import SparseFeatures
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

if TYPE_CHECKING:
    from floorline.datasets.table import RoutingTable

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


def __getattr__(name: str) -> Any:
    """Import what routing does not need, and what takes longer to import, at its first use."""
    if name == "RoutingTable":
        from floorline.datasets.table import RoutingTable

        return RoutingTable
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
