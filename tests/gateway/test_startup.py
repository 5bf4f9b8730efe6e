import pytest
from tests.support.live_gateway import wait_until, write_settings

from floorline.encoders import HashedNgrams
from floorline.errors import FloorlineError
from floorline.gateway.reconcile import DesiredState
from floorline.gateway.startup import open_router
from floorline.policies import make_policy
from floorline.sla import SLA
from floorline.stores.sql import SqlStore
from floorline.zoo import Model, Zoo

SMALL, LARGE = Model("small", output_price=1.0), Model("large", output_price=9.0)
GOLD, SILVER = SLA("gold", floor=0.9), SLA("silver", floor=0.5)


@pytest.fixture
def store(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path}/log.db")
    yield store
    store.close()


def wanted(models=(SMALL, LARGE), slas=(GOLD,), own=()):
    return DesiredState(Zoo(list(models)), list(slas), frozenset(own))


def opened(store, promises=None, policy="mess_plus", **changed):
    given = {"seed": 1, "memory": 100, "at": 5.0, **changed}
    return open_router(
        store,
        promises or wanted(),
        lambda: make_policy(policy),
        given.pop("encoder", None) or HashedNgrams(),
        **given,
    )


def use(router, n=20):
    for t in range(n):
        decision = router.route(f"Question {t}?")
        router.outcome(decision.id, cost=0.1)
        router.feedback(decision.id, satisfied=t % 3 > 0)


def test_the_state_after_a_restart_is_the_one_before(store):
    router = opened(store)
    use(router)
    before = router.snapshot()
    assert opened(store).snapshot() == before


def test_a_snapshot_shortens_the_fold_and_changes_nothing(store):
    router = opened(store)
    use(router)
    store.write_snapshot(len(store), router.snapshot(decisions=False))
    use(router, 7)
    assert opened(store).snapshot() == router.snapshot()


def test_the_log_stands_alone_when_the_settings_change(store):
    router = opened(store)
    use(router)
    cheaper = Model("large", output_price=5.0)
    changed = wanted([SMALL, cheaper, Model("huge", output_price=20.0)], [GOLD, SILVER])
    router = opened(store, changed)
    assert router.zoo == changed.zoo
    assert list(router.slas) == ["gold", "silver"]
    use(router, 5)
    before = router.snapshot()
    assert opened(store, changed).snapshot() == before
    back = opened(store, wanted([SMALL], [SLA("gold", floor=0.8)]))
    assert back.zoo.names == ("small",)
    assert back.slas == {"gold": SLA("gold", floor=0.8)}


def test_a_model_may_leave_with_the_sla_that_named_it(store):
    named = SLA("narrow", floor=0.5, models=("large",))
    opened(store, wanted(slas=[GOLD, named]))
    router = opened(store, wanted([SMALL], [GOLD]))
    assert (router.zoo.names, list(router.slas)) == (("small",), ["gold"])


def test_a_tenants_own_sla_follows_the_one_it_is_made_from(store):
    router = opened(store, wanted(own=["gold"]))
    router.set_sla(SLA("gold@acme", floor=0.9))
    router = opened(store, wanted(slas=[SLA("gold", floor=0.7)], own=["gold"]))
    assert router.slas["gold@acme"].floor == 0.7
    router = opened(store, wanted(slas=[SLA("gold", floor=0.7)]))
    assert list(router.slas) == ["gold"]


def test_another_policy_folds_the_log_anew(store):
    router = opened(store)
    use(router)
    store.write_snapshot(len(store), router.snapshot(decisions=False))
    other = opened(store, policy="sla_router")
    assert other.policy.name == "sla_router"
    assert other.status().requests == len(other.remembered) == 20
    assert other.status().labels == 20


@pytest.mark.parametrize(
    ("changed", "field"), [({"encoder": HashedNgrams(dim=256)}, "encoder"), ({"seed": 2}, "seed")]
)
def test_a_log_of_another_encoder_or_seed_is_refused(changed, field, store):
    opened(store)
    with pytest.raises(
        FloorlineError, match=f"the log in store.url was written with {field} .* set {field} back"
    ):
        opened(store, **changed)


def test_a_gateway_starts_where_it_stopped(start, provider, tmp_path):
    gateway = start(write_settings(provider), tmp_path)
    for n in range(5):
        answer = gateway.chat(text=f"Why {n}?")
        gateway.http.post("/v1/feedback", json={"id": answer.json()["id"], "satisfied": n > 1})
    before = gateway.call(gateway.gateway.router.snapshot)
    gateway.stop()
    again = start(write_settings(provider), tmp_path)
    assert again.gateway.store.last_snapshot()[0] == len(again.gateway.store)
    assert again.call(again.gateway.router.snapshot) == before


def test_events_older_than_the_retention_are_deleted(start, provider, tmp_path):
    gateway = start(write_settings(provider), tmp_path)
    for n in range(5):
        gateway.chat(text=f"Why {n}?")
    gateway.stop()
    short = {"url": "sqlite:///log.db", "retention": "1ms"}
    again = start(write_settings(provider, store=short, memory=1), tmp_path)
    # Two snapshots that remember one decision only let the others go, at the next look.
    for _ in range(2):
        again.chat()
        again.call(again.gateway.snapshots.write)
    again.stop()
    last = start(write_settings(provider, store=short, memory=1), tmp_path)
    wait_until(lambda: last.gateway.store.first() > 0)
    assert last.http.get("/v1/slas/gold").json()["requests"] == 7


def test_prices_that_changed_since_the_last_start_are_a_change_of_the_zoo_and_a_warning(
    store, caplog
):
    use(opened(store))
    dearer = Model("small", output_price=2.0, cached_input_price=0.1)
    before = len(list(store.read()))
    router = opened(store, wanted(models=(dearer, LARGE)))
    store.flush()
    assert router.zoo.models[0] == dearer
    (change,) = list(store.read())[before:]
    assert change.zoo.models[0] == dearer
    assert caplog.messages == [
        "since the last start the prices of model 'small' changed: output_price from 1 to 2, "
        "cached_input_price from none to 0.1"
    ]
    # The log has the numbers: the same prices are no change.
    caplog.clear()
    assert opened(store, wanted(models=(dearer, LARGE))).snapshot() == router.snapshot()
    assert caplog.messages == []


def test_a_model_without_a_price_is_warned_about_at_the_start(store, caplog):
    opened(store, wanted(models=(SMALL, Model("none"), Model("free", free=True))))
    (message,) = caplog.messages
    assert message.startswith("model 'none' has no price: its calls count as 0 USD")
