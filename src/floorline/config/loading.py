"""Read a configuration file and validate it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from floorline._bounded import TooLarge, read_text
from floorline.config.document import Document
from floorline.config.explain import cross_field_rules, explain
from floorline.config.secrets import LoadContext
from floorline.config.settings import Settings
from floorline.errors import ConfigError


def load(path: str | Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read and validate a configuration file.

    Parameters
    ----------
    path
        The file; relative paths in it are relative to its folder.
    environ
        Environment variables for references such as ``${NAME}``.

    Raises
    ------
    ConfigError
        If the file cannot be read or breaks rules: one line for each broken rule.
    """
    path = Path(path)
    try:
        text = read_text(path)
    except FileNotFoundError:
        fix = "give the path of a configuration file; docs/configuration.md lists its fields"
        raise ConfigError([f"{path}: there is no such file: {fix}"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}: give a file that can be read"]) from None
    except TooLarge as error:
        raise ConfigError([f"{path}: not read ({error}): give a configuration file"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: the file is no text in UTF-8: write it in UTF-8"]) from None
    return load_text(text, name=str(path), folder=path.parent, environ=environ)


def load_text(
    text: str,
    *,
    name: str = "floorline.yaml",
    folder: Path = Path(),
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Validate the text of a configuration; errors as for ``load``.

    Parameters
    ----------
    text
        YAML or JSON.
    name
        Name of the text in messages.
    folder
        Folder to which relative paths are relative.
    environ
        Environment variables for references such as ``${NAME}``.

    Examples
    --------
    >>> settings = load_text('''
    ... models:
    ...   - {name: small, endpoint: "http://127.0.0.1:8000/v1", output_price: 0.4}
    ... slas:
    ...   - {name: gold, floor: 0.9}
    ... ''')
    >>> settings.as_zoo().names, settings.as_slas()[0].floor
    (('small',), 0.9)
    """
    document = Document(text, name, environ)
    problems = [*document.problems, *cross_field_rules(document.data)]
    try:
        settings = Settings.model_validate(document.data, context=LoadContext(environ, folder))
    except ValidationError as error:
        known = {problem.location for problem in problems}
        problems += [
            p for p in explain(error, Settings, document.templates) if p.location not in known
        ]
    document.refuse(problems)
    return settings
