"""A provider of the simulated zoo whose models fail as told."""

import collections
import contextlib
import time

from floorline.demo.fake_provider import FakeProvider
from tests.support.live_gateway import MODELS, ZOO, InThread, http_server

_LATENCY = 0.05
"""Real seconds per simulated second: answers take some tenths of a second, so that kills meet open
calls."""


class Provider:
    """The provider, in a thread.

    Parameters
    ----------
    seed
        Of its answers.
    host
        Address at which it listens.

    Attributes
    ----------
    names
        Its models.
    outages
        For each model, begin and end of its failures, in seconds of the monotonic clock.
    """

    def __init__(self, seed, host="127.0.0.1"):
        self._provider = FakeProvider(ZOO, seed=seed, latency=_LATENCY)
        self._thread = InThread(http_server(self._provider.app(), host=host))
        self.url = self._thread.value
        self.names = list(MODELS)
        self._down = collections.Counter()
        self.outages = collections.defaultdict(list)

    @contextlib.contextmanager
    def down(self, names):
        """Let some models fail in this block."""
        began = time.monotonic()
        self._down.update(names)
        self._provider.unavailable |= set(names)
        try:
            yield
        finally:
            self._down.subtract(names)
            for name in names:
                self.outages[name].append((began, time.monotonic()))
                if not self._down[name]:
                    self._provider.unavailable.discard(name)

    @property
    def calls(self):
        return self._provider.calls

    def close(self):
        self._thread.stop()
