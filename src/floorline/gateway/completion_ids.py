"""Which decisions an id of a completion may mean: providers choose these ids, and repeat them."""

from __future__ import annotations

from collections import OrderedDict

from floorline.events import Owner

MAX_CANDIDATES = 20
"""Most decisions that are remembered, looked up and shown for one id: the latest ones. Two are
enough to know that the id is ambiguous."""
_CAPACITY = 20_000
"""Most ids remembered: about 9 MB, and 60 MB if all have the most candidates and characters. The
log knows the older ones."""
_OWNER_CAPACITY = 5_000
"""Most ids remembered of one owner, so that one cannot make the gateway forget those of the others
while their streams run."""


class CompletionIds:
    """The latest ids of completions of each owner, before and after their outcome is in the log.

    Parameters
    ----------
    capacity, owner_capacity
        Most ids, of all owners and of one; the one that was noted longest ago is forgotten first.

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

    def __init__(self, capacity: int = _CAPACITY, owner_capacity: int = _OWNER_CAPACITY) -> None:
        self._capacity = capacity
        self._owner_capacity = owner_capacity
        # Both in the order of the latest note.
        self._order: OrderedDict[tuple[Owner, str], None] = OrderedDict()
        self._owned: dict[Owner, OrderedDict[str, list[str]]] = {}
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._order)

    def note(self, owner: Owner, completion: str, decision: str) -> None:
        """Note that an id may mean a decision of its owner."""
        owned = self._owned.setdefault(owner, OrderedDict())
        noted = owned.setdefault(completion, [])
        if decision not in noted:
            noted.append(decision)
            del noted[:-MAX_CANDIDATES]
        owned.move_to_end(completion)
        self._order[owner, completion] = None
        self._order.move_to_end((owner, completion))
        if len(owned) > self._owner_capacity:
            self._forget(owner, next(iter(owned)))
        elif len(self._order) > self._capacity:
            self._forget(*next(iter(self._order)))

    def _forget(self, owner: Owner, completion: str) -> None:
        del self._order[owner, completion]
        owned = self._owned[owner]
        del owned[completion]
        if not owned:
            del self._owned[owner]
        self.forgotten += 1

    def decisions(self, owner: Owner, completion: str) -> list[str]:
        """Return the decisions of an owner that an id may mean, the latest first."""
        owned = self._owned.get(owner)
        return [] if owned is None else owned.get(completion, [])[::-1]
