"""The ``aliases`` section: names that clients have built in, and what they stand for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from floorline.config.document import quoted
from floorline.config.types import Fix, Text, rule_error
from floorline.core.bounds import MAX_NAME, is_name
from floorline.errors import did_you_mean, listed

_MAX_ALIASES = 100
_MAX_STARS = 4
"""Stars of a pattern: its matching takes a power of them."""
_ROUTED = "floorline/"


def _pattern(name: str) -> str:
    if not is_name(name) or name.startswith(_ROUTED) or name.count("*") > _MAX_STARS:
        raise rule_error(
            f"has the name {quoted(name)}",
            f"give a name of at most {MAX_NAME} characters that does not begin with floorline/, "
            f"with at most {_MAX_STARS} stars",
        )
    return name


Aliases = Annotated[
    dict[
        Annotated[Text, AfterValidator(_pattern)],
        Annotated[Text, Fix("give floorline/SLA, floorline/auto or the name of a model")],
    ],
    Field(max_length=_MAX_ALIASES),
    Fix(
        f"give at most {_MAX_ALIASES} names with what they stand for, such as "
        "{claude-*: floorline/gold}"
    ),
]


def check_aliases(
    aliases: Mapping[str, str], models: Collection[str], slas: Collection[str]
) -> None:
    """Check that every alias stands for an SLA or a model that there is.

    Raises
    ------
    ValueError
        If one does not; pydantic reports it.
    """
    known = [f"{_ROUTED}auto", *(_ROUTED + name for name in slas), *models]
    for alias, meant in aliases.items():
        if meant not in known:
            fix = did_you_mean(meant, known) + "give one of " + listed(known)
            raise rule_error(f"is {quoted(meant)}", fix, "aliases", alias)
