"""The virtual queue: the accumulated shortfall against a floor."""

from __future__ import annotations

from collections.abc import Mapping

from floorline.core.snapshots import Stateful
from floorline.sla import SLA


class VirtualQueues(Stateful):
    """One virtual queue Q per SLA (Neely 2010; MESS+ equation for Q).

        Q ← max(0, Q + τ − s)

    Examples
    --------
    >>> queues = VirtualQueues({"gold": SLA("gold", floor=0.9)})
    >>> queues.add("gold", shortfall=0.9 - 0.0)
    >>> queues.add("gold", shortfall=0.9 - 1.0)
    >>> round(queues["gold"], 3)
    0.8
    """

    def __init__(self, slas: Mapping[str, SLA]) -> None:
        self.length_: dict[str, float] = dict.fromkeys(slas, 0.0)

    def __getitem__(self, sla: str) -> float:
        return self.length_[sla]

    def add(self, sla: str, shortfall: float) -> None:
        """Lengthen the queue by a shortfall τ − s, never below 0."""
        self.length_[sla] = max(0.0, self.length_[sla] + shortfall)

    def set_slas(self, slas: Mapping[str, SLA]) -> None:
        """Keep the queues of known SLAs; new ones start empty."""
        self.length_ = {name: self.length_.get(name, 0.0) for name in slas}
