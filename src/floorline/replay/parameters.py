"""Parsing of policy parameters from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from floorline._bounded import parse_json
from floorline.errors import InvalidInput


def parse_parameters(given: Sequence[str]) -> dict[str, Any]:
    """Read parameters given as NAME=VALUE.

    VALUE is read as JSON; a value that is not JSON is a text.

    Raises
    ------
    InvalidInput
        If a parameter has no name or no equals sign.

    Examples
    --------
    >>> parse_parameters(["V=0.001", "most_capable=large"])
    {'V': 0.001, 'most_capable': 'large'}
    """
    parameters: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidInput("--param", text, "write NAME=VALUE, such as V=0.001")
        try:
            parameters[name] = parse_json(value)
        except ValueError:
            parameters[name] = value
    return parameters
