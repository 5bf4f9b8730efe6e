"""The page of the HTTP API, from the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docstrings import as_line, as_markdown

from floorline._markdown import markdown_table
from floorline.gateway.api.openapi import document

_HEAD = """# HTTP

<!-- Written by `python .ci/reference` from the OpenAPI document; change that document instead. -->

These are the endpoints of the server, as `GET /openapi.json` describes them.
[gateway.md](gateway.md) says how to use them, and [dialects.md](dialects.md) which fields of
OpenAI's and Anthropic's requests are read.

A key is sent as `Authorization: Bearer KEY`, `x-api-key: KEY` or `api-key: KEY`. A request may have
other fields than those that are listed only where its type says so.
"""
_METHODS = ("get", "post", "put", "patch", "delete")


def page() -> str:
    """Return the page."""
    described = document()
    operations = [
        (f"{method.upper()} {path}", {"parameters": item.get("parameters", []), **item[method]})
        for path, item in described["paths"].items()
        for method in _METHODS
        if method in item
    ]
    rows = [(_link(name), one["summary"]) for name, one in operations]
    parts = [_HEAD, markdown_table(("endpoint", "what it does"), rows, left=(0, 1)), ""]
    for name, operation in operations:
        parts += _operation(name, operation)
    parts += ["## Errors\n", _errors(operations), "", "## Objects\n"]
    for name, schema in sorted(described["components"]["schemas"].items()):
        parts += _schema(name, schema)
    return "\n".join(parts)


def _operation(name: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"## {name}\n"
    yield f"{operation['summary']}.\n"
    if operation.get("description"):
        yield f"{operation['description']}\n"
    parameters = operation.get("parameters", [])
    if parameters:
        rows = [
            (f"`{one['name']}`", one["in"], _type(one["schema"]), _about(one)) for one in parameters
        ]
        yield markdown_table(("parameter", "in", "type", "meaning"), rows, left=range(4)) + "\n"
    if "requestBody" in operation:
        yield f"Body: {_content(operation['requestBody'])}.\n"
    answers = operation["responses"]
    for status, answer in answers.items():
        if status < "300":
            yield f"Answer: {status}, {_content(answer)}.\n"
    errors = [status for status in answers if status >= "300"]
    if errors:
        bodies = dict.fromkeys(_content(answers[status]) for status in errors)
        yield f"[Errors](#errors): {', '.join(errors)}, with {' or '.join(bodies)}.\n"
    headers = operation["responses"].get("200", {}).get("headers", {})
    if headers:
        yield "Headers of the answer: " + ", ".join(f"`{one}`" for one in headers) + ".\n"


def _errors(operations: list[tuple[str, dict[str, Any]]]) -> str:
    """Return what each error status means."""
    meanings: dict[str, str] = {}
    for _, operation in operations:
        for status, answer in operation["responses"].items():
            if status >= "300":
                meanings.setdefault(status, answer["description"])
    return markdown_table(("status", "meaning"), sorted(meanings.items()), left=(0, 1))


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if schema.get("description"):
        yield f"{as_markdown(schema['description'])}\n"
    required = schema.get("required", [])
    rows = [
        (
            f"`{field}`",
            "yes" if field in required else "",
            _type(one),
            _about({"schema": one}),
        )
        for field, one in schema.get("properties", {}).items()
    ]
    if rows:
        header = ("field", "required", "type", "meaning")
        yield markdown_table(header, rows, left=range(4)) + "\n"
    elif "properties" not in schema:
        yield f"{_type(schema)}\n"


def _content(body: dict[str, Any]) -> str:
    kinds = []
    for media, one in body.get("content", {}).items():
        shape = _type(one.get("schema", {}))
        kinds.append(shape if media == "application/json" else f"`{media}`")
    return ", or ".join(kinds)


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[several]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    kinds = schema.get("type", "any")
    words = [_word(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    bounds = [
        f"{sign} {schema[key]}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in schema
    ]
    return " or ".join(words) + (f" {', '.join(bounds)}" if bounds else "")


def _word(kind: str, schema: dict[str, Any]) -> str:
    if kind == "array":
        inner = schema.get("items") or {}
        return f"list of {_type(inner)}" if inner else "list"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return {"string": "text", "boolean": "true or false", "integer": "whole number"}.get(kind, kind)


def _about(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    text = parameter.get("description") or schema.get("description", "")
    text = as_line(text)
    default = schema.get("default")
    if default not in (None, "", [], {}, ()):
        text = f"{text} Default: `{default}`.".strip()
    return text


def _link(heading: str) -> str:
    """Return a link to a heading, unless the site and GitHub make different anchors of it."""
    kept = "".join(sign for sign in heading.lower() if sign.isalnum() or sign in "-_ ")
    return f"`{heading}`" if kept.endswith(" ") else f"[`{heading}`](#{kept.replace(' ', '-')})"
