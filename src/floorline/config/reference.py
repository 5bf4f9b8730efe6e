"""Tables of all fields, for the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from floorline._markdown import markdown_table
from floorline.config.explain import flat
from floorline.config.models import ModelDefaults, ModelSettings
from floorline.config.settings import Settings
from floorline.config.types import Kind

_BARE = {
    str: "text",
    float: "number",
    int: "whole number",
    bool: "true or false",
    SecretStr: "text",
}


def tables() -> str:
    """Return Markdown tables of the fields of every section."""
    parts = [_table("", Settings)]
    for name, section in _sections(Settings):
        if section is ModelDefaults:
            continue
        parts.append(_table(name, section))
    return "\n\n".join(parts)


def _sections(owner: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in owner.model_fields.items():
        inner = _inner_section(field.annotation)
        if inner is not None:
            place = f"{prefix}{name}" + ("[]" if get_origin(field.annotation) is list else "")
            yield place, inner
            if inner is not ModelDefaults:
                yield from _sections(inner, f"{place}.")


def _inner_section(annotation: Any) -> type[BaseModel] | None:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _table(place: str, section: type[BaseModel]) -> str:
    title = f"### `{place}`" if place else "### Top level"
    lines = [title, ""]
    if section is ModelSettings:
        lines += ["All fields but `name` and `model` may also stand under `defaults`.", ""]
    fields = section.model_fields
    own = section.__annotations__
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
    if annotation in _BARE:
        return _BARE[annotation]
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


if __name__ == "__main__":
    print(tables())
