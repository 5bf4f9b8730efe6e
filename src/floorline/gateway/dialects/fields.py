"""Read decoded fields of requests, and say what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from floorline.core.bounds import MAX_TOKENS
from floorline.errors import abbreviated
from floorline.gateway.errors import ApiError


def invalid(path: str, value: Any, fix: str) -> ApiError:
    """Return the error of a field: its path, its value and how to correct it."""
    shown = "missing" if value is None else abbreviated(value)
    return ApiError(400, f"{path} is {shown}: {fix}", code="invalid_value", param=path)


def untranslatable(path: str, fix: str, dialect: str) -> ApiError:
    """Return the error of a field that no other dialect has and that must not be left out."""
    return ApiError(
        400,
        f"{path} cannot be translated for a model whose provider does not speak {dialect}: {fix}",
        code="unsupported_value",
        param=path,
    )


def as_object(value: Any, path: str, fix: str = "give an object") -> Mapping[str, Any]:
    """Return an object, or raise the error that it is none."""
    if not isinstance(value, Mapping):
        raise invalid(path, value, fix)
    return value


def as_objects(value: Any, path: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the objects of an array, each with its path."""
    for position, item in enumerate(as_list(value, path)):
        place = f"{path}[{position}]"
        yield as_object(item, place), place


def as_list(value: Any, path: str, fix: str = "give an array") -> list[Any]:
    """Return an array, or raise the error that it is none."""
    if not isinstance(value, list):
        raise invalid(path, value, fix)
    return value


def as_text(value: Any, path: str, fix: str = "give a text") -> str:
    """Return a text, or raise the error that it is none."""
    if not isinstance(value, str):
        raise invalid(path, value, fix)
    return value


def as_name(value: Any, path: str, fix: str = "give a text that is not empty") -> str:
    """Return a text that is not empty, or raise the error that it is none."""
    if not isinstance(value, str) or not value:
        raise invalid(path, value, fix)
    return value


def optional_text(value: Any, path: str, fix: str = "give a text") -> str:
    """Return a text, "" for null."""
    return "" if value is None else as_text(value, path, fix)


def optional_flag(value: Any, path: str) -> bool | None:
    """Return a flag or None."""
    if value is not None and not isinstance(value, bool):
        raise invalid(path, value, "give true or false")
    return value


def optional_number(value: Any, path: str, low: float, high: float) -> float | None:
    """Return a number within its bounds or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise invalid(path, value, f"give a number from {low:g} to {high:g}")
    return float(value)


def optional_count(value: Any, path: str) -> int | None:
    """Return a number of tokens or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_TOKENS:
        raise invalid(path, value, f"give a whole number from 1 to {MAX_TOKENS:,}")
    return value
