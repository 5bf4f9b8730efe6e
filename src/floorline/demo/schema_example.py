"""Example values of JSON schemas, for simulated answers with a required format."""

from __future__ import annotations

from typing import Any

_MAX_DEPTH = 20
"""Depth of nested schemas at which an empty object is returned; bounds recursion."""
_MAX_LENGTH = 1000
"""Maximum length of a text or an array; bounds the memory."""
_SIMPLE_VALUES = {"boolean": False, "null": None}


def example_value(schema: Any, depth: int = _MAX_DEPTH) -> Any:
    """Return a small value of a schema: required properties only, first choices, lower bounds.

    The keywords that providers accept in structured outputs are supported, except references. The
    value of an unsupported schema is an empty object.

    Parameters
    ----------
    schema
        A JSON schema.
    depth
        Number of nested schemas to follow.

    Examples
    --------
    >>> example_value({"required": ["city"], "properties": {"city": {"type": "string"}}})
    {'city': ''}
    >>> example_value({"type": "array", "minItems": 2, "items": {"type": "integer", "minimum": 3}})
    [3, 3]
    """
    if not isinstance(schema, dict) or depth == 0:
        return {}
    if "const" in schema:
        return schema["const"]
    if choices := _read(schema, "enum", list):
        return choices[0]
    if choices := _read(schema, "anyOf", list) or _read(schema, "oneOf", list):
        return example_value(choices[0], depth - 1)
    kinds = _read(schema, "type", list) or [_read(schema, "type", str)]
    if kinds[0] == "array":
        return [example_value(schema.get("items"), depth - 1)] * _count(schema, "minItems")
    if kinds[0] == "string":
        return "x" * _count(schema, "minLength")
    if kinds[0] in ("integer", "number"):
        return schema.get("minimum", 0)
    if kinds[0] in ("boolean", "null"):
        return _SIMPLE_VALUES[kinds[0]]
    properties = _read(schema, "properties", dict)
    names = [name for name in _read(schema, "required", list) if isinstance(name, str)]
    return {name: example_value(properties.get(name), depth - 1) for name in names}


def _read(schema: dict[str, Any], keyword: str, kind: type[Any]) -> Any:
    """Return the value of a keyword, or an empty value of ``kind`` if it has another type."""
    value = schema.get(keyword)
    return value if isinstance(value, kind) else kind()


def _count(schema: dict[str, Any], keyword: str) -> int:
    return min(_MAX_LENGTH, max(0, int(_read(schema, keyword, int))))
