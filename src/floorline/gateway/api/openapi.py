"""The OpenAPI document of the gateway, built from the types of its endpoints."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from floorline._version import __version__
from floorline.gateway.api.explanations import Previews
from floorline.gateway.api.feedback import FeedbackBatch, FeedbackItem, FeedbackReceipt, OutcomeItem
from floorline.gateway.api.field_texts import describe_fields
from floorline.gateway.api.route import Routed
from floorline.gateway.bridges.payloads import Skipped, WebhookItem
from floorline.gateway.chat_request import Options
from floorline.gateway.judging.overview import JudgesView
from floorline.gateway.replicas.overview import ReplicasView
from floorline.state.explanation import Explanation
from floorline.state.status import Status

_REF = "#/components/schemas/{name}"
_ERROR: dict[str, Any] = {
    "message": {"type": "string"},
    "type": {"type": ["string", "null"]},
    "param": {"type": ["string", "null"]},
    "code": {"type": ["string", "integer", "null"]},
}
_ERRORS = {
    400: "The request is malformed; the error names the field.",
    401: "No valid API key, or no valid signature.",
    403: "The key lacks the scope, or the headers Host or Origin are of no allowed host or page.",
    404: "No such model, SLA, decision, completion or bridge.",
    409: "The id means several decisions, which the error lists, or the gateway measures the call.",
    410: "The decision is too old for feedback.",
    408: "The headers or the body took too long.",
    413: "The body is too large.",
    415: "The Content-Type is not application/json, or the Content-Encoding is unknown.",
    422: "The provider refuses the request; the error object is the provider's.",
    429: "Above a rate or a budget, or a model is at its limit; see Retry-After.",
    502: "The provider of every model that was called failed.",
    503: "The event log cannot be written, or no model that can serve is callable now; see "
    "Retry-After.",
    504: "The provider of the model that was called last took too long.",
    529: "As 503, for clients of Anthropic's API.",
}
_KEY = (401, 403, 429)
_BODY = (400, 408, 413, 415, 503, *_KEY)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document, as values that JSON has."""
    _, schemas = msgspec.json.schema_components(
        [
            FeedbackItem,
            FeedbackBatch,
            FeedbackReceipt,
            OutcomeItem,
            WebhookItem,
            Skipped,
            Routed,
            Options,
            Status,
            JudgesView,
            ReplicasView,
            Explanation,
            Previews,
        ],
        ref_template=_REF,
    )
    describe_fields(schemas)
    batch = schemas["FeedbackBatch"]["properties"]["feedback"]
    batch["items"] = _ref("FeedbackItem")
    schemas["Error"] = _object({"error": _object(_ERROR, extra=True)})
    schemas["Receipts"] = _object(
        {
            "object": {"const": "list"},
            "data": {
                "type": "array",
                "items": {"anyOf": [_ref("FeedbackReceipt"), _ref("Error")]},
            },
        }
    )
    schemas["BridgeResults"] = _object(
        {
            "object": {"const": "list"},
            "data": {
                "type": "array",
                "items": {"anyOf": [_ref("FeedbackReceipt"), _ref("Skipped"), _ref("Error")]},
            },
        }
    )
    receipts = schemas["Receipts"]["properties"]
    schemas["TakenInPart"] = {
        "description": "The key used up its rate within a batch: data has the messages before.",
        **_object({**schemas["Error"]["properties"], **receipts}),
    }
    schemas["Readiness"] = _object(
        {
            "status": {"enum": ["ready", "not ready"]},
            "errors": {"type": "array", "items": _text("Why no request can be served")},
            "warnings": {"type": "array", "items": _text("What an operator should correct")},
        }
    )
    schemas["ChatRequest"] = {
        "description": "OpenAI's chat request. The provider decides whether it is well formed; "
        "other fields and forms are passed on to it.",
        "type": "object",
        "required": ["model", "messages"],
        "properties": {
            "model": _text("floorline/SLA, floorline/auto or the name of a model"),
            "messages": {
                "type": "array",
                "minItems": 1,
                "items": _ref("Message"),
            },
            "stream": {"type": ["boolean", "null"]},
            "floorline": _ref("Options"),
        },
        "additionalProperties": True,
    }
    schemas["MessagesRequest"] = {
        "description": "Anthropic's request, which may name an SLA as its model.",
        "type": "object",
        "required": ["model", "messages"],
        "properties": {
            "model": _text("floorline/SLA, floorline/auto, an alias or the name of a model"),
            "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
            "system": {"type": ["string", "array"], "items": {"type": "object"}},
            "max_tokens": {"type": "integer", "minimum": 1},
            "stream": {"type": "boolean"},
            "floorline": _ref("Options"),
        },
        "additionalProperties": True,
    }
    schemas["ResponsesRequest"] = {
        "description": "OpenAI's request of a response, which may name an SLA as its model.",
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": _text("floorline/SLA, floorline/auto, an alias or the name of a model"),
            "input": {"type": ["string", "array"], "items": {"type": "object"}},
            "instructions": {"type": ["string", "null"]},
            "stream": {"type": ["boolean", "null"]},
            "floorline": _ref("Options"),
        },
        "additionalProperties": True,
    }
    named = _text("The name of a model")
    schemas["CompletionsRequest"] = {
        "description": "OpenAI's request of a completion without chat.",
        "type": "object",
        "required": ["model", "prompt"],
        "properties": {
            "model": named,
            "prompt": {"type": ["string", "array"]},
            "stream": {"type": ["boolean", "null"]},
        },
        "additionalProperties": True,
    }
    schemas["EmbeddingsRequest"] = {
        "description": "OpenAI's request of embeddings.",
        "type": "object",
        "required": ["model", "input"],
        "properties": {"model": named, "input": {"type": ["string", "array"]}},
        "additionalProperties": True,
    }
    schemas["AnthropicError"] = _object(
        {
            "type": {"const": "error"},
            "error": _object({"type": _text(), "message": _text()}, extra=True),
        },
        extra=True,
    )
    schemas["Message"] = {
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {"enum": ["system", "developer", "user", "assistant", "tool", "function"]},
            "content": {"type": ["string", "null", "array"], "items": {"type": "object"}},
        },
        "additionalProperties": True,
    }
    schemas["NewModel"] = {
        "description": "A model, with the fields it has in floorline.yaml.",
        "type": "object",
        "required": ["name"],
        "properties": {"name": _text(), "endpoint": _text()},
        "additionalProperties": True,
    }
    schemas["Model"] = _object({"id": _text(), "owned_by": _text()}, extra=True)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Floorline gateway",
            "version": __version__,
            "description": "A server of OpenAI's and Anthropic's APIs that routes each request to "
            "the cheapest model that keeps the SLA's floor on satisfaction.",
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "api-key": {"type": "apiKey", "in": "header", "name": "api-key"},
            },
        },
        "security": [{"key": []}, {"x-api-key": []}, {"api-key": []}],
        "paths": _paths(),
    }


