"""A log of three tenants whose every number can be counted again from its events."""

import numpy as np
import pytest

from floorline.events import GATEWAY, RequestContext, SlaChange, ZooChange
from floorline.report.sla.requests import PeriodFold, Scope
from floorline.sla import SLA
from floorline.stores.log_source import LogDigest

START = 1_790_000_000.0
DAY = 86400.0


@pytest.fixture
def live(build_router, vector):
    """Return a function that lets a router serve three tenants for ten days, and its events.

    The tenants acme and globex have the SLA gold of their own; initech shares gold. The model
    large fails from the middle of the time on, for a tenth of it, and other calls now and then.
    """

    def run(count=1500, *, seed=0, satisfied=0.85, days=10):
        gold = SLA("gold", floor=0.7, latency={"p90": 4.0})
        slas = [gold, SLA("gold@acme", floor=0.8), SLA("gold@globex", floor=0.6)]
        router = build_router(slas=slas, seed=seed)
        router.log.append(ZooChange(zoo=router.zoo, at=START))
        for sla in slas:
            router.log.append(SlaChange(sla=sla, at=START))
        rng = np.random.default_rng(seed)
        for number in range(count):
            at = START + days * DAY * number / count
            down = "large" if 0.5 <= number / count < 0.6 else ""
            tenant = ("acme", "globex", "initech")[number % 3]
            sla = "gold" if tenant == "initech" else f"gold@{tenant}"
            serve(router, vector(number % 50), sla, tenant, at, down, rng, satisfied)
        return list(router.log.read())

    def serve(router, features, sla, tenant, at, down, rng, satisfied):
        context = RequestContext(tenant=tenant, key=f"key-{tenant}", call_by=GATEWAY)
        made = router.route(features=features, sla=sla, at=at, context=context)
        excluded = []
        while True:
            if made.model != down and rng.random() > 0.02:
                break
            error = f"the provider of {made.model!r} answered with status 503"
            for name in made.called:
                router.outcome(made.id, model=name, cost=0.0, error=error, at=at + 1.0)
            excluded.append(made.model)
            if len(excluded) == 3:
                return
            after = context._replace(after=made.id)
            made = router.route(
                features=features, sla=sla, at=at + 1.0, context=after, exclude=excluded
            )
        for name in made.called:
            router.outcome(
                made.id,
                model=name,
                cost=float(rng.exponential(3.0)),
                latency=float(rng.exponential(1.5)),
                first_token=0.1,
                input_tokens=100,
                output_tokens=int(rng.integers(1, 500)),
                at=at + 3.0,
            )
        if rng.random() < 0.5:
            score = float(rng.random() < satisfied)
            router.feedback(made.id, score=score, at=at + 60.0)
            if rng.random() < 0.1:
                router.feedback(made.id, score=1.0 - score, at=at + 90.0)

    return run


@pytest.fixture
def fold():
    """Fold events into the requests of a scope."""

    def run(events, since=START, until=START + 10 * DAY, tenant=None, sla=None):
        scope = Scope(since, until, tenant, sla)
        return PeriodFold(scope).fold_all(LogDigest(enumerate(events)))

    return run
