"""Describe the file's fields: tables for the documentation, a JSON Schema for editors.

``python -m floorline.config.reference`` prints the tables for ``docs/configuration.md``,
``floorline check --schema`` the schema of ``docs/floorline.schema.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from floorline._markdown import markdown_table
from floorline.config.explain import flat
from floorline.config.models import ModelDefaults, ModelSettings
from floorline.config.settings import Settings
from floorline.config.types import Kind, Section

_WORDS = {
    str: "text",
    float: "number",
    int: "whole number",
    bool: "true or false",
    SecretStr: "text",
}

_REFERENCE = {"type": "string", "pattern": r"\$\{"}
# Pydantic puts bounds behind a validator under Python's names.
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def tables() -> str:
    """Return a Markdown table of the fields of every section."""
    parts = [_table("", Settings)]
    for name, section in _sections(Settings):
        if section is ModelDefaults:
            continue
        parts.append(_table(name, section))
    return "\n\n".join(parts)


def json_schema() -> dict[str, Any]:
    """Describe the file as JSON Schema (draft 2020-12)."""
    schema = Settings.model_json_schema(mode="validation")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "floorline.yaml",
        **_adapted(schema),
    }
    policy = schema["properties"]["policy"]
    reference = {"$ref": policy.pop("$ref")}
    policy["anyOf"] = [reference, {"type": "string"}]
    hints = schema["properties"]["hints"]
    hints["additionalProperties"] = {
        "anyOf": [hints["additionalProperties"], {"type": "number", "minimum": 0, "maximum": 1}]
    }
    return schema


def schema_text() -> str:
    """Return the schema as the text of its file."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _sections(owner: type[Section], prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    for name, field in owner.fields_by_key().items():
        inner = _inner_section(field.annotation)
        if inner is not None:
            location = f"{prefix}{name}" + ("[]" if get_origin(field.annotation) is list else "")
            yield location, inner
            if inner is not ModelDefaults:
                yield from _sections(inner, f"{location}.")


def _inner_section(annotation: Any) -> type[Section] | None:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def _table(location: str, section: type[Section]) -> str:
    title = f"### `{location}`" if location else "### Top level"
    lines = [title, ""]
    if section is ModelSettings:
        lines += ["All fields but `name` and `model` may also stand under `defaults`.", ""]
    fields = section.fields_by_key()
    own = {f.alias or n for n, f in section.model_fields.items() if n in section.__annotations__}
    names = sorted(fields, key=lambda n: (not fields[n].is_required(), n not in own))
    rows = [_row(name, fields[name]) for name in names]
    head = ("field", "value", "default", "meaning")
    return "\n".join([*lines, markdown_table(head, rows, left=range(4))])


def _row(name: str, field: FieldInfo) -> tuple[str, ...]:
    default = "**required**" if field.is_required() else _default(field.default)
    return f"`{name}`", _kind(field), default, field.description or ""


def _default(value: Any) -> str:
    if value is None or value in ({}, []):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _kind(field: FieldInfo) -> str:
    kinds = [part for part in (*flat(field.annotation), *field.metadata) if isinstance(part, Kind)]
    return kinds[0].word if kinds else _word(field.annotation)


def _word(annotation: Any) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, given = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _word(given[0])
    if origin is list:
        return "list" if _inner_section(annotation) is None else "list of sections"
    if origin is dict:
        return "names and values"
    if _inner_section(annotation) is not None:
        return "section"
    if given and all(isinstance(choice, str) for choice in given):
        return " or ".join(f"`{choice}`" for choice in given)
    return _word(next(kind for kind in given if kind is not type(None)))


def _adapted(node: Any) -> Any:
    """Let scalars be references to the environment, too; write alternatives in one list."""
    if isinstance(node, list):
        return [_adapted(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {_BOUNDS.get(key, key): _adapted(value) for key, value in node.items()}
    if node.get("type") in ("number", "integer", "boolean") or "enum" in node:
        about = {k: node.pop(k) for k in ("title", "description", "default") if k in node}
        return {**about, "anyOf": [node, _REFERENCE]}
    if "anyOf" in node:
        flat = [inner for choice in node["anyOf"] for inner in choice.get("anyOf", [choice])]
        node["anyOf"] = [choice for n, choice in enumerate(flat) if choice not in flat[:n]]
    return node


if __name__ == "__main__":
    print(tables())
