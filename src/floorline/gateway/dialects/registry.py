"""The dialects by their names; each is imported when it is first needed."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from floorline.config.provider import DialectName
    from floorline.gateway.dialects.base import Dialect

_CLASSES: dict[DialectName, str] = {
    "openai": "OpenAIDialect",
    "anthropic": "AnthropicDialect",
    "responses": "ResponsesDialect",
}


@cache
def dialect_named(name: DialectName) -> Dialect:
    """Return a dialect."""
    # Their modules import errors of the gateway, which import the upstreams, which import this.
    module = import_module(f"floorline.gateway.dialects.{name}")
    dialect: Dialect = getattr(module, _CLASSES[name])()
    return dialect
