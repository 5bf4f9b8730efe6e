from tests.support.gateway_fixtures import gateway, provider, start

__all__ = ["gateway", "provider", "start"]
