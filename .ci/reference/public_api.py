"""The page of the Python API, from the docstrings of what ``floorline`` exports."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

from docstrings import Docstring, as_line, as_markdown, fields, parse

import floorline
from floorline import errors
from floorline._markdown import markdown_table

_HEAD = """# Python

<!-- Written by `python .ci/reference` from the docstrings; change those instead. -->

What `from floorline import …` gives, and its errors. Types are those of the annotations; the
package has `py.typed`, so type checkers know them too.
"""
_GROUPS = {
    "Routing": ("Router", "Zoo", "Model", "CallLimits", "SLA", "Budget", "RequestContext"),
    "What comes back": (
        "Decision",
        "Outcome",
        "Feedback",
        "Status",
        "SlaTotals",
        "SenderRow",
        "Certificate",
        "BudgetStatus",
        "ModelOutlook",
        "Explanation",
        "LabelSums",
        "DecisionRecord",
    ),
    "Policies and their parts": (
        "Policy",
        "Request",
        "Choice",
        "Bar",
        "ModelEstimates",
        "ModelChanges",
        "History",
        "Encoder",
        "Judge",
    ),
    "Logs and data": ("EventLog", "MemoryLog", "RoutingTable", "SparseFeatures"),
}
"""Names in the order of the page; names in none of these groups come last."""
_MODULE = re.compile(r"\b(?:floorline|collections|typing|numpy|pathlib)\.(?:\w+\.)*(?=[A-Z])")


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for title, names in _groups().items():
        parts.append(f"## {title}\n")
        for name in names:
            parts += _class(name, getattr(floorline, name))
    parts.append("## Errors\n")
    parts.append(f"{as_markdown(errors.__doc__ or '')}\n")
    rows = [
        (f"`{name}`", f"`{kind.__mro__[1].__name__}`", as_line(parse(kind.__doc__).text))
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, Exception)
    ]
    header = ("of `floorline.errors`", "is a", "meaning")
    parts += [markdown_table(header, rows, left=range(3)), ""]
    return "\n".join(parts)


def _groups() -> dict[str, tuple[str, ...]]:
    known = {name for names in _GROUPS.values() for name in names}
    rest = [name for name in floorline.__all__ if name not in known | {"__version__", "errors"}]
    return {**_GROUPS, **({"More": tuple(rest)} if rest else {})}


def _class(name: str, kind: Any) -> Iterator[str]:
    yield f"### {name}\n"
    written = parse(kind.__doc__)
    yield f"{as_markdown(written.text)}\n"
    if not _is_protocol(kind):
        yield f"```text\n{_signature(name, kind)}\n```\n"
    yield from _sections(written, name)
    for member, value in _members(kind):
        yield from _member(f"{name}.{member}", value)


def _is_protocol(kind: Any) -> bool:
    return bool(getattr(kind, "_is_protocol", False)) or inspect.isabstract(kind)


def _members(kind: Any) -> Iterator[tuple[str, Any]]:
    """Return the public methods and properties that the package itself documents."""
    seen = set()
    for owner in kind.__mro__:
        if not owner.__module__.startswith("floorline"):
            continue
        for name, value in vars(owner).items():
            if name.startswith("_") or name in seen:
                continue
            seen.add(name)
            inner = getattr(value, "__func__", value)
            if isinstance(inner, property) or inspect.isfunction(inner):
                yield name, value


def _member(name: str, value: Any) -> Iterator[str]:
    yield f"#### {name}\n"
    inner = getattr(value, "__func__", value)
    if isinstance(inner, property):
        returned = inspect.signature(inner.fget).return_annotation if inner.fget else ""
        yield f"Property: `{_annotation(returned)}`\n"
        written = parse(inner.__doc__)
    else:
        yield f"```text\n{_signature(name.rpartition('.')[2], inner)}\n```\n"
        written = parse(inner.__doc__)
    yield f"{as_markdown(written.text)}\n"
    yield from _sections(written, name.partition(".")[0])


def _signature(name: str, value: Any) -> str:
    signature = inspect.signature(value)
    shown = []
    previous = None
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        kind = parameter.kind
        if kind is parameter.KEYWORD_ONLY and previous not in (
            parameter.KEYWORD_ONLY,
            parameter.VAR_POSITIONAL,
        ):
            shown.append("*")
        previous = kind
        shown.append(_parameter(parameter))
    returned = ""
    if not inspect.isclass(value) and signature.return_annotation is not signature.empty:
        returned = f" -> {_annotation(signature.return_annotation)}"
    line = f"{name}({', '.join(shown)}){returned}"
    if len(line) <= 96:
        return line
    return f"{name}(\n" + "".join(f"    {one},\n" for one in shown) + f"){returned}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
    text = stars.get(parameter.kind, "") + parameter.name
    if parameter.annotation is not parameter.empty:
        text += f": {_annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        text += f" = {_default(parameter.default)}"
    return text


def _default(value: Any) -> str:
    """Return a default as code; what has no short form that stays the same is three dots."""
    if callable(value) or dataclasses.is_dataclass(value):
        return getattr(value, "__name__", "...")
    text = repr(value)
    return "..." if " at 0x" in text or "<" in text or len(text) > 40 else text


def _annotation(value: Any) -> str:
    if value is None or value is type(None):
        return "None"
    text = value if isinstance(value, str) else inspect.formatannotation(value)
    return _MODULE.sub("", text)


def _sections(written: Docstring, name: str) -> Iterator[str]:
    for title, text in written.sections.items():
        yield f"**{title}**\n"
        if title in ("Parameters", "Attributes", "Returns", "Raises", "Yields"):
            yield _fields(text) + "\n"
        elif title == "Examples":
            yield _examples(text, name) + "\n"
        else:
            yield f"{as_markdown(text)}\n"


def _fields(text: str) -> str:
    """Return a list of the names of a section, each with its text."""
    return "\n".join(
        f"- `{name}`: {about}" if about else f"- {as_line(name)}" for name, about in fields(text)
    )


def _examples(text: str, name: str) -> str:
    """Return examples, whose doctests stand in blocks of code and import the class they show."""
    blocks: list[str] = []
    if f"{name}(" in text and not re.search(rf"import .*\b{name}\b", text):
        text = f">>> from floorline import {name}\n{text.strip()}"
    for part in re.split(r"\n{2,}", text.strip()):
        if part.lstrip().startswith(">>>"):
            blocks.append(f"```python\n{part}\n\n```")
        else:
            blocks.append(as_markdown(part))
    return "\n\n".join(blocks)
