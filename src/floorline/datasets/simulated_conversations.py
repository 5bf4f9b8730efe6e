"""Simulated conversations of several turns, with the tokens, pauses and satisfaction of each turn.

Three kinds of traffic: chats, assistants with a long system prompt, and coding agents, which call
tools in loops. docs/sessions.md says where the numbers come from; each can be changed.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.zoo import Model, Zoo

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of conversations.

    Attributes
    ----------
    name
        Name in tables.
    share
        Share of the conversations.
    turns
        Mean number of turns, geometric from 1.
    head_tokens
        Tokens of tools and system prompt, which all its conversations share.
    growth_tokens, output_tokens
        Mean tokens that a turn adds to the prompt beside the last answer, and of an answer.
    pause_seconds, pause_sd
        Median pause of the user before a turn, and the standard deviation of its logarithm.
    loop
        Probability that a turn follows a tool call instead of the user.
    loop_seconds
        Median seconds that a tool and the answer before take.
    """

    name: str
    share: float
    turns: float
    head_tokens: int
    growth_tokens: float
    output_tokens: float
    pause_seconds: float
    pause_sd: float = 1.2
    loop: float = 0.0
    loop_seconds: float = 8.0


TRAFFIC = (
    Traffic(
        name="chat",
        share=0.5,
        turns=2.5,
        head_tokens=200,
        growth_tokens=300.0,
        output_tokens=440.0,
        pause_seconds=60.0,
    ),
    Traffic(
        name="assistant",
        share=0.3,
        turns=6.0,
        head_tokens=3000,
        growth_tokens=800.0,
        output_tokens=300.0,
        pause_seconds=60.0,
        loop=0.3,
    ),
    Traffic(
        name="agent",
        share=0.2,
        turns=20.0,
        head_tokens=12_000,
        growth_tokens=1200.0,
        output_tokens=250.0,
        pause_seconds=90.0,
        loop=0.85,
    ),
)
"""Default traffic."""

CACHED_MODELS = (
    Model("nano", 0.05, 0.40, cached_input_price=0.005),
    Model("open", 0.30, 1.20, cached_input_price=0.15),
    Model("mini", 0.25, 2.00, cached_input_price=0.025),
    Model("flash", 0.30, 2.50, cached_input_price=0.075),
    Model("haiku", 1.00, 5.00, cached_input_price=0.10, cache_write_price=1.25),
    Model("five", 1.25, 10.0, cached_input_price=0.125),
    Model("sonnet", 3.00, 15.0, cached_input_price=0.30, cache_write_price=3.75),
    Model("opus", 5.00, 25.0, cached_input_price=0.50, cache_write_price=6.25),
)
"""Models with list prices of 2026 in USD per million tokens; only the ratios matter."""
ABILITY = (0.50, 0.60, 1.05, 1.27, 1.73, 1.98, 2.50, 2.99)
"""Logit of the satisfaction with each of them on a turn of mean difficulty."""

DIFFICULTY_SD, TURN_SD = 1.0, 0.5
"""Standard deviations of the difficulty of a conversation and of a turn within it, in logits."""
_LOOP_SD = 0.7
"""Standard deviation of the logarithm of the time that a tool takes."""
_FEATURES = 8
_MAX_TURNS = 120
_MAX_CONTEXT = 180_000


class ConversationStream(NamedTuple):
    """Turns of all conversations in the order of their times.

    Attributes
    ----------
    zoo
        The M models.
    conversation, turn
        (n,) number of the conversation from 0, and of the turn in it from 1.
    kind
        (n,) position of the conversation's traffic in ``traffic``.
    at
        (n,) times in seconds.
    input_tokens, prefix_tokens, head_tokens, output_tokens
        (n,) tokens of the prompt, of the part of it that was the last prompt, of the part that all
        conversations of its kind share, and of the answer.
    quality
        (n, M) probability that each model's answer satisfies.
    draw
        (n,) uniform draws: an answer satisfies where its probability is higher.
    features
        (n, dim) features, which tell something of the difficulty.
    traffic
        The kinds.
    """

    zoo: Zoo
    conversation: Counts
    turn: Counts
    kind: Counts
    at: Floats
    input_tokens: Counts
    prefix_tokens: Counts
    head_tokens: Counts
    output_tokens: Counts
    quality: Floats
    draw: Floats
    features: NDArray[np.float32]
    traffic: tuple[Traffic, ...]

    @property
    def size(self) -> int:
        """Number of turns n."""
        return len(self.at)


def simulate_conversations(
    turns: int,
    seed: int,
    *,
    models: tuple[Model, ...] = CACHED_MODELS,
    ability: tuple[float, ...] = ABILITY,
    traffic: tuple[Traffic, ...] = TRAFFIC,
    seconds_between: float = 20.0,
) -> ConversationStream:
    """Draw conversations until they have at least this many turns together.

    Parameters
    ----------
    turns
        Number of turns.
    seed
        Seed of all draws.
    models, ability
        The models, and the logits of the satisfaction with them at mean difficulty.
    traffic
        Kinds of conversations; their shares sum to 1.
    seconds_between
        Mean time between the beginnings of two conversations.

    Examples
    --------
    >>> stream = simulate_conversations(100, seed=1)
    >>> stream.size, bool((np.diff(stream.at) >= 0).all())
    (100, True)
    """
    rng = np.random.default_rng(seed)
    shares = np.array([kind.share for kind in traffic])
    rows: list[tuple[int, int, int, float, int, int, int, float]] = []
    begins, number = 0.0, 0
    while len(rows) < turns + 200:
        begins += rng.exponential(seconds_between)
        which = int(rng.choice(len(traffic), p=shares / shares.sum()))
        kind = traffic[which]
        count = min(_MAX_TURNS, int(rng.geometric(1.0 / kind.turns)))
        difficulty = DIFFICULTY_SD * rng.normal()
        at, context, prefix = begins, kind.head_tokens, 0
        for turn in range(1, count + 1):
            if turn > 1:
                loop = rng.random() < kind.loop
                median, sd = (
                    (kind.loop_seconds, _LOOP_SD) if loop else (kind.pause_seconds, kind.pause_sd)
                )
                at += median * float(np.exp(sd * rng.normal()))
            context += int(rng.gamma(1.0, kind.growth_tokens)) + 1
            if context > _MAX_CONTEXT:
                break
            output = int(rng.gamma(2.0, kind.output_tokens / 2.0)) + 1
            hard = difficulty + TURN_SD * rng.normal()
            rows.append((number, turn, which, at, context, prefix, output, hard))
            prefix = context
            context += output
        number += 1
    rows.sort(key=lambda row: row[3])
    rows = rows[:turns]
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    difficulties = columns[7]
    features = rng.normal(size=(turns, _FEATURES)).astype(np.float32)
    features[:, 0] = difficulties + rng.normal(size=turns)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    logit = np.array(ability)[None, :] - difficulties[:, None]
    head = np.array([kind.head_tokens for kind in traffic])[columns[2]]
    return ConversationStream(
        Zoo(models),
        columns[0],
        columns[1],
        columns[2],
        columns[3].astype(float),
        columns[4],
        columns[5],
        head,
        columns[6],
        1.0 / (1.0 + np.exp(-logit)),
        rng.random(turns),
        features,
        traffic,
    )
