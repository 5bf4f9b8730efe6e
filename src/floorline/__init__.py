"""Route each LLM request to the cheapest model that keeps a promised floor on quality."""

from floorline._version import __version__
from floorline.events import Decision, Feedback, Outcome
from floorline.router import Router
from floorline.sla import SLA, Budget
from floorline.state.status import Status
from floorline.zoo import Model, Zoo

__all__ = [
    "SLA",
    "Budget",
    "Decision",
    "Feedback",
    "Model",
    "Outcome",
    "Router",
    "Status",
    "Zoo",
    "__version__",
]
