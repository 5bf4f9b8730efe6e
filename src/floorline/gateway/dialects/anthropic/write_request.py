"""Write a request of Anthropic's Messages API."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from floorline.call_bounds import DEFAULT_MAX_OUTPUT_TOKENS
from floorline.gateway.dialects.anthropic.answer_schema import answer_schema
from floorline.gateway.dialects.anthropic.cache_marks import set_marks
from floorline.gateway.dialects.anthropic.write_messages import (
    THOUGHTS,
    Block,
    MessageWriter,
    marked,
)
from floorline.gateway.dialects.conversation import (
    Conversation,
    Tool,
)
from floorline.gateway.dialects.json_texts import encode
from floorline.gateway.dialects.losses import lose
from floorline.gateway.dialects.model_limits import ClaudeLimits, claude_limits
from floorline.gateway.dialects.thinking_effort import (
    MIN_THINKING_TOKENS,
    THINKING_TOKENS,
    effort_of,
)
from floorline.gateway.dialects.tool_names import short_name
from floorline.gateway.dialects.tool_pairs import paired

_ANSWER_TOKENS = 1_024
"""Tokens that are left for the answer beside the thinking, if the request's limit allows it."""
_MAX_USER = 512
"""Characters of the longest name of a user that Anthropic takes."""
JSON_ONLY = "Answer with one JSON object and nothing else."
"""Instruction for an answer in JSON without a schema, which Anthropic cannot enforce."""
_BY_SCHEMA = "The object fits this JSON schema:"


def write_request(
    request: Conversation,
    model: str,
    *,
    max_output_tokens: int | None = None,
    marks_conversations: bool = True,
) -> dict[str, Any]:
    """Return the fields of a request; what it cannot say is added to ``request.losses``.

    Parameters
    ----------
    request
        The request.
    model
        The provider's name of the model, which also decides what the model takes.
    max_output_tokens
        The model's own limit of an answer: it lowers a larger one, and stands for a missing one;
        None if it is unknown, and a missing one is then what budgets reserve.
    marks_conversations
        Whether the prompt of an agent is marked for the provider's cache if the client marked
        nothing, as other providers do by themselves.
    """
    limits = claude_limits(model)
    turns = paired(request.turns, request.losses)
    system, messages = MessageWriter(request.losses, limits).turns(turns)
    schema = None if request.output is None else request.output.schema
    if request.output is not None and (schema is None or not limits.takes_schema):
        text = JSON_ONLY if schema is None else f"{JSON_ONLY} {_BY_SCHEMA} {_json(schema)}"
        system.append({"type": "text", "text": text})
        lose(request.losses, "output")
    fields: dict[str, Any] = {"model": model, "messages": messages}
    if request.tools:
        fields["tools"] = [_tool(tool, request.losses) for tool in request.tools]
    if system:
        plain = len(system) == 1 and len(system[0]) == 2
        fields["system"] = system[0]["text"] if plain else system
    _write_limits(request, fields, limits, max_output_tokens)
    if request.tools:
        _write_tool_choice(request, fields, limits)
    if schema is not None and limits.takes_schema:
        form = {"type": "json_schema", "schema": answer_schema(schema)}
        fields.setdefault("output_config", {})["format"] = form
    if request.user:
        user = request.user
        if len(user) > _MAX_USER:
            user = sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
        fields["metadata"] = {"user_id": user}
    if request.cache_key:
        lose(request.losses, "cache_key")
    if request.stream:
        fields["stream"] = True
    set_marks(fields, marks_conversations=marks_conversations)
    return fields


def _json(value: Any) -> str:
    return encode(value).decode()


def _tool(tool: Tool, losses: list[str]) -> Block:
    schema = tool.parameters
    if type(schema) is not dict:
        schema = {"type": "object", "properties": {}}
    elif "type" not in schema:
        schema = {"type": "object", **schema}
    block: Block = {"name": short_name(tool.name), "input_schema": schema}
    if tool.description:
        block["description"] = tool.description
    if tool.strict is not None:
        block["strict"] = tool.strict
    return marked(block, tool.cached)


