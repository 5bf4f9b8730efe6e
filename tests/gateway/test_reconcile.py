"""The changes that lead from a router's models and SLAs to the desired ones."""

import pytest

from floorline import SLA, Model, Router, Zoo
from floorline.errors import InvalidInput
from floorline.events import SlaChange, ZooChange
from floorline.gateway.reconcile import DesiredState, reconcile

SMALL, LARGE, HUGE = (Model(name, output_price=1.0) for name in ("small", "large", "huge"))
GOLD, SILVER = SLA("gold", floor=0.9), SLA("silver", floor=0.5)


class Log(list):
    def read(self, start=0):
        return iter(self[start:])


def desired(models=(SMALL, LARGE), slas=(GOLD,), per_tenant=()):
    return DesiredState(Zoo(list(models)), list(slas), frozenset(per_tenant))


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def router(log):
    return Router(Zoo([SMALL, LARGE]), "cheapest", [GOLD], log=log)


def told(log):
    """The changes in the log, in words."""
    words = []
    for event in log:
        if isinstance(event, ZooChange):
            words.append("zoo " + " ".join(event.zoo.names))
        elif isinstance(event, SlaChange):
            words.append(("-" if event.removed else "+") + event.sla.name)
    return words


def test_nothing_is_appended_if_nothing_differs(router, log):
    reconcile(router, desired(), at=1.0)
    assert log == []


def test_models_come_before_the_slas_that_name_them_and_leave_after(router, log):
    narrow = SLA("narrow", floor=0.5, models=("large",))
    reconcile(router, desired(slas=[GOLD, narrow]), at=1.0)
    log.clear()
    moved = SLA("narrow", floor=0.5, models=("huge",))
    reconcile(router, desired([SMALL, HUGE], [GOLD, moved]), at=2.0)
    assert told(log) == ["zoo small huge large", "+narrow", "zoo small huge"]
    assert {event.at for event in log} == {2.0}


def test_an_sla_leaves_with_the_model_that_it_names(router):
    reconcile(router, desired(slas=[GOLD, SLA("narrow", floor=0.5, models=("large",))]), at=1.0)
    reconcile(router, desired([SMALL]), at=2.0)
    assert (router.zoo.names, list(router.slas)) == (("small",), ["gold"])


def test_a_new_price_is_one_change(router, log):
    reconcile(router, desired([SMALL, Model("large", output_price=2.0)]), at=1.0)
    assert told(log) == ["zoo small large"]


def test_a_new_hint_is_one_change_that_keeps_labels_and_moves_the_prior(log):
    router = Router(Zoo([SMALL, LARGE]), "primal_dual", [GOLD], log=log)
    for _ in range(3):
        decision = router.route("prompt", sla="gold")
        router.feedback(decision.id, satisfied=True)
    posterior = router.policy.posterior_
    labels, before = posterior.labels_.tolist(), posterior.mean_.copy()
    hinted = Model("small", output_price=1.0, quality_hint=0.2, hint_weight=50.0)
    reconcile(router, desired([hinted, LARGE]), at=1.0)
    reconcile(router, desired([hinted, LARGE]), at=2.0)
    assert told(log) == ["zoo small large"]
    assert posterior.labels_.tolist() == labels
    assert posterior.mean_[0] < before[0]


def test_all_slas_can_be_replaced(router, log):
    reconcile(router, desired(slas=[SILVER]), at=1.0)
    assert told(log) == ["+silver", "-gold"]


def test_a_tenants_own_sla_follows_the_one_it_was_made_from(router, log):
    router.set_sla(SLA("gold@acme", floor=0.9), at=0.0)
    log.clear()
    reconcile(router, desired(per_tenant=["gold"]), at=1.0)
    assert log == []
    reconcile(router, desired(slas=[SLA("gold", floor=0.7)], per_tenant=["gold"]), at=2.0)
    assert router.slas["gold@acme"].floor == 0.7
    reconcile(router, desired(slas=[SLA("gold", floor=0.7)]), at=3.0)
    assert list(router.slas) == ["gold"]


def test_another_cost_unit_is_refused(router):
    with pytest.raises(InvalidInput, match="cost_unit"):
        reconcile(router, DesiredState(Zoo([SMALL], "J"), [GOLD]), at=1.0)
