"""Read the values of a request that must have a type, with errors that name their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from floorline.errors import abbreviated
from floorline.gateway.errors import ApiError

_MISSING = object()
"""Stands for a field that is not there, so that its error says so."""


def bad(path: str, value: Any, fix: str) -> ApiError:
    """Return the error of a value, to be raised.

    Examples
    --------
    >>> print(bad("messages[0].role", "robot", "give user or assistant"))
    messages[0].role is 'robot': give user or assistant
    """
    shown = "missing" if value is _MISSING else abbreviated(value)
    return ApiError(400, f"{path} is {shown}: {fix}", code="invalid_value", param=path)


def field(holder: Mapping[str, Any], name: str) -> Any:
    """Return a field; a value that ``text``, ``items`` and the others refuse if it is not there."""
    return holder.get(name, _MISSING)


def text(value: Any, path: str) -> str:
    """Return a text."""
    if type(value) is not str:
        raise bad(path, value, "give a text")
    return value


def name(value: Any, path: str) -> str:
    """Return a text that is not empty."""
    if type(value) is not str or not value:
        raise bad(path, value, "give a text that is not empty")
    return value


def mapping(value: Any, path: str) -> Mapping[str, Any]:
    """Return an object."""
    if type(value) is not dict:
        raise bad(path, value, "give an object")
    return value


def items(value: Any, path: str) -> list[Any]:
    """Return a list."""
    if type(value) is not list:
        raise bad(path, value, "give a list")
    return value


def mappings(value: Any, path: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the objects of a list, each with its path."""
    for position, item in enumerate(items(value, path)):
        place = f"{path}[{position}]"
        yield mapping(item, place), place


def count(value: Any, path: str, least: int = 1) -> int:
    """Return a whole number that is not below ``least``; a float without a fraction is one."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or value < least:
        raise bad(path, value, f"give a whole number from {least}")
    return value


def number(value: Any, path: str) -> float:
    """Return a number."""
    if type(value) not in (int, float) or value != value:
        raise bad(path, value, "give a number")
    return float(value)


def flag(value: Any, path: str) -> bool:
    """Return a truth value."""
    if type(value) is not bool:
        raise bad(path, value, "give true or false")
    return value
