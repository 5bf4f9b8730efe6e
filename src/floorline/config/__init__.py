"""``floorline.yaml``: read, validated, with messages that name line, field and fix."""

from floorline._extras import needs

with needs("gateway", "reading a configuration"):
    import pydantic  # noqa: F401
    import yaml  # noqa: F401

from floorline.config.across import check_exposure
from floorline.config.loading import load, load_model, load_text
from floorline.config.models import BreakerSection, ModelSettings, TimeoutsSection
from floorline.config.sections import TelemetrySettings
from floorline.config.settings import Settings
from floorline.config.slas import SlaSettings

__all__ = [
    "BreakerSection",
    "ModelSettings",
    "Settings",
    "SlaSettings",
    "TelemetrySettings",
    "TimeoutsSection",
    "check_exposure",
    "load",
    "load_model",
    "load_text",
]
