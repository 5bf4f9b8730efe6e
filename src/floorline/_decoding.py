"""Words for why data cannot be read, in the place of those of the library that reads it."""

from __future__ import annotations

import re

_KINDS = {
    "array": "a list",
    "object": "a group of fields",
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}


def decoding_reason(error: Exception) -> str:
    """Say in words what a decoder refuses, and where.

    Examples
    --------
    >>> import msgspec
    >>> class Part(msgspec.Struct):
    ...     seeds: int
    >>> try:
    ...     msgspec.json.decode(b'[{"seeds": "five"}]', type=list[Part])
    ... except msgspec.DecodeError as error:
    ...     decoding_reason(error)
    '[0].seeds is a text, where a whole number belongs'
    """
    if isinstance(error, KeyError):
        return f"the field {str(error.args[0])[:80]!r} is missing"
    text, _, where = " ".join(str(error).split()).partition(" - at ")
    place = re.sub(r"^\$\.?", "", where.strip("`")).replace("[...]", "[]")
    missing = re.fullmatch(r"Object missing required field `(.+)`", text)
    if missing:
        return f"the field {_joined(place, missing[1])} is missing"
    unknown = re.fullmatch(r"Object contains unknown field `(.+)`", text)
    if unknown:
        return f"{_joined(place, unknown[1])} is no known field"
    kinds = re.fullmatch(r"Expected `([^`]+)`, got `([^`]+)`", text)
    shown = place or "its content"
    if kinds:
        return f"{shown} is {_kind(kinds[2])}, where {_kind(kinds[1])} belongs"
    bound = re.fullmatch(r"Expected `([^`]+)` (>=|<=|>|<) (\S+)", text)
    if bound:
        signs = {">=": "{} or more", "<=": "{} or less", ">": "more than {}", "<": "less than {}"}
        return f"{shown} is out of range: give {signs[bound[2]].format(bound[3])}"
    invalid = re.match(r"Invalid (?:enum )?value '?([^']{0,80})'?", text)
    if invalid:
        return f"{shown} is {invalid[1]!r}, which is no known value"
    if "malformed" in text or "truncated" in text or "trailing" in text:
        return "it is damaged or cut off"
    return f"{shown} is not as it belongs"


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _kind(words: str) -> str:
    return " or ".join(_KINDS.get(word.strip(), word.strip()) for word in words.split("|"))
