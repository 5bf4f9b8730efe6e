"""Tools that Anthropic's models know without a description and that the client runs.

Other models get them as functions, with the parameters of Anthropic's documentation. Their calls
have the same names and arguments, so the client does not see a difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXT = {"type": "string"}
_LINES = {
    "type": "array",
    "items": {"type": "integer"},
    "description": "First and last line to view, from 1; -1 is the last line of the file.",
}
_AFTER = {"type": "integer", "description": "Line after which to insert; 0 is the beginning."}
_OLD_EDITORS = frozenset({"text_editor_20241022", "text_editor_20250124"})
"""Editors whose text to insert is called as the one that replaces another."""


def _schema(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _commands(*names: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(names)}


_BASH = (
    "Run a command in a shell that keeps its state between calls.",
    _schema(
        [],
        command={**_TEXT, "description": "The command; left out to restart the shell."},
        restart={"type": "boolean", "description": "Whether to restart the shell."},
    ),
)
_EDITS = {
    "path": {**_TEXT, "description": "Path of the file or folder."},
    "view_range": _LINES,
    "file_text": {**_TEXT, "description": "Text of the file to create."},
    "old_str": {**_TEXT, "description": "Text to replace, which is in the file exactly once."},
    "new_str": {**_TEXT, "description": "Text in its place."},
    "insert_line": _AFTER,
}
_INSERTED = {"insert_text": {**_TEXT, "description": "Text to insert."}}
_EDITOR = "View, create and edit text files."
_MEMORY = (
    "Keep notes as files below /memories: look there before a task, and write down what later tasks"
    " need.",
    _schema(
        ["command"],
        command=_commands("view", "create", "str_replace", "insert", "delete", "rename"),
        **_EDITS,
        **_INSERTED,
        old_path={**_TEXT, "description": "Path to rename."},
        new_path={**_TEXT, "description": "Its new path."},
    ),
)


def as_function(kind: str) -> tuple[str, Mapping[str, Any]] | None:
    """Return description and parameters of a tool by its type; None if it is none of these.

    Examples
    --------
    >>> as_function("bash_20250124")[0]
    'Run a command in a shell that keeps its state between calls.'
    >>> as_function("web_search_20250305")
    """
    family = kind.rpartition("_")[0]
    if family == "bash":
        return _BASH
    if family == "memory":
        return _MEMORY
    if family != "text_editor":
        return None
    commands = _commands("view", "create", "str_replace", "insert")
    inserted = {} if kind in _OLD_EDITORS else _INSERTED
    return _EDITOR, _schema(["command", "path"], command=commands, **_EDITS, **inserted)
