"""When a gateway is ready, and what it warns of."""

from types import SimpleNamespace

import pytest
from tests.support.gateway_parts import StubUpstreams

from floorline.errors import StoreUnavailable
from floorline.gateway.clock import Clock
from floorline.gateway.readiness import Readiness
from floorline.zoo import Model, Zoo


class Built:
    def __init__(self, watched=True):
        self.store = SimpleNamespace(failure=None, warnings=list)
        self.upstreams = StubUpstreams()
        self.reloader = SimpleNamespace(error=None, restart=()) if watched else None
        zoo = Zoo([Model("small", output_price=1.0), Model("large", free=True)])
        self.router = router = SimpleNamespace(zoo=zoo)
        self.readiness = Readiness(router, self.store, self.upstreams, self.reloader)


@pytest.mark.parametrize("watched", [True, False])
def test_a_gateway_is_ready_if_nothing_is_wrong(watched):
    readiness = Built(watched).readiness
    assert (readiness.errors(), readiness.warnings()) == ([], [])
    readiness.check_log()


def test_a_model_without_a_price_is_a_warning():
    built = Built()
    built.router.zoo = built.router.zoo.with_model(Model("large"))
    assert built.readiness.errors() == []
    (warning,) = built.readiness.warnings()
    assert warning.startswith("model 'large' has no price: its calls count as 0 USD")
    assert "price: free if calls cost nothing" in warning


def test_a_gateway_that_stops_gets_no_more_requests():
    readiness = Built().readiness
    readiness.stop()
    assert readiness.errors() == ["the gateway is stopping"]


def test_without_a_log_no_request_is_served():
    built = Built()
    built.store.failure = "disk full"
    assert built.readiness.errors() == ["the event log cannot be written: disk full"]
    with pytest.raises(StoreUnavailable, match=r"cannot be written \(disk full\): send the requ"):
        built.readiness.check_log()
    built.store.failure = None
    built.readiness.check_log()


def test_one_blocked_model_is_a_warning_and_all_are_an_error():
    built = Built()
    built.upstreams.blocked_models = ["small"]
    assert built.readiness.errors() == []
    assert built.readiness.warnings() == [
        "model 'small' cannot be called: its circuit breaker is open or its queue is full"
    ]
    built.upstreams.blocked_models = ["small", "large"]
    assert built.readiness.errors() == [
        "no model can be called: each has an open circuit breaker or a full queue"
    ]
    assert len(built.readiness.warnings()) == 2


def test_warnings_of_the_store_are_shown():
    built = Built()
    built.store.warnings = lambda: ["an older snapshot was used"]
    assert built.readiness.warnings() == ["an older snapshot was used"]
    assert built.readiness.errors() == []


def test_a_file_that_is_not_in_force_is_a_warning():
    built = Built()
    built.reloader.error = "floorline.yaml:3: slas is missing: add it"
    built.reloader.restart = ("seed", "policy")
    assert built.readiness.warnings() == [
        "the configuration file is not in force: floorline.yaml:3: slas is missing: add it",
        "changed fields take effect at the next restart: seed, policy",
    ]
    assert built.readiness.errors() == []


@pytest.mark.parametrize(("step", "warned"), [(30.0, False), (-30.0, False), (3600.0, True)])
def test_a_clock_that_was_set_is_a_warning(step, warned):
    built, wall = Built(), [1e9]
    clock = Clock(lambda: wall[0], lambda: 0.0)
    readiness = Readiness(
        SimpleNamespace(zoo=Zoo([Model("small", free=True)])),
        built.store,
        built.upstreams,
        None,
        clock=clock,
    )
    assert readiness.warnings() == []
    wall[0] += step
    assert [w[:43] for w in readiness.warnings()] == [
        "the system's clock was set +3600 s away from"[:43]
    ] * warned
