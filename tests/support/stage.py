"""A gateway before a provider that fails as planned."""

from floorline.events import NOT_CALLED, Decision, Outcome
from tests.support.live_gateway import Live, wait_until, write_settings

OPEN_MINDED = {"failures": 1_000_000}
"""A breaker that never opens, for providers that are to fail as often as a test wants."""


PRICES = {"small": 1.0, "medium": 4.0, "large": 16.0}


def settings_of(
    provider, *, timeouts=None, max_answer="256KiB", model=None, each=None, prices=PRICES, **changed
):
    """Configuration of three models of one provider, which are called once each.

    ``model`` changes all of them, ``each`` some by their names.
    """
    models = [
        {
            "name": name,
            "endpoint": provider.base_url,
            "output_price": price,
            "retries": 0,
            "breaker": OPEN_MINDED,
            "timeouts": timeouts or {},
            "max_answer": max_answer,
            **(model or {}),
            **(each or {}).get(name, {}),
        }
        for name, price in prices.items()
    ]
    return write_settings("http://127.0.0.1:1", models=models, **changed)


class Stage:
    """A gateway before a provider that fails as planned."""

    def __init__(self, text, provider, folder):
        self.provider = provider
        self.live = Live(text, folder)
        self.seen = 0

    def __getattr__(self, name):
        return getattr(self.live, name)

    def plan(self, *faults):
        """Let the next requests meet these faults, and those after them sound answers."""
        self.provider.hang_up()
        self.provider.plan(*faults)

    def happened(self):
        """Decisions and outcomes of calls since the last time, once the gateway is at rest."""
        gateway = self.live.gateway
        wait_until(lambda: gateway.admission.in_flight == 0)
        gateway.store.flush()
        found = list(gateway.store.read(self.seen))
        self.seen += len(found)
        outcomes = [event for event in found if isinstance(event, Outcome)]
        decisions = [event for event in found if isinstance(event, Decision)]
        return decisions, [outcome for outcome in outcomes if outcome.error != NOT_CALLED]

    def at_rest(self):
        """Whether nothing is left over of the requests so far."""
        gateway = self.live.gateway
        calls = [(one.calls, one.waiting) for one in gateway.upstreams.health().values()]
        reserved = [gateway.router.status(name).reserved for name in gateway.router.slas]
        return gateway.admission.in_flight == 0 and not any(map(any, calls)) and not any(reserved)
