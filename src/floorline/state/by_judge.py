"""State of every judge by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from floorline.core.snapshots import State, Stateful

_T = TypeVar("_T", bound=Stateful)


class ByJudge(Stateful, Generic[_T]):
    """One state of a kind for each judge, which is known from its first judgement on.

    Parameters
    ----------
    make
        Makes the state of a new judge.

    Attributes
    ----------
    judges_ : dict of str to Stateful
        By the judge's name.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self.make = make
        self.judges_: dict[str, _T] = {}

    def of(self, judge: str) -> _T:
        """Return the state of a judge; a new one for a new judge."""
        known = self.judges_.get(judge)
        if known is None:
            known = self.judges_[judge] = self.make()
        return known

    def restore(self, state: State) -> None:
        """Take over a state, whichever judges it has."""
        self.judges_ = {name: self.make() for name in state.get("judges_", ())}
        super().restore(state)
