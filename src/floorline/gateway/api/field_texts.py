"""Descriptions of an OpenAPI document's fields, from the docstrings of their classes."""

from __future__ import annotations

import inspect
import re
from typing import Any

_SECTION = re.compile(r"^([A-Z][a-z]+)\n-{3,}\n", re.MULTILINE)
_ENTRY = re.compile(r"^(?=\S)", re.MULTILINE)
_OF_FIELDS = ("Attributes", "Parameters")


def describe_fields(schemas: dict[str, Any]) -> None:
    """Give the fields of schemas their descriptions, in place.

    The schema of a class has the class's docstring as its description. Its sections about fields
    move to the fields, and the text before them stays.

    Examples
    --------
    >>> text = '''A label.
    ...
    ...     Attributes
    ...     ----------
    ...     score
    ...         From 0 to 1.
    ...     '''
    >>> schemas = {"Label": {"description": text, "properties": {"score": {"type": "number"}}}}
    >>> describe_fields(schemas)
    >>> schemas["Label"]["description"], schemas["Label"]["properties"]["score"]["description"]
    ('A label.', 'From 0 to 1.')
    """
    for schema in schemas.values():
        text, *sections = _SECTION.split(inspect.cleandoc(schema.get("description", "")))
        if not sections and not text:
            continue
        schema["description"] = _plain(text)
        fields = schema.get("properties", {})
        for title, entries in zip(sections[::2], sections[1::2], strict=True):
            if title in _OF_FIELDS:
                for names, meaning in _entries(entries):
                    for name in names.split(", "):
                        if name in fields:
                            fields[name].setdefault("description", meaning)


def _entries(section: str) -> list[tuple[str, str]]:
    """Names of a section, without their types, each with its text in one line."""
    found = []
    for entry in filter(None, _ENTRY.split(section.strip("\n"))):
        names, _, text = entry.partition("\n")
        found.append((names.partition(" : ")[0].strip(), " ".join(_plain(text).split())))
    return found


def _plain(text: str) -> str:
    return text.replace("``", "`").strip()
