"""Prompts from templates; the text reveals the topic and, with noise, the difficulty."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.datasets.simulated_vocabulary import FAMILIES, OPENERS, PEOPLE, PLACES, Family

VISIBLE = 0.6
"""Correlation of the difficulty that the text shows with the latent difficulty."""

_DRAWS = 16


class Prompts(NamedTuple):
    """N simulated prompts.

    ``family`` (N,) is an index into FAMILIES and ``difficulty`` (N,) the latent difficulty in
    logits: 0 on average over a family without offset, of standard deviation 1.
    """

    texts: list[str]
    family: NDArray[np.intp]
    difficulty: NDArray[np.float64]


def make_prompts(n: int, seed: int) -> Prompts:
    """Generate ``n`` prompts; the same seed gives the same ones.

    Examples
    --------
    >>> made = make_prompts(3, seed=0)
    >>> len(made.texts), made.texts == make_prompts(3, seed=0).texts
    (3, True)
    """
    rng = np.random.default_rng([seed, 1])
    family = rng.integers(len(FAMILIES), size=n)
    shown = rng.standard_normal(n)
    hidden = rng.standard_normal(n)
    offsets = np.array([entry.offset for entry in FAMILIES])
    difficulty = offsets[family] + VISIBLE * shown + np.sqrt(1 - VISIBLE**2) * hidden
    # Five levels by the visible difficulty; the middle ones are the most frequent.
    level = np.digitize(shown, [-1.0, -0.2, 0.5, 1.2])
    draws = rng.integers(1 << 30, size=(n, _DRAWS))
    texts = [
        _write(FAMILIES[f], lv, d)
        for f, lv, d in zip(family.tolist(), level.tolist(), draws.tolist(), strict=True)
    ]
    return Prompts(texts, family, difficulty)


def _write(family: Family, level: int, draws: list[int]) -> str:
    hard = draws[0] % 5 < level
    templates = family.hard if hard else family.easy
    template = templates[draws[1] % len(templates)]
    x = family.rare if draws[2] % 6 < level + hard else family.common
    y = family.rare if draws[3] % 6 < level + hard else family.common
    text = template.format(
        x=x[draws[4] % len(x)],
        y=y[draws[5] % len(y)],
        n=2 + draws[6] % (10 ** (1 + level) - 1),
        k=2 + draws[7] % (8 + 10 * level),
        who=PEOPLE[draws[8] % len(PEOPLE)],
        place=PLACES[draws[9] % len(PLACES)],
    )
    parts = [OPENERS[draws[10] % len(OPENERS)] + text]
    count = (level + draws[11] % 3) // 2
    if count:
        # The clauses are ordered from simple to demanding; a higher level starts later in the list.
        clauses = family.clauses
        start = min(level // 2 + draws[12] % 2, len(clauses) - 1)
        parts += [clauses[(start + i) % len(clauses)] for i in range(count)]
    return " ".join(parts)
