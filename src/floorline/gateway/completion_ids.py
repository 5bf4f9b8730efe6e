"""Which decisions an id of a completion may mean: providers choose these ids, and repeat them."""

from __future__ import annotations

from collections import OrderedDict

from floorline.events import Owner

MAX_CANDIDATES = 20
"""Most decisions that are remembered, looked up and shown for one id: the latest ones. Two are
enough to know that the id is ambiguous."""
_CAPACITY = 20_000
"""Most ids remembered: about 6 MB, and 60 MB if all have the most candidates and characters. The
log knows the older ones."""


class CompletionIds:
    """The latest ids of completions of each owner, before and after their outcome is in the log.

    Parameters
    ----------
    capacity
        Most ids; the one that was noted longest ago is forgotten first.

    Attributes
    ----------
    forgotten
        Number of ids that were forgotten so far.

    Examples
    --------
    >>> acme, other = Owner("acme"), Owner("umbrella")
    >>> ids = CompletionIds()
    >>> for decision in ("d-1", "d-2", "d-2"):
    ...     ids.note(acme, "c-1", decision)
    >>> ids.decisions(acme, "c-1"), ids.decisions(other, "c-1")
    (['d-2', 'd-1'], [])
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._decisions: OrderedDict[tuple[Owner, str], list[str]] = OrderedDict()
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._decisions)

    def note(self, owner: Owner, completion: str, decision: str) -> None:
        """Note that an id may mean a decision of its owner."""
        key = (owner, completion)
        noted = self._decisions.setdefault(key, [])
        if decision not in noted:
            noted.append(decision)
            del noted[:-MAX_CANDIDATES]
        self._decisions.move_to_end(key)
        if len(self._decisions) > self._capacity:
            self._decisions.popitem(last=False)
            self.forgotten += 1

    def decisions(self, owner: Owner, completion: str) -> list[str]:
        """Return the decisions of an owner that an id may mean, the latest first."""
        return self._decisions.get((owner, completion), [])[::-1]
