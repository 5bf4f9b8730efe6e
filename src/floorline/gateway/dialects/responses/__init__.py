"""OpenAI's Responses API: requests, answers and the events of streams.

Source: https://platform.openai.com/docs/api-reference/responses and the types of OpenAI's SDK for
Python, version 2.54.
"""

from floorline.gateway.dialects.responses.dialect import ResponsesDialect
from floorline.gateway.dialects.responses.reasoning import MARK, without_translated

__all__ = ["MARK", "ResponsesDialect", "without_translated"]
