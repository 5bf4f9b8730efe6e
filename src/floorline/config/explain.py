"""Explain what is wrong with a file: every problem with its field, value and fix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from floorline.config.addresses import names_loopback
from floorline.config.document import Location, Problem, quoted
from floorline.config.provider import KEY_FIELDS, LIBRARY_KINDS
from floorline.config.types import NOT_SHOWN, Fix, Section
from floorline.errors import InvalidInput, did_you_mean, without_credentials

_MAX_PROBLEMS = 50
"""Problems that are explained, so that a file of thousands takes no seconds."""
_MAX_NAME = 64
"""Characters of a name for which a similar field is looked for."""

_FIX_BY_TYPE = {
    "bool": "write true or false",
    "string": "give a text, in quotes if it looks like a number or a date",
    "list": "give a list: lines that begin with '- '",
    "dict": "give named values, one on each line",
    "model": "give fields, one on each line",
    "missing": "add it",
}
"""Fixes of fields that have none of their own, by the first word of pydantic's error type."""


def explain(
    error: ValidationError, kind: type[BaseModel], templates: Mapping[Location, str]
) -> list[Problem]:
    """Turn the errors of a validation into problems.

    Parameters
    ----------
    error
        Raised by the validation of ``document.data``.
    kind
        The class that was validated.
    templates
        Original texts of values that came from the environment, by their locations.
    """
    errors = error.errors(include_url=False)
    found = [_problem(one, kind, templates) for one in errors[:_MAX_PROBLEMS]]
    if len(errors) > _MAX_PROBLEMS:
        more = len(errors) - _MAX_PROBLEMS
        found.append(Problem((), f"has {more:,} more problems", "correct the others first"))
    return found


def _problem(
    error: ErrorDetails, root: type[BaseModel], templates: Mapping[Location, str]
) -> Problem:
    # Errors in the name of an entry of a mapping end in "[key]".
    location: Location = tuple(part for part in error["loc"] if part != "[key]")
    if error["type"] == "rule":
        return _rule(error["ctx"], location, error["input"], templates)
    if error["type"] == "extra_forbidden":
        return _unknown_field(location, root)
    types = list(_types(root, location))
    fixes = [part.text for part in types if isinstance(part, Fix)]
    fix = fixes[-1] if fixes else _general_fix(error)
    if error["type"] == "missing":
        return Problem(location, "is missing", fix)
    if "[key]" in error["loc"] and _holds_secrets(types):
        # The name can be a whole header, with its value.
        return Problem(location[:-1], "has an entry whose name is not valid (not shown)", fix)
    if _holds_secrets(types) and location not in templates:
        return Problem(location, NOT_SHOWN, fix)
    value = templates.get(location, error["input"])
    if any(_is_section(kind) for kind in types) and isinstance(value, str):
        # Such as 'store: URL', whose password is in no field that is known to be secret.
        return Problem(location, "is a text (not shown)", fix)
    return Problem(location, f"is {_brief(value)}", fix)


def _rule(
    context: dict[str, Any], location: Location, value: Any, templates: Mapping[Location, str]
) -> Problem:
    if "clause" not in context:
        return Problem((*location, *context["fields"]), context["wrong"], context["fix"])
    # Without a scheme, no text is known to be an address with a query.
    shown = re.sub(r"([?#]).+", r"\1***", str(templates.get(location, value)), flags=re.DOTALL)
    wrong = f"is {_brief(shown)}, which {context['clause']}"
    if context["corrected"] and location not in templates:
        return Problem(location, wrong, f"write {without_credentials(context['corrected'])}")
    return Problem(location, wrong, context["fix"])


def _holds_secrets(types: list[Any]) -> bool:
    """Whether a field is secret, or a list or mapping of secrets."""
    inner = [part for kind in types if get_origin(kind) for part in get_args(kind)]
    return SecretStr in types or any(SecretStr in flat(part) for part in inner)


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "a group of fields" if isinstance(value, dict) else quoted(value)


def _general_fix(error: ErrorDetails) -> str:
    if error["type"] == "literal_error":
        return "choose " + str(error["ctx"]["expected"])
    return _FIX_BY_TYPE.get(error["type"].partition("_")[0], error["msg"])


def _unknown_field(location: Location, root: type[BaseModel]) -> Problem:
    # Imported here because a start without errors does not need it.
    from difflib import get_close_matches

    owner = next(t for t in _types(root, location[:-1]) if _is_section(t))
    known = list(owner.fields_by_key())
    name = str(location[-1])[:_MAX_NAME]
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    fix = f"write {near[0]}" if near else "remove it; known are " + ", ".join(sorted(known))
    return Problem(location, "is no known field", fix)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _types(root: type[BaseModel], location: Location) -> Iterator[Any]:
    """All parts of a field's type: classes, annotations, members of unions."""
    parts: list[Any] = [root]
    for step in location:
        inner: list[Any] = []
        for part in parts:
            if _is_section(part) and step in part.fields_by_key():
                field = part.fields_by_key()[step]
                inner += [*flat(field.annotation), *field.metadata]
            elif get_origin(part) in (list, dict):
                entry = flat(get_args(part)[-1])
                if not any(_is_section(kind) for kind in entry):
                    # The fix of the whole list or mapping holds for entries without their own.
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


