"""What validation found, in words: field, value and fix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from floorline.config.document import Document
from floorline.config.places import Place, Problem, quoted
from floorline.config.types import Fix, SecretField

_BY_TYPE = {
    "bool": "write true or false",
    "string": "give a text, in quotes if it looks like a number or a date",
    "list": "give a list: lines that begin with '- '",
    "dict": "give named values, one on each line",
    "model": "give fields, one on each line",
    "missing": "add it",
}


def explain(error: ValidationError, kind: type[BaseModel], document: Document) -> list[Problem]:
    """Turn the errors of a validation into problems."""
    return [_problem(e, kind, document) for e in error.errors(include_url=False)]


def _problem(error: ErrorDetails, root: type[BaseModel], document: Document) -> Problem:
    # Errors in the name of an entry of a mapping end in "[key]".
    place: Place = tuple(part for part in error["loc"] if part != "[key]")
    if error["type"] == "rule":
        context = error["ctx"]
        return Problem((*place, *context["fields"]), context["wrong"], context["fix"])
    if error["type"] == "extra_forbidden":
        return _unknown(place, root)
    types = list(_types(root, place))
    fixes = [part.text for part in types if isinstance(part, Fix)]
    fix = fixes[-1] if fixes else _general_fix(error)
    if error["type"] == "missing":
        return Problem(place, "is missing", fix)
    value = document.templates.get(place, error["input"])
    hidden = any(part is SecretStr or isinstance(part, SecretField) for part in types)
    if hidden and place not in document.templates:
        return Problem(place, "is not valid (its value is not shown)", fix)
    return Problem(place, f"is {_brief(value)}", fix)


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "a group of fields" if isinstance(value, dict) else quoted(value)


def _general_fix(error: ErrorDetails) -> str:
    if error["type"] == "literal_error":
        return "choose " + str(error["ctx"]["expected"])
    return _BY_TYPE.get(error["type"].partition("_")[0], error["msg"])


def _unknown(place: Place, root: type[BaseModel]) -> Problem:
    # Wanted for errors only, which no server that starts has.
    from difflib import get_close_matches

    owner = next(t for t in _types(root, place[:-1]) if _is_section(t))
    known = list(owner.model_fields)
    near = get_close_matches(str(place[-1]), known, n=1, cutoff=0.6)
    if near:
        return Problem(place, "is no known field", f"write {near[0]}")
    return Problem(place, "is no known field", "remove it; known are " + ", ".join(sorted(known)))


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _types(root: type[BaseModel], place: Place) -> Iterator[Any]:
    """All parts of the type of the field at a place: classes, annotations, members of unions."""
    parts: list[Any] = [root]
    for step in place:
        inner: list[Any] = []
        for part in parts:
            if _is_section(part) and step in part.model_fields:
                field = part.model_fields[step]
                inner += [*flat(field.annotation), *field.metadata]
            elif get_origin(part) in (list, dict):
                entry = flat(get_args(part)[-1])
                if not any(_is_section(kind) for kind in entry):
                    # What mends the whole mends its entries, unless they know better.
                    inner += [p for p in parts if isinstance(p, Fix)]
                inner += entry
        parts = inner
    yield from parts


def flat(annotation: Any) -> list[Any]:
    """List the parts of a type: classes, annotations, members of unions."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return [*flat(inner), *metadata]
    if get_origin(annotation) in (list, dict) or not get_args(annotation):
        return [annotation]
    return [part for member in get_args(annotation) for part in flat(member)]
