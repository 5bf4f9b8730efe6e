"""A YAML file as plain data, with the line on which every value stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from floorline.config.interpolation import BadReference, interpolate, is_one_reference
from floorline.config.places import Place, Problem, quoted, shown
from floorline.errors import ConfigError

# libyaml's parser is ten times as fast; builds of PyYAML without it exist.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_TYPED = {_TAG + name for name in ("null", "bool", "int", "float")}
_TEXTS = {_TAG + name for name in ("str", "timestamp", "value", "merge")}
_MOST_VALUES = 100_000


class Document:
    """What a file says.

    Attributes
    ----------
    data
        Mappings, lists and scalars, references to the environment filled in.
    templates
        The text that stands in the file, of every value that was filled in: variables may hold
        secrets, so messages show this instead of the value.
    problems
        What is wrong with the YAML itself.
    """

    def __init__(self, text: str, name: str, environ: Mapping[str, str]) -> None:
        self.name = name
        self.templates: dict[Place, str] = {}
        self.problems: list[Problem] = []
        self._environ = environ
        self._lines: dict[Place, int] = {}
        self._open: set[int] = set()
        self.data: Any = None
        try:
            self._loader = _Loader(text)
            node = self._loader.get_single_node()
            if node is not None:
                self.data = self._value(node, ())
        except yaml.MarkedYAMLError as error:
            raise ConfigError([_syntax(error, text, name)]) from None
        except (yaml.YAMLError, RecursionError, UnicodeError) as error:
            deep = isinstance(error, RecursionError)
            reason = "nested too deeply, or in itself" if deep else " ".join(str(error).split())
            raise ConfigError([f"{name}: not readable as YAML: {reason}"]) from None
        if self.data is None:
            raise ConfigError([f"{name}: the file is empty: give at least models and slas"])
        if not isinstance(self.data, dict):
            kind = "list" if isinstance(self.data, list) else "single value"
            raise ConfigError(
                [f"{name}:1: the file is a {kind}: write fields such as 'models:' and 'slas:'"]
            )

    def line(self, place: Place) -> int:
        """Line of a value, or of the nearest thing around it that the file has."""
        while place not in self._lines and place:
            place = place[:-1]
        return self._lines.get(place, 1)

    def message(self, problem: Problem) -> str:
        """One line that says where, what and how to mend it."""
        where = shown(problem.place)
        return f"{self.name}:{self.line(problem.place)}: {where} {problem.wrong}: {problem.fix}"

    def refuse(self, problems: list[Problem]) -> None:
        """Raise ConfigError with these problems, in the order of the file, if there are any."""
        if problems:
            ordered = sorted(problems, key=lambda problem: self.line(problem.place))
            raise ConfigError(list(dict.fromkeys(self.message(p) for p in ordered)))

    def _value(self, node: yaml.Node, place: Place) -> Any:
        self._lines.setdefault(place, node.start_mark.line + 1)
        if len(self._lines) > _MOST_VALUES or id(node) in self._open:
            raise RecursionError
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._value(item, (*place, n)) for n, item in enumerate(node.value)]
            return self._mapping(node, place)
        finally:
            self._open.remove(id(node))

    def _mapping(self, node: yaml.Node, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                here = (*place, f"line {line}")
                self._lines[here] = line
                self._wrong(here, "has a name of several values", "give a plain name")
                continue
            # A name is the text that stands there: YAML would read 'on' as true.
            name = key.value
            here = (*place, name)
            if name in found:
                first = self._lines[here]
                self._lines[here] = line
                self._wrong(here, f"is given twice, first on line {first}", "remove one of them")
                continue
            self._lines[here] = line
            found[name] = self._value(value, here)
        return found

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        if node.tag in _TYPED:
            try:
                return self._loader.construct_object(node)
            except ValueError:
                self._wrong(place, f"is {quoted(node.value)}", "put it in quotes")
                return None
        text: str = node.value
        if node.tag not in _TEXTS:
            self._wrong(place, f"has the tag {node.tag}", "remove the tag; plain values are read")
            return text
        if "$" not in text:
            return text
        self.templates[place] = text
        try:
            filled = interpolate(text, self._environ)
        except BadReference as error:
            self._wrong(place, f"is {quoted(text)}", str(error))
            return text
        # So that ${NAME:-} leaves an optional field empty.
        return None if not filled and is_one_reference(text) else filled

    def _wrong(self, place: Place, wrong: str, fix: str) -> None:
        self.problems.append(Problem(place, wrong, fix))


def _syntax(error: yaml.MarkedYAMLError, text: str, name: str) -> str:
    mark = error.problem_mark or error.context_mark
    line = 1 if mark is None else mark.line + 1
    lines = text.splitlines()
    content = lines[line - 1] if line <= len(lines) else ""
    if "\t" in content[: len(content) - len(content.lstrip())]:
        return f"{name}:{line}: a tab begins the line: indent with spaces"
    reason = " ".join(filter(None, (error.context, error.problem)))
    return f"{name}:{line}: not readable as YAML ({reason}): check indentation, colons and quotes"
