"""Responses that wait for a user's label: in memory, for some minutes, up to some bytes."""

from __future__ import annotations

from collections import OrderedDict

from floorline.gateway.judging.transcripts import SeenAnswer


class RecentAnswers:
    """The latest responses by the id of their decision.

    Parameters
    ----------
    seconds
        Longest time that one is kept.
    memory
        Most bytes that all have together; the oldest go first.

    Attributes
    ----------
    size
        Bytes of all that are kept.
    """

    def __init__(self, seconds: float, memory: int) -> None:
        self.seconds = seconds
        self.memory = memory
        self.size = 0
        self._kept: OrderedDict[str, tuple[float, SeenAnswer]] = OrderedDict()

    def __len__(self) -> int:
        """Number of responses."""
        return len(self._kept)

    def add(self, seen: SeenAnswer, now: float) -> None:
        """Keep a response, and forget those that are too old or too many."""
        self._kept[seen.decision.id] = (now, seen)
        self.size += seen.size
        self.forget(now)

    def take(self, decision: str) -> SeenAnswer | None:
        """Return a response and forget it; None if it is not kept."""
        found = self._kept.pop(decision, None)
        if found is None:
            return None
        self.size -= found[1].size
        return found[1]

    def undraw(self, decision: str, judge: str) -> None:
        """Note that a judge does not see a response that is kept, unless a user labels it."""
        found = self._kept.get(decision)
        if found is not None:
            began, seen = found
            self._kept[decision] = began, seen._replace(drawn=seen.drawn - {judge})

    def forget(self, now: float) -> None:
        """Forget responses that are too old, and the oldest while all need too much memory."""
        while self._kept:
            oldest, (began, _) = next(iter(self._kept.items()))
            if now - began <= self.seconds and self.size <= self.memory:
                return
            self.take(oldest)
