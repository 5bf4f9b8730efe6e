"""Why requests got no good answer: each failure belongs to a fault that was at work, or to none."""

import collections

from tests.support.chaos.checker import Rule
from tests.support.chaos.clients import NOT_HERE

_BREAKER_SECONDS = 25.0
"""Time after a model's failures for which its circuit breaker can refuse calls: it is open for
15 s, then lets one call at a time through."""
_NO_LEARNER, _LEARNER_SECONDS = "no learner published a state for this server", 180.0
"""What a server says that ends at its start for want of a learner, and the time before its end in
which a learner was killed, stopped, cut off or upgraded then, on a busy machine."""
_DATABASE_SECONDS = 15.0
"""Time after the database is back until a server has connected to it again, on a busy machine."""
_DRAINED_SECONDS = 90.0
"""Time after a fault of the database until all events are in the log: a server that was killed
meanwhile is started again before, which takes some tens of seconds on a busy machine."""
_PROCESS_SECONDS = 2.0
"""Time after a server's end for which the balancer still sends connections to it."""

_LINKS = ("cut", "hold", "delay", "partition")
_DATABASE = ("restart database", *_LINKS)
_LEARNER = (*_DATABASE, "kill learner", "end learner", "pause learner", "upgrade")
_LOST = {
    "a server was killed": ("kill replica",),
    "a server was asked to end": ("end",),
    "a server was paused": ("pause replica",),
}
"""Faults by which a connection is lost, in words."""


class Classes:
    """Sorts failures into classes.

    Parameters
    ----------
    faults
        What happened.
    provider
        The provider, which says when its models failed.
    began
        When the clients began, by the monotonic clock.
    ended
        Processes that ended by themselves: time, name, status and what they said.
    ready
        Times, and to how many servers the balancer passed connections then.
    slow
        Begin and end of small queries of the checker that took long: the machine was too busy.
    metered
        Names of SLAs whose budget is used up at times.
    """

    def __init__(self, faults, provider, began, ended, ready, slow, metered):
        self._metered = metered
        self._ready, self._slow = ready, slow
        self._faults = faults
        self._ended = ended
        self._outages = [
            [(start - began, end - began) for start, end in provider.outages[name]]
            for name in provider.names
        ]
        self._counts = collections.Counter()

    def rules(self, failures):
        """Return the rules about failures of requests, and about processes that ended."""
        unexplained = []
        for failure in failures:
            name = self._class_of(failure)
            self._counts[name or "NOT EXPLAINED"] += 1
            if name is None:
                unexplained.append(failure)
        ended = [
            (round(at, 1), name, status, said[-400:])
            for at, name, status, said in self._ended
            if not self._at_work(_DATABASE, at, at, 2 * _DATABASE_SECONDS)
            and not (_NO_LEARNER in said and self._at_work(_LEARNER, at, at, _LEARNER_SECONDS))
        ]
        return [
            Rule(
                "every request that failed did so while every model was down, the database was "
                "away, its server was killed, or its budget was used up",
                f"{len(failures)} failed",
                unexplained,
            ),
            Rule(
                "no process ends by itself, unless the database or every learner is away",
                f"{len(self._ended)} did",
                ended,
            ),
        ]

    def lines(self):
        """Yield the number of failures of each class."""
        for name, count in sorted(self._counts.items()):
            yield f"failed requests, {name}: {count}"

    def _class_of(self, failure):
        began, ended = failure.began, failure.ended
        if failure.status == 0:
            for name, kinds in _LOST.items():
                if self._at_work(kinds, began, ended, _PROCESS_SECONDS):
                    return f"connection lost, {name}"
            return self._why_none_served(began, ended)
        if failure.status == 429 and failure.code.startswith("budget_exhausted"):
            return "429, budget used up"
        if NOT_HERE in failure.code:
            # Its server may be killed before its disk is drained, which the next one does.
            if self._at_work((*_DATABASE, "pause replica"), began, ended, _DRAINED_SECONDS):
                return "503, the decision was on the disk of another server"
            if self._was_slow(began, ended, _DRAINED_SECONDS):
                return (
                    "503, the decision was on another disk, the checker's own query was slow, too"
                )
            return None
        if failure.status == 503 and failure.code.startswith("log_unavailable"):
            if self._at_work(_DATABASE, began, ended, _DATABASE_SECONDS):
                return "503, the database was away"
            if self._at_work(("pause replica",), began, ended, _DATABASE_SECONDS):
                return "503, a server that was paused took the database for away"
            if self._was_slow(began, ended, _DATABASE_SECONDS):
                return "503, the checker's own query was slow, too"
            return None
        if failure.status >= 500 and self._all_down(began, ended):
            return f"{failure.status}, every model was down"
        if failure.sla in self._metered and self._at_work(("model down",), began, ended, 0.0):
            return f"{failure.status}, a model was down and no other within the budget"
        return None

    def _why_none_served(self, began, ended):
        """Why the balancer had no server for a request; None if it had one, or for no reason."""
        if not self._none_ready(began, ended):
            return None
        if self._all_down(began, ended):
            return "no server at the balancer, every model was down"
        if self._at_work(_DATABASE, began, ended, _DATABASE_SECONDS):
            return "no server at the balancer, the database was away"
        if self._was_slow(began, ended, _PROCESS_SECONDS):
            return "no server at the balancer, the checker's own query was slow, too"
        return None

    def _was_slow(self, began, ended, slack):
        return any(start <= ended and began <= end + slack for start, end in self._slow)

    def _at_work(self, kinds, began, ended, slack):
        windows = self._faults.during(*kinds, slack=slack)
        return any(start <= ended and began <= end for _, start, end in windows)

    def _none_ready(self, began, ended):
        slack = _PROCESS_SECONDS
        return any(n == 0 and began - slack <= at <= ended + slack for at, n in self._ready)

    def _all_down(self, began, ended):
        """Whether every model failed in the time of a request, or had an open breaker."""
        return all(
            any(start <= ended and began <= end + _BREAKER_SECONDS for start, end in outages)
            for outages in self._outages
        )
