"""Rules: tests of a response that need no model."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from threading import local
from typing import Any

from floorline._extras import needs
from floorline.config.judging import RuleKind, RuleSettings
from floorline.gateway.judging.transcripts import Transcript

# Possessive, so that a long line takes time in proportion to its length.
_FENCE = re.compile(r"^```[ \t]*+([\w+-]*+)[^\n]*+\n(.*?)^```", re.MULTILINE | re.DOTALL)
_REFUSES = re.compile(
    r"^\W*(i(?:'|\u2019)?m (?:really |very )?sorry|sorry|i cannot|i can(?:'|\u2019)?t|"
    r"i won(?:'|\u2019)?t|i(?:'|\u2019)?m (?:unable|not able)|as an ai)\b",
    re.IGNORECASE,
)
_MAX_REFUSAL = 400
"""Characters of a response that begins like a refusal and is one; a longer one goes on to help."""
_MAX_CODE = 200_000
"""Characters of code that are parsed."""
_MAX_STEPS = 100_000
"""Steps in which a value is checked against a schema, about a second; references can make a short
schema take years."""
SIMILAR = 0.8
"""Share of the words that two questions have in common, of all their words, from which the second
asks the first again."""


def broken_rules(rules: Sequence[RuleSettings], transcript: Transcript) -> list[RuleSettings]:
    """Return the rules that a response breaks; ``asked_again`` is seen later.

    Parameters
    ----------
    rules
        The rules.
    transcript
        Request and response.
    """
    return [
        rule
        for rule in rules
        if rule.kind != "asked_again" and _BROKEN[rule.kind](transcript, rule)
    ]


def score_of(broken: Sequence[RuleSettings]) -> float:
    """Score from 0 to 1 of a response that breaks these rules."""
    return max(0.0, 1.0 - sum(rule.weight for rule in broken))


def asks_again(question: str, earlier: str) -> bool:
    """Whether a question is nearly the same as an earlier one.

    Examples
    --------
    >>> asks_again("No, what is the CAPITAL of Peru?", "What is the capital of Peru?")
    True
    >>> asks_again("And of Chile?", "What is the capital of Peru?")
    False
    """
    one, two = (set(re.findall(r"\w+", text.lower())) for text in (question, earlier))
    both = one | two
    return len(both) > 0 and len(one & two) / len(both) >= SIMILAR


def _breaks_json(transcript: Transcript, rule: RuleSettings) -> bool:
    wants = transcript.request is not None and transcript.request.output is not None
    return wants and not transcript.calls and _value(transcript.text) is None


def _breaks_schema(transcript: Transcript, rule: RuleSettings) -> bool:
    output = None if transcript.request is None else transcript.request.output
    schema = rule.schema_ if rule.schema_ is not None else output and output.schema
    if not isinstance(schema, dict) or transcript.calls:
        return False
    value = _value(transcript.text)
    return value is None or not _fits(value[0], schema)


def _breaks_tool_call(transcript: Transcript, rule: RuleSettings) -> bool:
    tools = {tool.name: tool for tool in transcript.tools}
    for call in transcript.calls:
        tool = tools.get(call.name)
        if tool is None:
            return True
        if not isinstance(tool.parameters, dict):
            continue
        value = _value(call.arguments or "{}")
        if value is None or not _fits(value[0], tool.parameters):
            return True
    return False


def _breaks_code(transcript: Transcript, rule: RuleSettings) -> bool:
    return any(not parses(code) for parses, code in _blocks(transcript.text[:_MAX_CODE]))


def _breaks_refusal(transcript: Transcript, rule: RuleSettings) -> bool:
    if transcript.refusal or transcript.reason == "content_filter":
        return True
    text = transcript.text.strip()
    return len(text) <= _MAX_REFUSAL and _REFUSES.match(text) is not None


def _breaks_empty(transcript: Transcript, rule: RuleSettings) -> bool:
    return not (transcript.text.strip() or transcript.refusal or transcript.calls)


def _breaks_cut(transcript: Transcript, rule: RuleSettings) -> bool:
    return transcript.reason in ("length", "failed")


_BROKEN: dict[RuleKind, Callable[[Transcript, RuleSettings], bool]] = {
    "json": _breaks_json,
    "schema": _breaks_schema,
    "tool_call": _breaks_tool_call,
    "code": _breaks_code,
    "refusal": _breaks_refusal,
    "empty": _breaks_empty,
    "cut": _breaks_cut,
}


def _value(text: str) -> tuple[Any] | None:
    """The JSON value of a text, also within a fence; None if it is none."""
    found = _FENCE.search(text)
    try:
        return (json.loads(found[2] if found else text),)
    except (ValueError, RecursionError):
        return None


class _TooLong(Exception):
    """A schema takes too many steps."""


_steps = local()
"""How many steps are left to the thread's present check."""


@cache
def _validator() -> Any:
    """Class that checks values, of the extra ``judges``, without what a client could abuse.

    Its regular expressions can take hours, so that they are left out, and every step counts.
    """
    with needs("judges", "a rule with a JSON schema"):
        from jsonschema import Draft202012Validator
        from jsonschema.validators import extend
    checks = {name: _counted(check) for name, check in Draft202012Validator.VALIDATORS.items()}
    left_out = ("pattern", "patternProperties", "unevaluatedItems", "unevaluatedProperties")
    checks |= dict.fromkeys(left_out, _anything)
    checks["additionalProperties"] = _without_patterns(checks["additionalProperties"])
    return extend(Draft202012Validator, checks)


def _anything(*_: Any) -> Iterator[Any]:
    return iter(())


def _without_patterns(check: Callable[..., Any]) -> Callable[..., Any]:
    """Let ``additionalProperties`` pass beside regular expressions, which it would use."""

    def passing(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if "patternProperties" in schema:
            return iter(())
        return iter(check(validator, value, instance, schema))

    return passing


def _counted(check: Callable[..., Any]) -> Callable[..., Any]:
    """Check a keyword, and count what it may take: one step, and one for each part of it."""

    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        _steps.left -= 1 + (len(value) if isinstance(value, list | dict) else 0)
        if "uniqueItems" in schema and isinstance(instance, list):
            # It compares all pairs; ten comparisons take about as long as a step.
            _steps.left -= len(instance) ** 2 // 10
        if _steps.left < 0:
            raise _TooLong
        yield from check(validator, value, instance, schema) or ()

    return counted


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value fits a schema; every value fits one that is no schema, or takes too long."""
    from jsonschema.exceptions import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    faults = (SchemaError, Unresolvable, RecursionError, ValueError, TypeError, AttributeError)
    _steps.left = _MAX_STEPS
    try:
        # Without a registry, references to addresses would be fetched.
        return bool(_validator()(schema, registry=Registry()).is_valid(value))
    except (*faults, _TooLong):
        return True


def _blocks(text: str) -> Iterator[tuple[Callable[[str], bool], str]]:
    """Fenced blocks in a language that can be parsed, each with its test."""
    for language, code in _FENCE.findall(text):
        name = language.lower()
        if name in ("python", "py", "python3"):
            yield _is_python, code
        elif name == "json":
            yield _is_json, code


def _is_python(code: str) -> bool:
    lines = code.splitlines()
    if any(line.startswith((">>> ", "... ", "%", "!")) for line in lines):
        # A session, or a cell of a notebook.
        return True
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _is_json(code: str) -> bool:
    try:
        json.loads(code)
    except (ValueError, RecursionError):
        return False
    return True
