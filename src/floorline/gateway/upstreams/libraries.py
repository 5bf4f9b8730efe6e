"""The libraries through which providers with other protocols are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from floorline.gateway.upstreams.any_llm_client import AnyLlmClient, load_any_llm
from floorline.gateway.upstreams.client import Client
from floorline.gateway.upstreams.litellm_client import LitellmClient, load_litellm
from floorline.gateway.upstreams.settings import UpstreamSettings


class Library(NamedTuple):
    """A library: what makes a client of one model, and what imports it, which takes seconds."""

    client: Callable[[str, UpstreamSettings], Client]
    load: Callable[[], Any]


LIBRARIES = {
    "litellm": Library(LitellmClient, load_litellm),
    "any-llm": Library(AnyLlmClient, load_any_llm),
}
"""Every library, by the ``kind`` of its models."""
