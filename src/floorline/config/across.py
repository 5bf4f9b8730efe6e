"""Rules over several parts of the file."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from floorline.config.models import KEY_FIELDS
from floorline.config.places import Place, Problem, quoted
from floorline.errors import InvalidInput


def check_exposure(auth: str, host: str) -> None:
    """Raise InvalidInput if a server without authentication could be reached from elsewhere."""
    if auth == "none" and not _loopback(host):
        raise InvalidInput(
            "auth", auth, f"set auth: keys, or a loopback server.host instead of {host}"
        )


def cross_field_rules(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Find what breaks rules over several parts.

    Works on the file as it was read, so that it also finds them beside other mistakes.
    """
    models, slas = _named(data.get("models")), _named(data.get("slas"))
    yield from _twice("models", models)
    yield from _twice("slas", slas)
    known = {item["name"] for _, item in models}
    if known:
        yield from _unknown_models(slas, known)
    given = data.get("defaults")
    defaults = given if isinstance(given, Mapping) else {}
    yield from _without_endpoint(models, defaults)
    for place, section in [(("defaults",), defaults), *((("models", n), m) for n, m in models)]:
        yield from _several_keys(place, section)
    server = data.get("server")
    host = server.get("host") if isinstance(server, Mapping) else None
    if isinstance(host, str):
        try:
            check_exposure(str(data.get("auth")), host)
        except InvalidInput as error:
            yield Problem(("auth",), "is 'none'", error.fix)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _named(items: Any) -> list[tuple[int, Mapping[str, Any]]]:
    if not isinstance(items, list):
        return []
    return [
        (position, item)
        for position, item in enumerate(items)
        if isinstance(item, Mapping) and isinstance(item.get("name"), str)
    ]


def _twice(section: str, items: list[tuple[int, Mapping[str, Any]]]) -> Iterator[Problem]:
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
        named: list[tuple[Place, Any]] = []
        if isinstance(sla.get("models"), list):
            named += [(("models", n), name) for n, name in enumerate(sla["models"])]
        budget = sla.get("budget")
        if isinstance(budget, Mapping) and isinstance(budget.get("per_model"), Mapping):
            named += [(("budget", "per_model", name), name) for name in budget["per_model"]]
        for place, name in named:
            if isinstance(name, str) and name not in known:
                yield Problem(("slas", position, *place), f"is {quoted(name)}", fix)


def _without_endpoint(
    models: list[tuple[int, Mapping[str, Any]]], defaults: Mapping[str, Any]
) -> Iterator[Problem]:
    for position, model in models:
        whole = {**defaults, **model}
        if whole.get("kind") != "litellm" and whole.get("endpoint") is None:
            fix = "give the base URL of its API, such as http://127.0.0.1:8000/v1"
            yield Problem(("models", position, "endpoint"), "is missing", fix)


def _several_keys(place: Place, section: Mapping[str, Any]) -> Iterator[Problem]:
    first, *others = [f for f in KEY_FIELDS if section.get(f) is not None] or [""]
    for field in others:
        yield Problem((*place, field), f"is given beside {first}", "keep one of them")
