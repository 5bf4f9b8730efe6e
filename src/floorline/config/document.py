"""A YAML file as plain data: environment variables filled in, and the line of every value."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import yaml

from floorline import errors
from floorline._bounded import TooLarge, check_yaml
from floorline.config.variables import NAME, variable
from floorline.errors import ConfigError

# libyaml's parser is ten times as fast; some builds of PyYAML lack it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_TYPED = {_TAG + name for name in ("null", "bool", "int", "float")}
_TEXTS = {_TAG + name for name in ("str", "timestamp", "value", "merge")}
_MERGE = _TAG + "merge"
_ODD_SPACES = frozenset("\u00a0\u2002\u2003\u2009\u202f\u3000\u200b")
"""What looks like a space, which is none in YAML."""
_MAX_NAME = 80
"""Characters of a name that a message repeats."""

_REFERENCE = re.compile(r"\$\$|\$\{(?P<body>[^{}]*)\}|\$\{")

Location = tuple[str | int, ...]
"""Path of a value from the top of the file: names of fields and positions in lists."""


class Problem(NamedTuple):
    """A rule that the file breaks: where, what is wrong there, and how to correct it."""

    location: Location
    wrong: str
    fix: str


class BadReference(ValueError):
    """A reference to the environment that cannot be resolved; its text is the fix."""


class Document:
    """The content of a configuration file.

    Parameters
    ----------
    text
        The YAML text.
    name
        Name of the file in messages.
    environ
        Environment variables for ``${NAME}``.

    Attributes
    ----------
    data
        Mappings, lists and scalars, with references to the environment filled in.
    templates
        The original text of every value that had a reference. A variable may hold a secret, so
        messages show this text and not the value.
    problems
        Rules of YAML that the file breaks.

    Raises
    ------
    ConfigError
        If the text is no YAML mapping.
    """

    def __init__(self, text: str, name: str, environ: Mapping[str, str]) -> None:
        self.name = name
        self.templates: dict[Location, str] = {}
        self.problems: list[Problem] = []
        self._environ = environ
        self._lines: dict[Location, int] = {}
        self._open: set[int] = set()
        self.data: Any = None
        try:
            # The composer recurses in C, which no exception would stop.
            check_yaml(text)
            self._loader = _Loader(text)
            node = self._loader.get_single_node()
            if node is not None:
                self.data = self._value(node, ())
        except yaml.MarkedYAMLError as error:
            raise ConfigError([_syntax_error(error, text, name)]) from None
        except (yaml.YAMLError, TooLarge, RecursionError, UnicodeError) as error:
            if isinstance(error, RecursionError):
                reason = "an anchor contains itself"
            else:
                reason = " ".join(str(error).split())
            raise ConfigError(
                [f"{name}: not readable as YAML ({reason}): write plain fields and lists"]
            ) from None
        if self.data is None:
            raise ConfigError([f"{name}: the file is empty: give at least models and slas"])
        if not isinstance(self.data, dict):
            kind = "list" if isinstance(self.data, list) else "single value"
            raise ConfigError(
                [f"{name}:1: the file is a {kind}: write fields such as 'models:' and 'slas:'"]
            )

    def line(self, location: Location) -> int:
        """Line of a value, or of the nearest value around it that is in the file."""
        while location not in self._lines and location:
            location = location[:-1]
        return self._lines.get(location, 1)

    def message(self, problem: Problem) -> str:
        """Write a problem as one line: where it is, what is wrong, how to correct it."""
        where = shown(problem.location)
        line = self.line(problem.location)
        return f"{self.name}:{line}: {where} {problem.wrong}: {problem.fix}"

    def refuse(self, problems: list[Problem]) -> None:
        """Raise ConfigError with these problems, in the order of the file, if there are any."""
        if problems:
            ordered = sorted(problems, key=lambda problem: self.line(problem.location))
            raise ConfigError(list(dict.fromkeys(self.message(p) for p in ordered)))

    def _value(self, node: yaml.Node, location: Location) -> Any:
        self._lines.setdefault(location, node.start_mark.line + 1)
        if id(node) in self._open:
            raise RecursionError
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, location)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._value(item, (*location, n)) for n, item in enumerate(node.value)]
            return self._mapping(node, location)
        finally:
            self._open.remove(id(node))

    def _mapping(
        self, node: yaml.Node, location: Location, taken: Collection[str] = ()
    ) -> dict[str, Any]:
        """Read a mapping, without the names that are ``taken`` by the one it is merged into."""
        found: dict[str, Any] = {}
        merged: yaml.Node | None = None
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                here = (*location, f"line {line}")
                self._lines[here] = line
                self._wrong(here, "has a list or a mapping as its name", "give a plain name")
                continue
            # A name is the text in the file: YAML would read 'on' as true.
            name = key.value
            here = (*location, name)
            if key.tag == _MERGE and merged is None:
                self._lines[here] = line
                merged = value
                continue
            if name in taken:
                continue
            if name in found:
                first = self._lines[here]
                self._lines[here] = line
                self._wrong(here, f"is given twice, first on line {first}", "remove one of them")
                continue
            self._lines[here] = line
            found[name] = self._value(value, here)
        if merged is not None:
            self._merge(merged, found, location)
        return found

    def _merge(self, node: yaml.Node, found: dict[str, Any], location: Location) -> None:
        """Add the fields of ``<<: *name`` or ``<<: [*name, ...]`` that are not there yet."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                if not _is_null(part):
                    fix = "name a group of fields, as in <<: *name, or a list of them"
                    self._wrong((*location, "<<"), "is no group of fields", fix)
                continue
            if id(part) in self._open:
                raise RecursionError
            self._open.add(id(part))
            for name, value in self._mapping(part, location, taken=found).items():
                found.setdefault(name, value)
            self._open.remove(id(part))

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Any:
        if node.tag in _TYPED:
            try:
                return self._loader.construct_object(node)
            except ValueError:
                self._wrong(location, f"is {quoted(node.value)}", "put it in quotes")
                return None
        text: str = node.value
        if node.tag not in _TEXTS:
            fix = "remove the tag; only plain values are read"
            self._wrong(location, f"has the tag {node.tag}", fix)
            return text
        if "$" not in text:
            return text
        self.templates[location] = text
        try:
            filled = interpolate(text, self._environ)
        except BadReference as error:
            self._wrong(location, f"is {quoted(text)}", str(error))
            return text
        # ${NAME:-} leaves an optional field empty.
        return None if not filled and is_one_reference(text) else filled

    def _wrong(self, location: Location, wrong: str, fix: str) -> None:
        self.problems.append(Problem(location, wrong, fix))


