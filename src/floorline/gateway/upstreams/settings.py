"""How the gateway calls one model's provider."""

from __future__ import annotations

from floorline.config import ProviderSettings


class UpstreamSettings(ProviderSettings):
    """One model at its provider.

    ``ProviderSettings`` declares the fields, their defaults and their rules; a model of
    ``floorline.yaml`` has the same. Prices are not part of it, so that a new price does not reset
    the model's circuit breaker.

    Attributes
    ----------
    model
        The provider's name of the model; for LiteLLM with its prefix, as in ``bedrock/...``.
    check_addresses
        Whether the addresses to which the endpoint's name resolves are checked before each
        connection, because the endpoint is none of the file.

    Examples
    --------
    >>> settings = UpstreamSettings(model="llama3", endpoint="http://localhost:11434/v1/")
    >>> settings.endpoint, settings.max_concurrency, settings.timeouts.connect
    ('http://localhost:11434/v1', 256, 5.0)
    """

    model: str
    check_addresses: bool = False