def _paths() -> dict[str, Any]:
    done = _object({}, extra=True)
    chat = _operation(
        "Answer a chat request",
        _object({}, extra=True),
        (404, 422, 502, 504, *_BODY),
        body="ChatRequest",
    )
    options = [
        _header(
            "X-Floorline-Floor",
            {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "description": "Floor of this request, in place of the SLA's",
            },
        ),
        _header("X-Floorline-Exclude", _text("Models that must not serve, with commas between")),
        _header("X-Floorline-Session", _text("Conversation that the request belongs to")),
    ]
    explain = _header("X-Floorline-Explain", {"enum": ["0", "1"]})
    messages = _operation(
        "Answer a request of Anthropic's messages",
        done,
        (404, 422, 502, 504, 529, *_BODY),
        body="MessagesRequest",
        error="AnthropicError",
    )
    responses = _operation(
        "Answer a request of OpenAI's responses",
        done,
        (404, 422, 502, 504, *_BODY),
        body="ResponsesRequest",
    )
    completions = _operation(
        "Complete a text with the model that the request names",
        done,
        (404, 422, 502, 504, *_BODY),
        body="CompletionsRequest",
    )
    embeddings = _operation(
        "Embed texts with the model that the request names",
        done,
        (404, 422, 502, 504, *_BODY),
        body="EmbeddingsRequest",
    )
    names = (
        "Decision", "Model", "Expected-Quality", "Expected-Cost", "Cost", "Losses", "Explanation",
    )  # fmt: skip
    for one in (chat, messages, responses):
        one["parameters"] = [*options, explain]
        answer = one["responses"]["200"]
        answer["content"]["text/event-stream"] = {"schema": _text()}
        answer["headers"] = {f"X-Floorline-{name}": {"schema": _text()} for name in names}
    completions["responses"]["200"]["content"]["text/event-stream"] = {"schema": _text()}
    count = _operation(
        "Count the tokens of a request of Anthropic's messages",
        _object({"input_tokens": {"type": "integer", "minimum": 0}}, extra=True),
        (404, 422, 502, 504, 529, *_BODY),
        body="MessagesRequest",
        error="AnthropicError",
    )
    route = _operation(
        "Decide which model should serve, without a call",
        "Routed",
        (404, *_BODY),
        body="ChatRequest",
    )
    route["parameters"] = options
    route["responses"]["200"]["headers"] = {
        f"X-Floorline-{name}": {"schema": _text()}
        for name in ("Decision", "Model", "Expected-Quality", "Expected-Cost")
    }
    preview = _operation(
        "Say which model would answer at several floors",
        "Previews",
        (404, *_BODY),
        body="ChatRequest",
    )
    preview["parameters"] = options
    explained = _operation("Explain a decision", "Explanation", (404, 409, 503, *_KEY))
    feedback = _operation(
        "Give feedback on answers",
        {"anyOf": [_ref("FeedbackReceipt"), _ref("Receipts")]},
        (404, 409, 410, *_BODY),
        body={"anyOf": [_ref("FeedbackItem"), _ref("FeedbackBatch")]},
    )
    feedback["responses"]["429"]["content"] = _json({"anyOf": [_ref("Error"), _ref("TakenInPart")]})
    foreign = _object({}, extra=True)
    bridge = _operation(
        "Take feedback of another program",
        "BridgeResults",
        (400, 401, 404, 408, 413, 415, 503),
        body={"anyOf": [_ref("WebhookItem"), foreign, {"type": "array", "items": foreign}]},
    )
    bridge["security"] = []
    bridge["parameters"] = [{**_header("X-Floorline-Signature", _text()), "required": True}]
    listing = _object({"data": {"type": "array"}}, extra=True)
    readyz = _operation("Return whether the gateway can serve", "Readiness")
    readyz["responses"]["503"] = {
        "description": "The gateway cannot serve now.",
        "content": _json("Readiness"),
    }
    add = _operation("Add or change a model", "Model", _BODY, body="NewModel", status=201)
    outcome = _operation(
        "Record what a call took", done, (404, 409, 410, *_BODY), body="OutcomeItem"
    )
    return {
        "/": {"get": _operation("Return that this is a gateway", done)},
        "/v1/chat/completions": {"post": chat},
        "/v1/messages": {"post": messages},
        "/v1/messages/count_tokens": {"post": count},
        "/v1/responses": {"post": responses},
        "/v1/completions": {"post": completions},
        "/v1/embeddings": {"post": embeddings},
        "/v1/feedback": {"post": feedback},
        "/v1/bridges/{name}": {"parameters": [_path("name")], "post": bridge},
        "/v1/outcomes": {"post": outcome},
        "/v1/route": {"post": route},
        "/v1/preview": {"post": preview},
        "/v1/decisions/{id}": {"parameters": [_path("id")], "get": explained},
        "/v1/models": {"get": _operation("List SLAs and models", listing, _KEY)},
        "/v1/models/{model}": {
            "parameters": [_path("model")],
            "get": _operation("Describe one SLA or model", "Model", (404, *_KEY)),
        },
        "/v1/slas": {"get": _operation("List the status of the SLAs", listing, _KEY)},
        "/v1/slas/{name}": {
            "parameters": [_path("name")],
            "get": _operation("Return the status of one SLA", done, (404, *_KEY)),
        },
        "/v1/judges": {"get": _operation("List judges and their agreement", "JudgesView", _KEY)},
        "/v1/replicas": {
            "get": _operation("List servers and learner", "ReplicasView", (404, *_KEY))
        },
        "/v1/zoo/models": {"post": add},
        "/v1/zoo/models/{name}": {
            "parameters": [_path("name")],
            "delete": _operation("Remove a model", done, (400, 404, 503, *_KEY)),
        },
        "/healthz": {"get": _operation("Return that the process runs", done)},
        "/readyz": {"get": readyz},
        "/metrics": {"get": _plain("Return metrics in Prometheus' text format", _KEY)},
        "/openapi.json": {"get": _operation("Return this document", done)},
    }


def _operation(
    summary: str,
    answer: str | dict[str, Any],
    errors: tuple[int, ...] = (),
    *,
    body: str | dict[str, Any] | None = None,
    status: int = 200,
    error: str = "Error",
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            str(status): {"description": "Success.", "content": _json(answer)},
            **{
                str(number): {"description": _ERRORS[number], "content": _json(error)}
                for number in sorted(errors)
            },
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": _json(body)}
    return operation


def _plain(summary: str, errors: tuple[int, ...]) -> dict[str, Any]:
    operation = _operation(summary, {}, errors)
    operation["responses"]["200"]["content"] = {"text/plain": {"schema": _text()}}
    return operation


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}


def _json(schema: str | dict[str, Any]) -> dict[str, Any]:
    named = _ref(schema) if isinstance(schema, str) else schema
    return {"application/json": {"schema": named}}


def _object(properties: dict[str, Any], *, extra: bool = False) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": extra,
    }


def _text(description: str = "") -> dict[str, Any]:
    return {"type": "string", **({"description": description} if description else {})}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {**_text(), "minLength": 1}}


def _header(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema}