def shown(location: Location) -> str:
    """Write a location as people do.

    Examples
    --------
    >>> shown(("models", 2, "timeouts", "connect"))
    'models[2].timeouts.connect'
    """
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if len(part) <= _MAX_NAME else part[: _MAX_NAME - 3] + "..."
            text += f".{name}" if text else name
    return text or "all of it"


def quoted(value: object) -> str:
    """Write a value as it is in the file, cut to a readable length."""
    if value is None:
        return "empty"
    return str(value).lower() if isinstance(value, bool) else errors.abbreviated(value)


def interpolate(text: str, environ: Mapping[str, str]) -> str:
    """Fill in ``${NAME}`` and ``${NAME:-default}``; ``$$`` is one dollar sign.

    A default applies to a variable that is unset or empty, as in a shell.

    Raises
    ------
    BadReference
        If a variable is unset and has no default, or a reference is malformed.

    Examples
    --------
    >>> interpolate("http://${HOST}:${PORT:-8000}/v1", {"HOST": "localhost"})
    'http://localhost:8000/v1'
    >>> interpolate("$$5", {})
    '$5'
    """

    def fill(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, has_default, default = (match["body"] or "").partition(":-")
        if not NAME.fullmatch(name):
            raise BadReference("write ${NAME} or ${NAME:-default}; for a dollar sign write $$")
        value = variable(name, environ)
        if has_default:
            return value or default
        if name not in environ:
            raise BadReference(
                f"set the environment variable {name}, or write ${{{name}:-default}}"
            )
        return value

    return _REFERENCE.sub(fill, text)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "null"


def is_one_reference(text: str) -> bool:
    """Whether a text is exactly one reference."""
    match = _REFERENCE.fullmatch(text)
    return match is not None and match["body"] is not None


def _syntax_error(error: yaml.MarkedYAMLError, text: str, name: str) -> str:
    mark = error.problem_mark or error.context_mark
    line = 1 if mark is None else mark.line + 1
    lines = text.splitlines()
    content = lines[line - 1] if line <= len(lines) else ""
    if "\t" in content[: len(content) - len(content.lstrip())]:
        return f"{name}:{line}: the line begins with a tab: indent with spaces"
    # The parser stops on the line after it.
    for number in (line, line - 1):
        near = lines[number - 1] if 0 < number <= len(lines) else ""
        for odd in _ODD_SPACES.intersection(near):
            fix = "replace it by a space; web pages and word processors write it"
            what = f"the line has a space of another kind (U+{ord(odd):04X})"
            return f"{name}:{number}: {what}: {fix}"
    reason = " ".join(filter(None, (error.context, error.problem)))
    return f"{name}:{line}: not readable as YAML ({reason}): check indentation, colons and quotes"
