"""The words of the simulated prompts, read from ``simulated_vocabulary.toml``."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import NamedTuple


class Family(NamedTuple):
    """One kind of task.

    ``offset`` shifts its difficulty (in logits), ``reply`` is the mean length of an answer in
    tokens; ``hard`` templates, ``rare`` words and ``clauses`` grow with the visible difficulty.
    """

    name: str
    offset: float
    reply: int
    easy: tuple[str, ...]
    hard: tuple[str, ...]
    common: tuple[str, ...]
    rare: tuple[str, ...]
    clauses: tuple[str, ...]


_vocabulary = tomllib.loads(
    files("floorline.datasets").joinpath("simulated_vocabulary.toml").read_text("utf-8")
)

OPENERS: tuple[str, ...] = tuple(_vocabulary["openers"])
"""Beginnings of prompts, independent of task and difficulty."""

PEOPLE: tuple[str, ...] = tuple(_vocabulary["people"])
"""First names."""

PLACES: tuple[str, ...] = tuple(_vocabulary["places"])
"""Places, with their article."""

FAMILIES: tuple[Family, ...] = tuple(
    Family(
        entry["name"],
        entry["offset"],
        entry["reply"],
        *(tuple(entry[key]) for key in ("easy", "hard", "common", "rare", "clauses")),
    )
    for entry in _vocabulary["families"]
)
"""All task families; a prompt's family is an index into this."""
