"""What simulated users ask for, how long they wait, and when they send feedback."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from floorline.datasets.simulated import SimulatedZoo

MEAN_PAUSE_SECONDS = 60.0
"""Mean time between two requests of a user: 20 users send a request every three seconds."""

_TARGETS = {
    "floorline/gold": 0.40,
    "floorline/silver": 0.40,
    "floorline/bronze": 0.15,
    "sim-nano": 0.05,
}
"""What conversations ask for, with its share: an SLA, or a model by its own name. That model has no
outages: calls by its name are not replaced, and would open its circuit breaker first."""
MEAN_TURNS = 2.5
"""Mean number of requests of a conversation."""
_MAX_TURNS = 8
"""Most requests of a conversation, so that the bodies of requests stay small."""
_FEEDBACK_SHARE = 0.4
"""Share of the answers that get feedback."""
_MEAN_FEEDBACK_SECONDS = 8.0
"""Mean time from an answer to its feedback."""
_STREAM_SHARE = 0.6
"""Share of the requests whose answer is streamed."""


class UserKey(NamedTuple):
    """API key of a user: its id, its tenant and its secret; all "" where there are no keys."""

    id: str = ""
    tenant: str = ""
    secret: str = ""


class UserRequest(NamedTuple):
    """One request of a simulated user.

    Attributes
    ----------
    target
        The request's ``model``: an SLA as ``floorline/NAME``, or a model.
    session
        Name of the conversation.
    prompt
        Position of its prompt in the zoo.
    threshold
        The user is satisfied by a model whose probability for the prompt exceeds it.
    stream
        Whether the answer is streamed.
    feedback_after
        Seconds from the answer to the feedback; None if the user sends none.
    """

    target: str
    session: str
    prompt: int
    threshold: float
    stream: bool
    feedback_after: float | None


_NO_KEY = UserKey()


class SimulatedUser:
    """One user, who has conversations one after another.

    Parameters
    ----------
    zoo
        The prompts.
    number
        Number of the user, from 0.
    seed
        Seed of the behaviour of all users.
    key
        API key that the user sends.

    Examples
    --------
    >>> user = SimulatedUser(SimulatedZoo(100), 0, seed=0)
    >>> {request.session for request in user.next_conversation()}
    {'user-0-1'}
    """

    def __init__(self, zoo: SimulatedZoo, number: int, seed: int, key: UserKey = _NO_KEY) -> None:
        self.key = key
        self._zoo = zoo
        self._number = number
        self._rng = np.random.default_rng([seed, 6, number])
        self._conversations = 0

    def pause(self) -> float:
        """Seconds until the next request; exponentially distributed."""
        return float(self._rng.exponential(MEAN_PAUSE_SECONDS))

    def next_conversation(self) -> list[UserRequest]:
        """Return the requests of the next conversation, each with another prompt."""
        rng = self._rng
        self._conversations += 1
        target = str(rng.choice(list(_TARGETS), p=list(_TARGETS.values())))
        turns = min(int(rng.geometric(1.0 / MEAN_TURNS)), _MAX_TURNS)
        return [
            UserRequest(
                target=target,
                session=f"user-{self._number}-{self._conversations}",
                prompt=int(rng.integers(len(self._zoo.prompts))),
                threshold=float(rng.random()),
                stream=bool(rng.random() < _STREAM_SHARE),
                feedback_after=float(rng.exponential(_MEAN_FEEDBACK_SECONDS))
                if rng.random() < _FEEDBACK_SHARE
                else None,
            )
            for _ in range(turns)
        ]
