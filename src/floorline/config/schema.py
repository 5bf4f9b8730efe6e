"""The JSON Schema of ``floorline.yaml``, for editors."""

from __future__ import annotations

import json
from typing import Any

from floorline.config.settings import Settings

_REFERENCE = {"type": "string", "pattern": r"\$\{"}
# Bounds of numbers that refuse booleans first come under Python's names for them.
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


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
    return schema


def schema_text() -> str:
    """Return the schema as the text of its file."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _adapted(node: Any) -> Any:
    """Let scalars be references to the environment too; write alternatives in one list."""
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
