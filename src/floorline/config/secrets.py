"""Keys and headers: texts on one line that no message shows, from the file or from beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError

from floorline._bounded import TooLarge, read_text
from floorline.config.document import quoted
from floorline.config.types import NOT_SHOWN, Fix, Text, cleaned, rule_error
from floorline.config.variables import NAME, unquoted, variable

_MAX_KEY_FILE = 64 * 1024
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that the HTTP client sets; servers refuse requests that have them twice."""


class LoadContext(NamedTuple):
    """What a file refers to.

    Attributes
    ----------
    environ
        Environment variables.
    folder
        Folder of the file, to which its relative paths are relative.
    """

    environ: Mapping[str, str]
    folder: Path

    @classmethod
    def of(cls, info: ValidationInfo) -> LoadContext:
        """Return the context of a validation; the process's own if it has none."""
        given = info.context
        return given if isinstance(given, cls) else cls(os.environ, Path())


def header_fault(text: str) -> tuple[str, str] | None:
    r"""Say why a text, without the space around it, is no value of an HTTP header.

    Returns
    -------
    What is wrong and how to correct it, without any part of the text; None if it is a value

    Examples
    --------
    >>> header_fault("sk-1"), header_fault("sk\n1")
    (None, ('has a line break inside', 'write it on one line'))
    """
    if not text:
        return "is empty", "give a text, or remove the field"
    if "\n" in text or "\r" in text:
        return "has a line break inside", "write it on one line"
    if not text.isascii():
        return "has a character that is not ASCII", "write it in ASCII"
    if not text.isprintable():
        return "has a control character inside", "remove it"
    return None


def _key_fault(text: str) -> tuple[str, str] | None:
    """Say why a text is no key; None if it is one."""
    if text.lower().startswith("bearer "):
        return "begins with Bearer", "give the key alone: calls add Bearer"
    if " " in text:
        return "has a space inside", "give one key"
    return header_fault(text)


def _refused(fault: tuple[str, str]) -> PydanticCustomError:
    wrong, fix = fault
    return rule_error(f"{wrong} (its value is not shown)", fix)


def header_name(name: str) -> str:
    """Return the name of a header that the HTTP client does not set itself."""
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError
    if name.lower() in OWN_HEADERS:
        raise rule_error(f"is {quoted(name)}", "remove it: the HTTP client sets this header")
    return name


def _header_value(value: SecretStr) -> SecretStr:
    fault = header_fault(value.get_secret_value())
    if fault is not None:
        raise _refused(fault)
    return value


def _key(value: SecretStr) -> SecretStr:
    key = unquoted(value.get_secret_value())
    fault = _key_fault(key)
    if fault is not None:
        raise _refused(fault)
    return SecretStr(key)


def variable_name(name: str) -> str:
    """Return the name of an environment variable."""
    if not NAME.fullmatch(name):
        # Often the key itself.
        fix = "give the name of an environment variable, without $"
        raise rule_error(NOT_SHOWN, fix)
    return name


def _set_variable(name: str, info: ValidationInfo) -> str:
    variable_name(name)
    value = variable(name, LoadContext.of(info).environ)
    if not value:
        raise rule_error(f"is {quoted(name)}", f"set the environment variable {name}")
    fault = _key_fault(value)
    if fault is not None:
        wrong, fix = fault
        raise rule_error(f"is {quoted(name)}", f"the variable {wrong}: {fix}")
    return name


def key_in(path: Path) -> str:
    """Return the key that a file holds.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it holds anything but one key; the text says what.
    """
    try:
        text = read_text(path, _MAX_KEY_FILE)
    except UnicodeDecodeError:
        raise ValueError("is no text") from None
    except TooLarge as error:
        raise ValueError(f"is no key ({error})") from None
    key = unquoted(cleaned(text))
    fault = _key_fault(key)
    if fault is not None:
        raise ValueError(fault[0])
    return key


def _key_file(written: str, info: ValidationInfo) -> str:
    try:
        key_in(LoadContext.of(info).folder / written)
    except OSError as error:
        # The text may be the key itself.
        fix = f"give a file that can be read ({error.strerror})"
        raise rule_error(NOT_SHOWN, fix) from None
    except ValueError as error:
        fix = f"the file {error}: give a text file in ASCII that holds one key only"
        raise rule_error(f"is {quoted(written)}", fix) from None
    return written


Secret = Annotated[SecretStr, BeforeValidator(cleaned)]
Key = Annotated[
    Secret,
    AfterValidator(_key),
    Fix("give a text in ASCII on one line, in quotes if it looks like a number"),
]
KeyVariable = Annotated[Text, BeforeValidator(cleaned), AfterValidator(_set_variable)]
KeyFile = Annotated[Text, BeforeValidator(cleaned), AfterValidator(_key_file)]
VariableName = Annotated[
    Text,
    BeforeValidator(cleaned),
    AfterValidator(variable_name),
    Fix("give the name of an environment variable, without $"),
]
Headers = Annotated[
    dict[
        Annotated[str, AfterValidator(header_name)],
        Annotated[Secret, AfterValidator(_header_value)],
    ],
    Fix("give header names without spaces, and texts on one line as their values"),
]
