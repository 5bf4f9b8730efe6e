"""Bring calls of tools and their results together, as the providers of all dialects demand.

Each call has exactly one result, directly behind the turn that calls, and ids of calls are unique.
Clients that shorten conversations break these rules, and so do servers that number the calls of
each answer from 0. Providers that are less strict serve such conversations, so another one has to
as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from floorline.gateway.dialects.conversation import (
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    Turn,
)
from floorline.gateway.dialects.losses import lose

NO_RESULT = "(The conversation does not have the result of this call.)"
"""Result of a call that has none."""


def paired(turns: Iterable[Turn], losses: list[str]) -> list[Turn]:
    """Return turns in which each call is followed by its result.

    Parameters
    ----------
    turns
        The turns of a conversation, which are not changed.
    losses
        Gets ``tool_result`` if a result is missing or has no call.

    Examples
    --------
    >>> losses: list[str] = []
    >>> found = paired([Turn("assistant", [ToolCallPart("a", "f", "")])], losses)
    >>> found[1].parts[0].call, losses
    ('a', ['tool_result'])
    """
    return _Pairing(losses).pair(turns)


class _Pairing:
    def __init__(self, losses: list[str]) -> None:
        self._losses = losses
        self._found: list[Turn] = []
        self._used: set[str] = set()
        # Number of the last id that was made of an id: to try all of them takes a square of time.
        self._numbers: dict[str, int] = {}
        # Ids of the calls of the last answer, those without a result yet by the ids that they came
        # with, and what followed so far.
        self._ids: list[str] = []
        self._open: dict[str, deque[str]] = {}
        self._results: dict[str, ToolResultPart] = {}
        self._rest: list[Turn] = []

    def pair(self, turns: Iterable[Turn]) -> list[Turn]:
        for turn in turns:
            if turn.role == "assistant":
                if self._rest or self._results:
                    self._settle()
                parts = self._answer(turn)
                if self._found and self._found[-1].role == "assistant" and self._ids:
                    # The results of an answer's calls are behind all that it says.
                    self._found[-1].parts += parts
                else:
                    self._found.append(Turn("assistant", parts))
            else:
                self._follow(turn)
        self._settle()
        return self._found

    def _answer(self, turn: Turn) -> list[Part]:
        """Return the parts of an answer, with ids that no earlier call has."""
        parts: list[Part] = []
        for part in turn.parts:
            if isinstance(part, ToolCallPart):
                id = part.id
                number = self._numbers.get(id, 1)
                while id in self._used:
                    number += 1
                    id = f"{part.id}_{number}"
                self._numbers[part.id] = number
                self._used.add(id)
                self._ids.append(id)
                self._open.setdefault(part.id, deque()).append(id)
                if id != part.id:
                    part = msgspec.structs.replace(part, id=id)
            parts.append(part)
        return parts

    def _follow(self, turn: Turn) -> None:
        """Take the results out of a turn; what else it has comes after all of them."""
        rest: list[Part] = []
        for part in turn.parts:
            if not isinstance(part, ToolResultPart):
                rest.append(part)
            elif self._open.get(part.call):
                id = self._open[part.call].popleft()
                self._results[id] = msgspec.structs.replace(part, call=id)
            else:
                lose(self._losses, "tool_result")
                rest += [TextPart(f"Result of the tool call {part.call}:"), *part.parts]
        if rest:
            self._rest.append(Turn(turn.role, rest))

    def _settle(self) -> None:
        """End the turns that follow an answer: the results of its calls, then all else."""
        results: list[Part] = []
        for id in self._ids:
            result = self._results.get(id)
            if result is None:
                lose(self._losses, "tool_result")
                result = ToolResultPart(id, [TextPart(NO_RESULT)], failed=True)
            results.append(result)
        if results:
            self._found.append(Turn("user", results))
        self._found += self._rest
        self._ids, self._open, self._results, self._rest = [], {}, {}, []
