"""Configuration files of clients: set some values, keep everything else as it is.

Settings are nested dictionaries. A dictionary is merged into the file's, key by key; a list of
dictionaries that have a ``name`` is merged by these names; any other value replaces the file's.
"""

from __future__ import annotations

import difflib
import importlib
import io
import json
import re
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence
from pathlib import Path
from typing import Any, NamedTuple

from floorline._files import writing_whole
from floorline.errors import ConfigError

MAX_FILE = 2**22
"""Bytes of the largest file that is read: 4 MiB, far more than settings written by hand."""
_BACKUP = ".before-floorline"
_INDENT = re.compile(r"^([ \t]+)\S", re.MULTILINE)
_UNDER_KEY = re.compile(r"^( *)(?:- )?[^\s#-][^\n]*:[ ]*\n( *)(- )?\S", re.MULTILINE)
_VARIABLE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=")
_NAMED = r"\$|\{env:|printenv |[A-Z]+(?:_[A-Z]+)+(?![^\s\"',}])"
"""Begins of values that name the variable of a secret, in the forms of the clients."""
_SECRET = re.compile(
    r"((?i:key|token|secret|password)[\w.-]{0,64}[\"']?[ \t]{0,8}[:=][ \t]{0,8})"
    rf"(?![\"']?(?:{_NAMED}))(\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[^\s\"'{{\[,}}][^\s,}}]*)"
)
"""A name that is probably that of a secret, and its value."""


