"""``floorline.yaml``: read and validated; messages name the line, the field and the fix."""

from floorline._extras import needs

with needs("gateway", "reading a configuration"):
    import pydantic  # noqa: F401
    import yaml  # noqa: F401

from floorline.config.explain import check_exposure
from floorline.config.loading import load, load_text
from floorline.config.models import ModelSettings
from floorline.config.provider import BreakerSettings, ProviderSettings, TimeoutSettings
from floorline.config.runtime_models import RuntimeModelSettings, load_runtime_model
from floorline.config.sections import SlaSettings, TelemetrySettings
from floorline.config.server import HttpLimitSettings, ServerSettings
from floorline.config.settings import Settings

__all__ = [
    "BreakerSettings",
    "HttpLimitSettings",
    "ModelSettings",
    "ProviderSettings",
    "RuntimeModelSettings",
    "ServerSettings",
    "Settings",
    "SlaSettings",
    "TelemetrySettings",
    "TimeoutSettings",
    "check_exposure",
    "load",
    "load_runtime_model",
    "load_text",
]
