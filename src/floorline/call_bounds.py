"""What a call can cost at most, before it is made."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DEFAULT_MAX_OUTPUT_TOKENS = 8192
"""Tokens of an answer that are reserved where neither the request nor the model bounds them, and
that are asked for where a provider demands a bound, as Anthropic does: all of its models since
Claude 3.5 can give that many. It is 32 times a typical answer."""


class CallLimits(NamedTuple):
    """Upper bounds of the tokens of a call, which bound its cost before it is made.

    Attributes
    ----------
    input_tokens : int
        Upper estimate of the prompt's tokens.
    output_tokens : int, optional
        Largest number of tokens of each answer that the request allows; None if it does not say.
    answers : int
        Number of answers that the request asks for.
    is_certain : bool
        Whether every provider keeps to ``output_tokens``. If not, some ignore it, as if the request
        did not bound its answer.
    images : int
        Number of images in the prompt.
    has_audio : bool
        Whether recordings may be part of the prompt or of the answers.
    is_priority : bool
        Whether the provider may answer in its tier ``priority``.
    """

    input_tokens: int
    output_tokens: int | None = None
    answers: int = 1
    is_certain: bool = True
    images: int = 0
    has_audio: bool = True
    is_priority: bool = True


class CostBounds(NamedTuple):
    """Prices and lengths that bound the costs of calls to M models.

    Attributes
    ----------
    call, image : ndarray
        (M,) prices of a call, and of an image of the prompt.
    input, output : ndarray
        (M,) largest prices of a token of any kind but recordings.
    audio_input, audio_output : ndarray
        (M,) the same with recordings.
    tier : ndarray
        (M,) factor of the tier ``priority``, at least 1.
    long, long_input, long_output : ndarray
        (M,) lengths of prompts above which tokens cost more, and factors of their prices, at least
        1.
    shortest_long : float
        Shortest of these lengths.
    largest_output, usual_output : ndarray
        (M,) largest answer in tokens, and that of a request without a limit.
    """

    call: NDArray[np.float64]
    image: NDArray[np.float64]
    input: NDArray[np.float64]
    output: NDArray[np.float64]
    audio_input: NDArray[np.float64]
    audio_output: NDArray[np.float64]
    tier: NDArray[np.float64]
    long: NDArray[np.float64]
    shortest_long: float
    long_input: NDArray[np.float64]
    long_output: NDArray[np.float64]
    largest_output: NDArray[np.float64]
    usual_output: NDArray[np.float64]

    def largest_costs(self, limits: CallLimits) -> NDArray[np.float64]:
        """(M,) largest costs of a call; see ``Zoo.largest_costs``."""
        if limits.output_tokens is None:
            output = self.usual_output
        else:
            output = np.minimum(self.largest_output, float(limits.output_tokens))
            if not limits.is_certain:
                output = np.maximum(self.usual_output, output)
        if limits.has_audio:
            per_input, per_output = self.audio_input, self.audio_output
        else:
            per_input, per_output = self.input, self.output
        if limits.input_tokens > self.shortest_long:
            is_long = self.long < limits.input_tokens
            per_input = per_input * np.where(is_long, self.long_input, 1.0)
            per_output = per_output * np.where(is_long, self.long_output, 1.0)
        tokens = per_input * float(limits.input_tokens) + per_output * output * limits.answers
        if limits.is_priority:
            tokens = tokens * self.tier
        cost = self.call + tokens
        return np.asarray(cost + self.image * limits.images if limits.images else cost)