def _write_limits(
    request: Conversation, fields: dict[str, Any], limits: ClaudeLimits, most: int | None
) -> None:
    """Write the limit of the answer, the thinking within it, and how it is sampled."""
    thinks = False
    limit, default = request.max_output_tokens, most or DEFAULT_MAX_OUTPUT_TOKENS
    if limit is not None and most is not None and limit > most:
        # Anthropic refuses what its model cannot write.
        lose(request.losses, "max_output_tokens")
        limit = most
    if request.effort == "none":
        if limits.always_thinks:
            fields["output_config"] = {"effort": "low"}
        elif limits.quiet_thinking:
            fields["thinking"] = {"type": limits.quiet_thinking}
    elif request.effort or request.thinking_tokens is not None:
        if limits.is_adaptive:
            if request.thinking_tokens is not None:
                lose(request.losses, "thinking_tokens")
            fields["thinking"] = {"type": "adaptive"}
            fields["output_config"] = {"effort": _adaptive_effort(request, limits)}
            thinks = True
        else:
            thinks = _write_thinking_tokens(request, fields, limit, default)
    fields.setdefault("max_tokens", limit or default)
    _write_sampling(request, fields, limits, thinks)


def _write_thinking_tokens(
    request: Conversation, fields: dict[str, Any], limit: int | None, default: int
) -> bool:
    """Write a number of tokens to think with; return whether the model will think."""
    tokens = request.thinking_tokens
    if tokens is None:
        tokens = THINKING_TOKENS.get(request.effort, THINKING_TOKENS["medium"])
    elif request.effort:
        lose(request.losses, "effort")
    if limit is None:
        limit = max(default, tokens + _ANSWER_TOKENS)
    elif tokens >= limit or request.thinking_tokens is None:
        tokens = min(tokens, limit - _ANSWER_TOKENS)
    # A turn that called tools would have to begin with thinking that Anthropic signed.
    if tokens < MIN_THINKING_TOKENS or _within_tool_loop(fields["messages"]):
        lose(request.losses, "effort")
        return False
    fields["thinking"] = {"type": "enabled", "budget_tokens": tokens}
    fields["max_tokens"] = limit
    return True


def _write_sampling(
    request: Conversation, fields: dict[str, Any], limits: ClaudeLimits, thinks: bool
) -> None:
    for name in ("temperature", "top_p"):
        value = getattr(request, name)
        if value is None:
            continue
        if thinks or not limits.takes_sampling:
            # Anything but the default is refused.
            if value != 1:
                lose(request.losses, name)
        elif "temperature" in fields and not limits.takes_both_samplings:
            lose(request.losses, name)
        elif value > 1:
            # OpenAI's temperatures end at 2, Anthropic's at 1.
            fields[name] = 1.0
            lose(request.losses, name)
        else:
            fields[name] = value
    stops = [stop for stop in request.stop if stop.strip()]
    if len(stops) < len(request.stop):
        lose(request.losses, "stop")
    if stops:
        fields["stop_sequences"] = stops


def _adaptive_effort(request: Conversation, limits: ClaudeLimits) -> str:
    """Return Anthropic's name of the effort."""
    effort = request.effort
    if not effort and request.thinking_tokens is not None:
        effort = effort_of(request.thinking_tokens)
    if effort == "minimal":
        return "low"
    # Models before Claude 4.7 have no effort between "high" and "max".
    return "high" if effort == "xhigh" and limits.takes_sampling else effort


def _within_tool_loop(messages: list[dict[str, Any]]) -> bool:
    """Whether the last message brings results of tools, and the calls came without thinking."""
    content = messages[-1]["content"]
    if type(content) is not list or all(block["type"] != "tool_result" for block in content):
        return False
    calls = messages[-2]["content"] if len(messages) > 1 else None
    return type(calls) is not list or calls[0]["type"] not in THOUGHTS


def _write_tool_choice(request: Conversation, fields: dict[str, Any], limits: ClaudeLimits) -> None:
    """Write which tools the model may or must call."""
    kind, _, name = request.tool_choice.partition(":")
    choice: dict[str, Any] = {"type": {"required": "any", "": "auto"}.get(kind, kind)}
    if kind == "tool":
        choice["name"] = short_name(name)
    thinks = fields.get("thinking", {}).get("type") in ("adaptive", "enabled")
    if choice["type"] in ("any", "tool") and (thinks or not limits.takes_forced_tools):
        if thinks and limits.takes_forced_tools:
            # A demanded call cannot follow thinking, and the call matters more.
            del fields["thinking"]
            if limits.is_adaptive and limits.quiet_thinking:
                fields["thinking"] = {"type": limits.quiet_thinking}
            lose(request.losses, "effort")
        else:
            choice = {"type": "auto"}
            lose(request.losses, "tool_choice")
    parallel = request.parallel_tools
    if parallel is not None and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = not parallel
    if request.tool_choice or len(choice) > 1:
        fields["tool_choice"] = choice
