"""The least value that a JSON schema allows, for answers that must have some form."""

from __future__ import annotations

from typing import Any

_DEPTH = 20
_LONGEST = 1000
_PLAIN = {"boolean": False, "null": None}


def minimal(schema: Any, depth: int = _DEPTH) -> Any:
    """Return a small value of a schema: required properties only, first choices, lower bounds.

    Knows the keywords that providers accept in structured outputs, without references; what it
    does not understand becomes an empty object.

    Examples
    --------
    >>> minimal({"required": ["city"], "properties": {"city": {"type": "string"}}})
    {'city': ''}
    >>> minimal({"type": "array", "minItems": 2, "items": {"type": "integer", "minimum": 3}})
    [3, 3]
    """
    if not isinstance(schema, dict) or depth == 0:
        return {}
    if "const" in schema:
        return schema["const"]
    if choices := _read(schema, "enum", list):
        return choices[0]
    if choices := _read(schema, "anyOf", list) or _read(schema, "oneOf", list):
        return minimal(choices[0], depth - 1)
    kinds = _read(schema, "type", list) or [_read(schema, "type", str)]
    if kinds[0] == "array":
        return [minimal(schema.get("items"), depth - 1)] * _count(schema, "minItems")
    if kinds[0] == "string":
        return "x" * _count(schema, "minLength")
    if kinds[0] in ("integer", "number"):
        return schema.get("minimum", 0)
    if kinds[0] in ("boolean", "null"):
        return _PLAIN[kinds[0]]
    properties = _read(schema, "properties", dict)
    names = [name for name in _read(schema, "required", list) if isinstance(name, str)]
    return {name: minimal(properties.get(name), depth - 1) for name in names}


def _read(schema: dict[str, Any], keyword: str, kind: type[Any]) -> Any:
    """Return what a keyword says, or nothing of its kind if it says nothing sensible."""
    value = schema.get(keyword)
    return value if isinstance(value, kind) else kind()


def _count(schema: dict[str, Any], keyword: str) -> int:
    return min(_LONGEST, max(0, int(_read(schema, keyword, int))))
