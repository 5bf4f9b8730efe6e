"""Changes of models, prices and SLAs while a router serves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from floorline.errors import InvalidInput
from floorline.events import ConfigChange, SlaChange, ZooChange
from floorline.sla import SLA
from floorline.state.live_state import LiveState
from floorline.zoo import Model, Zoo


class ChangingState(LiveState, ABC):
    """State whose models and SLAs can be changed; a part of ``Router``.

    Times ``at`` are in seconds; the present time by default.
    """

    @abstractmethod
    def _time(self, at: float | None) -> float:
        """Return a time given by the caller, or the present time; refuse what is no number."""

    def change_zoo(self, zoo: Zoo, *, at: float | None = None) -> None:
        """Serve these models at these prices from now on.

        Raises
        ------
        InvalidInput
            If an SLA names a model that is not among them, or the cost unit differs.
        """
        when = self._time(at)
        with self._lock:
            for sla in self._fold.slas_.values():
                sla.check_against(zoo)
            if zoo.cost_unit != self.zoo.cost_unit:
                raise InvalidInput("zoo.cost_unit", zoo.cost_unit, f"keep {self.zoo.cost_unit!r}")
            self._append(ZooChange(zoo=zoo, at=when))

    def add_model(self, model: Model, *, at: float | None = None) -> None:
        """Add a model to the zoo, or give new prices to one of its name."""
        with self._lock:
            self.change_zoo(self.zoo.with_model(model), at=at)

    def remove_model(self, name: str, *, at: float | None = None) -> None:
        """Remove a model from the zoo."""
        with self._lock:
            self.change_zoo(self.zoo.without(name), at=at)

    def log_config_change(
        self, changed: Sequence[str], waiting: Sequence[str] = (), *, at: float | None = None
    ) -> None:
        """Log that a configuration file was applied; ``ConfigChange`` documents the arguments."""
        when = self._time(at)
        with self._lock:
            self._append(ConfigChange(changed=tuple(changed), waiting=tuple(waiting), at=when))

    def set_sla(self, sla: SLA, *, at: float | None = None) -> None:
        """Add an SLA, or replace the one of its name."""
        when = self._time(at)
        with self._lock:
            sla.check_against(self.zoo)
            self._append(SlaChange(sla=sla, at=when))

    def remove_sla(self, sla: str, *, at: float | None = None) -> None:
        """Remove an SLA with its certificate.

        Raises
        ------
        InvalidInput
            If there is no such SLA or no other one.
        """
        when = self._time(at)
        with self._lock:
            agreement = self._fold.sla(sla)
            if len(self._fold.slas_) == 1:
                raise InvalidInput("sla", sla, "keep at least one SLA")
            self._append(SlaChange(sla=agreement, removed=True, at=when))
