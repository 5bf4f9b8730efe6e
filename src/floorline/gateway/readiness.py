"""Whether the gateway can serve now, and what needs an operator's attention."""

from __future__ import annotations

from collections.abc import Callable

from floorline.errors import StoreUnavailable
from floorline.gateway.clock import Clock
from floorline.gateway.price_changes import price_warnings
from floorline.gateway.reload import Reloader
from floorline.gateway.runtime_models import RuntimeModels
from floorline.gateway.upstreams import Upstreams
from floorline.gateway.usage_check import UsageCheck
from floorline.router import Router
from floorline.stores.queued import QueuedStore

_SEE_LOG = "see the log of the gateway, or send a key with the scope metrics"
_CLOCK_WARNING_SECONDS = 60.0
"""Difference between the gateway's and the system's clock from which a warning is shown; it is made
up for in under two hours."""

_STALE_WARNING_SECONDS = 5.0
"""Age of the learner's last sign from which a warning is shown: longer than another learner takes
to go on, with the default lease."""


class Readiness:
    """Reads the state of the other parts for ``/readyz``.

    Parameters
    ----------
    router, store, upstreams
        The parts without which no request can be served.
    reloader
        Watches the configuration file; None if no file is watched.
    models
        Says which models of the run time are left out; None if there are none.
    usage_check
        Says which providers count tokens wrongly; None if they are not checked.
    clock
        Gives the times of events; None if it is the system's clock.
    staleness
        Returns the seconds since the learner was at work on the state that decides here; 0 where
        this process learns by itself.
    elsewhere
        Returns what the other replicas warn of, which name their machines.
    """

    def __init__(
        self,
        router: Router,
        store: QueuedStore,
        upstreams: Upstreams,
        reloader: Reloader | None,
        models: RuntimeModels | None = None,
        usage_check: UsageCheck | None = None,
        *,
        clock: Clock | None = None,
        staleness: Callable[[], float] = lambda: 0.0,
        elsewhere: Callable[[], list[str]] = list,
    ) -> None:
        self._staleness = staleness
        self._elsewhere = elsewhere
        self._clock = clock
        self._usage_check = usage_check
        self._router = router
        self._store = store
        self._upstreams = upstreams
        self._reloader = reloader
        self._models = models
        self._stopping = False

    def stop(self) -> None:
        """Report that the gateway is stopping, so that load balancers send no more requests."""
        self._stopping = True

    @property
    def stopping(self) -> bool:
        """Whether the gateway is stopping."""
        return self._stopping

    def errors(self, *, details: bool = True) -> list[str]:
        """Return why the gateway must get no requests now; empty if it can serve.

        Without ``details`` the database's own words are left out, which name its host.
        """
        errors = []
        if self._stopping:
            errors.append("the gateway is stopping")
        if self._store.failure is not None:
            reason = self._store.failure if details else _SEE_LOG
            errors.append(f"the event log cannot be written: {reason}")
        if len(self._upstreams.blocked()) == len(self._router.zoo):
            errors.append(
                "no model can be called: each has an open circuit breaker or a full queue"
            )
        return errors

    def warnings(self, *, details: bool = True) -> list[str]:
        """Return what an operator should correct although requests are served.

        Without ``details`` the values of the configuration file are left out.
        """
        warnings = [
            f"model {name!r} cannot be called: its circuit breaker is open or its queue is full"
            for name in self._upstreams.blocked()
        ]
        warnings += price_warnings(self._router.zoo)
        warnings += self._store.warnings()
        if self._usage_check is not None:
            warnings += self._usage_check.warnings()
        ahead = 0.0 if self._clock is None else self._clock.ahead
        if abs(ahead) > _CLOCK_WARNING_SECONDS:
            warnings.append(
                f"the system's clock was set {-ahead:+.0f} s away from the gateway's, which "
                "approaches it slowly so that budgets keep their periods: restart the gateway if "
                "the system's clock is right"
            )
        stale = self._staleness()
        if stale > _STALE_WARNING_SECONDS:
            warnings.append(
                f"the learner was at work {stale:.0f} s ago, and its last state decides: see "
                "whether a process 'floorline learn' runs and reaches the store"
            )
        if details:
            warnings += self._elsewhere()
        if self._reloader is not None and self._reloader.error is not None:
            reason = self._reloader.error if details else _SEE_LOG
            warnings.append(f"the configuration file is not in force: {reason}")
        if self._reloader is not None and self._reloader.restart:
            fields = ", ".join(self._reloader.restart)
            warnings.append(f"changed fields take effect at the next restart: {fields}")
        if self._models is not None:
            warnings += self._models.warnings()
        return warnings

    def check_log(self) -> None:
        """Refuse a request while the event log cannot be written.

        Raises
        ------
        StoreUnavailable
            If the log cannot be written: a decision would be missing from it.
        """
        if self._store.failure is not None:
            raise StoreUnavailable(
                f"the event log cannot be written ({self._store.failure}): send the request again "
                "after the seconds in Retry-After"
            )
