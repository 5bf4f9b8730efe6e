"""The part of JSON Schema that Anthropic enforces in answers.

Anthropic refuses a schema with other parts. What it does not know goes into the descriptions, as
its own SDKs do it, so that the model may still follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from floorline.gateway.dialects.json_texts import encode

_FORMATS = frozenset(
    {
        "date",
        "date-time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "time",
        "uri",
        "uuid",
    }
)
_KEPT = frozenset({"$ref", "const", "description", "enum", "required", "title", "type"})
_OF_SCHEMAS = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
"""Fields that hold a list of schemas, and the field that each becomes."""
_MAX_DEPTH = 100
"""Levels of schemas within schemas that are looked at; what is deeper is refused by Anthropic."""


def answer_schema(schema: Any, depth: int = 0) -> Any:
    """Return a schema as Anthropic takes it.

    Examples
    --------
    >>> answer_schema({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}})
    {'type': 'object', 'properties': {'n': {'type': 'integer', 'description': '{minimum: 1}'}},
     'additionalProperties': False}
    """
    if type(schema) is not dict or depth > _MAX_DEPTH:
        return schema
    found: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _KEPT:
            found[name] = value
        elif name in ("properties", "$defs", "definitions") and type(value) is dict:
            found[name] = {one: answer_schema(inner, depth + 1) for one, inner in value.items()}
        elif name in _OF_SCHEMAS and type(value) is list:
            found[_OF_SCHEMAS[name]] = [answer_schema(inner, depth + 1) for inner in value]
        elif name == "items":
            found[name] = answer_schema(value, depth + 1)
        elif (name == "format" and value in _FORMATS) or (name == "minItems" and value in (0, 1)):
            found[name] = value
        elif name not in ("$schema", "additionalProperties"):
            rest[name] = value
    if schema.get("type") == "object" or "properties" in found:
        found["additionalProperties"] = False
    if rest:
        found["description"] = _described(found.get("description"), rest)
    return found


def _described(description: Any, rest: Mapping[str, Any]) -> str:
    told = ", ".join(f"{name}: {encode(value).decode()}" for name, value in rest.items())
    return f"{description}\n\n{{{told}}}" if description else f"{{{told}}}"
