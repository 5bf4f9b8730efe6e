"""Rules: tests of a response that need no model."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from floorline._extras import needs
from floorline.config.judging import RuleKind, RuleSettings
from floorline.gateway.judging.transcripts import Transcript

_FENCE = re.compile(r"^```[ \t]*([\w+-]*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_REFUSES = re.compile(
    r"^\W*(i(?:'|\u2019)?m (?:really |very )?sorry|sorry|i cannot|i can(?:'|\u2019)?t|"
    r"i won(?:'|\u2019)?t|i(?:'|\u2019)?m (?:unable|not able)|as an ai)\b",
    re.IGNORECASE,
)
_MAX_REFUSAL = 400
"""Characters of a response that begins like a refusal and is one; a longer one goes on to help."""
_MAX_CODE = 200_000
"""Characters of code that are parsed."""
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


@cache
def _validator() -> Any:
    """Class that checks values, of the extra ``judges``, without what a client could abuse.

    Its regular expressions can take hours, so that they are left out.
    """
    with needs("judges", "a rule with a JSON schema"):
        from jsonschema import Draft202012Validator
        from jsonschema.validators import extend
    return extend(Draft202012Validator, {"pattern": _anything, "patternProperties": _anything})


def _anything(*_: Any) -> Iterator[Any]:
    return iter(())


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value fits a schema; every value fits one that is no schema itself."""
    from jsonschema.exceptions import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        # Without a registry, references to addresses would be fetched.
        return bool(_validator()(schema, registry=Registry()).is_valid(value))
    except (SchemaError, Unresolvable, RecursionError, ValueError, TypeError, AttributeError):
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
