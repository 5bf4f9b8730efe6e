"""The dialects by their names; each is imported when it is first needed."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from floorline.config.provider import DialectName
    from floorline.gateway.dialects.base import Dialect


@cache
def dialect_named(name: DialectName) -> Dialect:
    """Return a dialect.

    Examples
    --------
    >>> dialect_named("anthropic").name
    'anthropic'
    """
    # Their modules import errors of the gateway, which import the upstreams, which import this.
    if name == "anthropic":
        from floorline.gateway.dialects.anthropic import AnthropicDialect

        return AnthropicDialect()
    if name == "responses":
        from floorline.gateway.dialects.responses import ResponsesDialect

        return ResponsesDialect()
    from floorline.gateway.dialects.openai import OpenAIDialect

    return OpenAIDialect()
