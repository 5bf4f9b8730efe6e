"""The OpenAPI document of the gateway, made of the types that its endpoints decode and encode."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from floorline.gateway.body import Options
from floorline.gateway.feedback import FeedbackBatch, FeedbackItem, FeedbackReceipt, OutcomeItem
from floorline.gateway.routing import Routed
from floorline.status import Status
from floorline.version import __version__

_REF = "#/components/schemas/{name}"
_ERRORS = {
    "400": "The request is malformed; the error names the field.",
    "401": "No valid API key.",
    "403": "The key lacks the scope.",
    "404": "There is no such model, SLA, decision or completion.",
    "410": "The decision is too old for feedback.",
    "413": "The body is too large.",
    "429": "Too many requests, or the budget is spent; see Retry-After.",
    "503": "The event log cannot be written; see Retry-After.",
}


@cache
def document() -> dict[str, Any]:
    """OpenAPI 3.1 document, as JSON-like values."""
    _, schemas = msgspec.json.schema_components(
        [FeedbackItem, FeedbackBatch, FeedbackReceipt, OutcomeItem, Routed, Options, Status],
        ref_template=_REF,
    )
    batch = schemas["FeedbackBatch"]["properties"]["feedback"]
    batch["items"] = {"$ref": _REF.format(name="FeedbackItem")}
    schemas["Error"] = _object({"error": _object({"message": _text()}, extra=True)})
    schemas["ChatRequest"] = {
        "description": "OpenAI's chat request; what is not named here is passed on as it is.",
        "type": "object",
        "required": ["model", "messages"],
        "properties": {
            "model": _text("floorline/SLA, floorline/auto or the name of a model"),
            "messages": {
                "type": "array",
                "minItems": 1,
                "items": {"$ref": _REF.format(name="Message")},
            },
            "stream": {"type": ["boolean", "null"]},
            "floorline": {"$ref": _REF.format(name="Options")},
        },
        "additionalProperties": True,
    }
    schemas["Message"] = {
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {"enum": ["system", "developer", "user", "assistant", "tool", "function"]},
            "content": {"type": ["string", "null", "array"], "items": {"type": "object"}},
        },
        "additionalProperties": True,
    }
    schemas["Model"] = _object({"id": _text(), "owned_by": _text()}, extra=True)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Floorline gateway",
            "version": __version__,
            "description": "An OpenAI-compatible server that serves each request by the cheapest "
            "model that keeps a promised floor on quality.",
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
        "paths": _paths(),
    }


def _paths() -> dict[str, Any]:
    chat = _operation("Answer a chat request", "ChatRequest", _object({}, extra=True))
    chat["parameters"] = [
        _header("X-Floorline-Floor", {"type": "number", "minimum": 0, "maximum": 1}),
        _header("X-Floorline-Exclude", _text("Models that must not serve, with commas between")),
        _header("X-Floorline-Session", _text("Conversation that stays on its model")),
    ]
    answer = chat["responses"]["200"]
    answer["content"]["text/event-stream"] = {"schema": _text()}
    answer["headers"] = {
        f"X-Floorline-{name}": {"schema": _text()}
        for name in ("Decision", "Model", "Expected-Quality", "Expected-Cost", "Cost")
    }
    either = {"anyOf": [{"$ref": _REF.format(name=n)} for n in ("FeedbackItem", "FeedbackBatch")]}
    feedback = _operation("Say how satisfying answers were", either, "FeedbackReceipt")
    outcome = _operation("Say what a routed call took", "OutcomeItem", _object({}, extra=True))
    listing = _object({"data": {"type": "array"}}, extra=True)
    name = {"name": "name", "in": "path", "required": True, "schema": _text()}
    model = {"name": "model", "in": "path", "required": True, "schema": _text()}
    return {
        "/v1/chat/completions": {"post": chat},
        "/v1/feedback": {"post": feedback},
        "/v1/outcomes": {"post": outcome},
        "/v1/route": {"post": _operation("Decide, and call nobody", "ChatRequest", "Routed")},
        "/v1/models": {"get": _operation("List SLAs and models", None, listing)},
        "/v1/models/{model}": {
            "parameters": [model],
            "get": _operation("Describe one of them", None, "Model"),
        },
        "/v1/slas": {"get": _operation("Say how the SLAs stand", None, listing)},
        "/v1/slas/{name}": {
            "parameters": [name],
            "get": _operation("Say how one SLA stands", None, _object({}, extra=True)),
        },
        "/v1/zoo/models": {
            "post": _operation("Let a model serve", _object({}, extra=True), "Model")
        },
        "/v1/zoo/models/{name}": {
            "parameters": [name],
            "delete": _operation("Let a model serve no more", None, _object({}, extra=True)),
        },
        "/healthz": {
            "get": _operation("Say that the process lives", None, _object({}, extra=True))
        },
        "/readyz": {"get": _operation("Say whether it can serve", None, _object({}, extra=True))},
        "/metrics": {"get": _plain("Metrics in Prometheus' text format")},
    }


def _operation(summary: str, body: str | dict[str, Any] | None, answer: Any) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "Done.", "content": _json(answer)},
            **{
                status: {"description": text, "content": _json("Error")}
                for status, text in _ERRORS.items()
            },
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": _json(body)}
    return operation


def _plain(summary: str) -> dict[str, Any]:
    answer = {"description": "Done.", "content": {"text/plain": {"schema": _text()}}}
    return {"summary": summary, "responses": {"200": answer}}


def _json(schema: str | dict[str, Any]) -> dict[str, Any]:
    named = {"$ref": _REF.format(name=schema)} if isinstance(schema, str) else schema
    return {"application/json": {"schema": named}}


def _object(properties: dict[str, Any], *, extra: bool = False) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": extra}


def _text(description: str = "") -> dict[str, Any]:
    return {"type": "string", **({"description": description} if description else {})}


def _header(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema}
