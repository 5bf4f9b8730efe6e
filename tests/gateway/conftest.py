from tests.support.gateway_fixtures import (
    administered,
    gateway,
    provider,
    start,
    start_administered,
)

__all__ = ["administered", "gateway", "provider", "start", "start_administered"]