def check_exposure(auth: str, host: str) -> None:
    """Check that a server without authentication listens on this machine only.

    Raises
    ------
    InvalidInput
        If ``auth`` is "none" and ``host`` is no loopback address.
    """
    if auth == "none" and not names_loopback(host.strip("[] ").lower()):
        raise InvalidInput(
            "auth", auth, f"set auth: keys, or a loopback server.host instead of {host}"
        )


def cross_field_rules(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Find what breaks rules over several sections.

    Parameters
    ----------
    data
        The file as it was read, before validation, so that these problems are reported together
        with those of single fields.
    """
    models, slas = _named(data.get("models")), _named(data.get("slas"))
    yield from _duplicates("models", models)
    yield from _duplicates("slas", slas)
    known = {item["name"] for _, item in models}
    if known:
        yield from _unknown_models(slas, known)
        yield from _hints(data.get("hints"), models, known)
    given = data.get("defaults")
    defaults = given if isinstance(given, Mapping) else {}
    yield from _without_endpoint(models, defaults)
    yield from _several_keys(("defaults",), defaults)
    for position, model in models:
        yield from _several_keys(("models", position), model)
    server = data.get("server")
    given = server if isinstance(server, Mapping) else {}
    host = given.get("host") if given.get("unix_socket") is None else None
    if isinstance(host, str):
        try:
            check_exposure(str(data.get("auth")), host)
        except InvalidInput as error:
            yield Problem(("auth",), "is 'none'", error.fix)


def _named(items: Any) -> list[tuple[int, Mapping[str, Any]]]:
    """Entries of a list that have a name, with their positions."""
    if not isinstance(items, list):
        return []
    return [
        (position, {**item, "name": item["name"].strip()})
        for position, item in enumerate(items)
        if isinstance(item, Mapping) and isinstance(item.get("name"), str)
    ]


def _duplicates(section: str, items: list[tuple[int, Mapping[str, Any]]]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for position, item in items:
        name = item["name"]
        if first.setdefault(name, position) != position:
            fix = f"give another name: {section}[{first[name]}] has this one"
            yield Problem((section, position, "name"), f"is {quoted(name)}", fix)


def _unknown_models(
    slas: list[tuple[int, Mapping[str, Any]]], known: set[str]
) -> Iterator[Problem]:
    fix = "name one of the models: " + ", ".join(sorted(known))
    for position, sla in slas:
        named: list[tuple[Location, Any]] = []
        if isinstance(sla.get("models"), list):
            named += [(("models", n), name) for n, name in enumerate(sla["models"])]
        budget = sla.get("budget")
        if isinstance(budget, Mapping) and isinstance(budget.get("per_model"), Mapping):
            named += [(("budget", "per_model", name), name) for name in budget["per_model"]]
        for location, name in named:
            if isinstance(name, str) and name.strip() not in known:
                near = did_you_mean(name, known)
                yield Problem(("slas", position, *location), f"is {quoted(name)}", near + fix)


def _hints(
    hints: Any, models: list[tuple[int, Mapping[str, Any]]], known: set[str]
) -> Iterator[Problem]:
    """Hints of no model or of one that has its own, and models that are like no model."""
    fix = "name one of the models: " + ", ".join(sorted(known))
    given = hints if isinstance(hints, Mapping) else {}
    alike: list[tuple[Location, Any, Any]] = []
    for name, hint in given.items():
        if name not in known:
            near = did_you_mean(str(name), known)
            yield Problem(("hints", name), "is a hint of no model of this file", near + fix)
        if isinstance(hint, Mapping):
            alike.append((("hints", name, "like"), name, hint.get("like")))
    for position, model in models:
        name = model["name"]
        for field in ("quality_hint", "quality_like", "hint_weight"):
            if name in given and model.get(field) is not None:
                location: Location = ("models", position, field)
                yield Problem(location, f"is given beside hints.{name}", "keep one of them")
        alike.append((("models", position, "quality_like"), name, model.get("quality_like")))
    for location, name, other in alike:
        if isinstance(other, str) and other == name:
            yield Problem(location, "is the model itself", "name another model")
        elif isinstance(other, str) and other not in known:
            yield Problem(location, f"is {quoted(other)}", did_you_mean(other, known) + fix)


def _without_endpoint(
    models: list[tuple[int, Mapping[str, Any]]], defaults: Mapping[str, Any]
) -> Iterator[Problem]:
    for position, model in models:
        completed = {**defaults, **model}
        if completed.get("kind") not in LIBRARY_KINDS and completed.get("endpoint") is None:
            fix = "give the base URL of its API, such as http://127.0.0.1:8000/v1"
            yield Problem(("models", position, "endpoint"), "is missing", fix)


def _several_keys(location: Location, section: Mapping[str, Any]) -> Iterator[Problem]:
    first, *others = [f for f in KEY_FIELDS if section.get(f) is not None] or [""]
    for field in others:
        yield Problem((*location, field), f"is given beside {first}", "keep one of them")