class Change(NamedTuple):
    """What a file is to hold.

    Attributes
    ----------
    path : Path
        The file; a symbolic link is followed.
    before : str, optional
        What it holds; None if there is no file.
    after : str
        What it is to hold.
    """

    path: Path
    before: str | None
    after: str

    @property
    def needed(self) -> bool:
        """Whether the file does not say all of it yet."""
        return self.before != self.after

    def diff(self) -> str:
        """Return the change as a unified diff, without the values that are probably secrets."""
        before = (self.before or "").splitlines(keepends=True)
        after = self.after.splitlines(keepends=True)
        name = str(self.path)
        lines = difflib.unified_diff(before, after, name, name, n=1)
        text = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
        return _SECRET.sub(r"\1…", text)

    def write(self) -> Path | None:
        """Write the file, and return where the old one is kept; None if there was none."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = None
        mode = None
        if self.before is not None:
            kept = _free_name(self.path)
            mode = self.path.stat().st_mode & 0o777
            _write(kept, self.before, mode)
        _write(self.path, self.after, mode)
        return kept


def merged(path: Path, kind: str, settings: dict[str, Any], fresh: Mapping[str, Any]) -> Change:
    """Return what a file is to hold so that it has these settings too.

    Parameters
    ----------
    path
        The file, which need not exist.
    kind
        Its form: ``"json"``, ``"toml"``, ``"yaml"`` or ``"env"``.
    settings
        What it is to say.
    fresh
        What a new file says besides.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a setting has another form there.
    """
    try:
        path = path.resolve()
    except (OSError, RuntimeError):
        raise _unreadable(path, "is a symbolic link that leads to itself") from None
    before = _read(path)
    if before is None or not before.strip():
        return Change(path, before, text_of(kind, {**fresh, **settings}))
    return Change(path, before, _FORMS[kind](path, before, settings))


def text_of(kind: str, settings: dict[str, Any]) -> str:
    """Write settings alone."""
    return _FORMS[kind](Path(), "", settings)


def _read(path: Path) -> str | None:
    if path.exists() and not path.is_file():
        raise _unreadable(path, "is a folder or a device, and no file")
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except FileNotFoundError:
        return None
    if len(data) > MAX_FILE:
        raise _unreadable(path, f"has more than {MAX_FILE:,} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _unreadable(path, "is no text in UTF-8") from None
    if "\0" in text:
        raise _unreadable(path, "is no text")
    return text


def _write(path: Path, text: str, mode: int | None) -> None:
    # The content may be secret, so that it is never readable by more users than before.
    with writing_whole(path, private=True) as stream:
        stream.write(text.encode())
    if mode is not None:
        path.chmod(mode)


def _free_name(path: Path) -> Path:
    number = 1
    kept = path.with_name(path.name + _BACKUP)
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}{_BACKUP}-{number}")
    return kept


def _unreadable(path: Path, what: str) -> ConfigError:
    fix = "add what this command prints without --write by hand"
    return ConfigError([f"{path}: {what}: {fix}"])


def _merge(path: Path, into: Any, settings: dict[str, Any], where: str = "") -> bool:
    """Lay settings over those of a file; return whether something changed."""
    if not isinstance(into, MutableMapping):
        raise _unreadable(path, f"{where} is no table of settings".lstrip())
    changed = False
    for name, value in settings.items():
        place = f"{where}.{name}" if where else name
        known = into.get(name)
        if known is not None and isinstance(value, dict):
            changed |= _merge(path, known, value, place)
        elif known is not None and _is_named(value):
            changed |= _merge_named(path, known, value, place)
        elif known != value or isinstance(known, bool) != isinstance(value, bool):
            into[name] = value
            changed = True
    return changed


def _is_named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _merge_named(path: Path, into: Any, entries: list[dict[str, Any]], where: str) -> bool:
    if not isinstance(into, MutableSequence):
        raise _unreadable(path, f"{where} is no list")
    changed = False
    for entry in entries:
        for known in into:
            if isinstance(known, MutableMapping) and known.get("name") == entry["name"]:
                changed |= _merge(path, known, entry, where)
                break
        else:
            into.append(entry)
            changed = True
    return changed


def _json(path: Path, text: str, settings: dict[str, Any]) -> str:
    try:
        document = json.loads(text or "{}")
    except (ValueError, RecursionError):
        # Several clients also take comments, which a rewritten file would lose.
        raise _unreadable(path, "is no JSON without comments") from None
    if not _merge(path, document, settings) and text:
        return text
    found = _INDENT.search(text)
    return json.dumps(document, indent=found[1] if found else 2, ensure_ascii=False) + "\n"


def _toml(path: Path, text: str, settings: dict[str, Any]) -> str:
    tomlkit: Any = importlib.import_module("tomlkit")
    try:
        document = tomlkit.parse(text)
    except (tomlkit.exceptions.TOMLKitError, RecursionError):
        raise _unreadable(path, "is no TOML") from None
    _merge(path, document, settings)
    written: str = tomlkit.dumps(document)
    return written


def _yaml(path: Path, text: str, settings: dict[str, Any]) -> str:
    ruamel: Any = importlib.import_module("ruamel.yaml")
    yaml = ruamel.YAML()
    yaml.preserve_quotes = True
    yaml.width = MAX_FILE
    _keep_indentation(yaml, text)
    try:
        document = yaml.load(text or "{}")
    except (ruamel.error.YAMLError, RecursionError):
        raise _unreadable(path, "is no YAML") from None
    if not text:
        document.fa.set_block_style()
    if not _merge(path, document, settings) and text:
        return text
    written = io.StringIO()
    yaml.dump(document, written)
    return written.getvalue()


def _keep_indentation(yaml: Any, text: str) -> None:
    """Let YAML be written as the file is indented; new files have two spaces, for lists too."""
    mapping, offset = 0, -1
    for above, below, item in _UNDER_KEY.findall(text):
        deeper = len(below) - len(above)
        if item and offset < 0 <= deeper:
            offset = deeper
        elif not item and not mapping and deeper > 0:
            mapping = deeper
    offset = 2 if offset < 0 else offset
    yaml.indent(mapping=mapping or 2, sequence=offset + 2, offset=offset)


def _env(path: Path, text: str, settings: dict[str, Any]) -> str:
    lines = text.splitlines()
    missing = dict(settings)
    for number, line in enumerate(lines):
        found = _VARIABLE.match(line)
        if found is not None and found[1] in settings:
            lines[number] = f"{line[: found.end()]}{settings[found[1]]}"
            missing.pop(found[1], None)
    lines += [f"{name}={value}" for name, value in missing.items()]
    return "\n".join([*lines, ""])


_FORMS: dict[str, Callable[[Path, str, dict[str, Any]], str]] = {
    "json": _json,
    "toml": _toml,
    "yaml": _yaml,
    "env": _env,
}
