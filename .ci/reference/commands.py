"""The page of the command line, from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

from floorline._markdown import markdown_table
from floorline.cli.app import COMMANDS, load_command

_HEAD = """# Commands

<!-- Written by `python .ci/reference` from the commands; change their help instead. -->

The option `--help` of a command prints the same. Every error is one line with a fix and ends with
exit code 2. Each command needs an [extra](installation.md), which it names if it is missing.
"""
_OF_TYPER = {"help", "install_completion", "show_completion"}
"""Options that every command has."""
_TYPES = {"str": "text", "Path": "path", "float": "number", "int": "whole number"}


def page() -> str:
    """Return the page."""
    rows = [
        (f"[`floorline {name}`](#floorline-{name})", _cell(known.help), f"`{known.extra}`")
        for name, known in COMMANDS.items()
    ]
    parts = [_HEAD, markdown_table(("command", "what it does", "extra"), rows, left=(0, 1, 2)), ""]
    for name in COMMANDS:
        parts += _command(f"floorline {name}", load_command(name), "##")
    return "\n".join(parts)


def _command(name: str, command: Any, level: str) -> Iterator[str]:
    yield f"{level} {name}\n"
    yield f"{_prose(command.help)}\n"
    inner = getattr(command, "commands", {})
    if inner:
        for below, one in inner.items():
            yield from _command(f"{name} {below}", one, level + "#")
        return
    shown = [one for one in command.params if not one.hidden and one.name not in _OF_TYPER]
    arguments = [one for one in shown if _is_argument(one)]
    words = [name, *(_argument_in_usage(one) for one in arguments)]
    words += ["[OPTIONS]"] if len(arguments) < len(shown) else []
    yield f"Usage: `{' '.join(words)}`\n"
    if shown:
        rows = [(_name(one), _cell(one.help or "") + _default(one)) for one in shown]
        yield markdown_table(("argument or option", "meaning"), rows, left=(0, 1)) + "\n"


def _is_argument(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


def _argument_in_usage(parameter: Any) -> str:
    name = parameter.name.upper() + ("..." if parameter.nargs != 1 else "")
    return name if parameter.required else f"[{name}]"


def _name(parameter: Any) -> str:
    if _is_argument(parameter):
        return f"`{parameter.name.upper()}`"
    options = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    kind = _kind(parameter)
    return f"{options} {kind}" if kind else options


def _kind(parameter: Any) -> str:
    if parameter.is_flag or parameter.count:
        return ""
    annotation = parameter.type_descriptor.annotation
    inner = get_args(annotation)
    name = getattr(inner[0] if inner else annotation, "__name__", "text")
    repeated = ", repeatable" if parameter.multiple else ""
    return f"({_TYPES.get(name, name)}{repeated})"


def _default(parameter: Any) -> str:
    default = parameter.default
    if parameter.required:
        return " Required."
    if "[default:" in (parameter.help or "") or not parameter.show_default:
        return ""
    if default is None or default is False or callable(default) or default in ("", [], ()):
        return ""
    return f" Default: `{'on' if default is True else default}`."


def _cell(text: str) -> str:
    """Return a help text as one line of a table."""
    line = " ".join(text.split()).replace("|", r"\|")
    line = re.sub(r"\[default: ([^\]]+)\]", r"Default: \1.", line)
    return _escaped(line)


def _prose(text: str) -> str:
    return _escaped(re.sub(r"(?<!\n)\n(?!\n)", " ", text.strip()))


def _escaped(text: str) -> str:
    """Return a text whose words in quotes and names in capitals are shown as they are."""
    text = re.sub(r"(?<!\w)'([^'\s][^']*)'(?!\w)", r"`\1`", text)
    text = re.sub(r"(?<![\w/`(])docs/([\w-]+\.md)", r"[\1](\1)", text)
    return re.sub(r"(?<![`\w])([<*_])(?![`])", r"\\\1", text)
