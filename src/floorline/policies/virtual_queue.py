"""Virtual queues: the accumulated shortfall of satisfaction against the floor of each SLA."""

from __future__ import annotations

from collections.abc import Mapping

from floorline.core.snapshots import Stateful
from floorline.sla import SLA


class VirtualQueues(Stateful):
    """One virtual queue Q per SLA [1]_, as in MESS+ [2]_.

        Q ← max(0, Q + τ − s)

    Parameters
    ----------
    slas
        The SLAs; their queues start at 0.

    Attributes
    ----------
    length_
        Length Q of each queue by SLA, in satisfied requests.

    References
    ----------
    .. [1] Neely: Stochastic Network Optimization with Application to Communication and Queueing
       Systems. Morgan & Claypool, 2010.
    .. [2] MESS+: Dynamically Learned Inference-Time LLM Routing in Model Zoos with Service Level
       Guarantees. arXiv:2505.19947.

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
        """Add a shortfall τ − s to a queue, which is at least 0 afterwards."""
        self.length_[sla] = max(0.0, self.length_[sla] + shortfall)

    def set_slas(self, slas: Mapping[str, SLA]) -> None:
        """Change the SLAs: known ones keep their queues, new ones start at 0."""
        self.length_ = {name: self.length_.get(name, 0.0) for name in slas}
