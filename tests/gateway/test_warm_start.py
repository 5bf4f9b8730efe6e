"""The setting ``history``."""

import logging

import numpy as np
import pytest
from tests.support.live_gateway import MODELS, write_settings

from floorline.datasets import RoutingTable, simulate
from floorline.encoders import HashedNgrams
from floorline.errors import DataError
from floorline.events import Feedback, RequestContext, WarmStart
from floorline.gateway.reconcile import DesiredState
from floorline.gateway.startup import open_router
from floorline.gateway.warm_start import labelled_requests, warm_start
from floorline.policies import make_policy
from floorline.replay import Spec, prepare, replay
from floorline.replay.environment import Environment
from floorline.replay.run import build_policy, history_of
from floorline.sla import SLA
from floorline.stores.sql import SqlStore
from floorline.zoo import Model, Zoo

ENCODER = HashedNgrams(96)
GOLD = (SLA("gold", floor=0.8),)
TWO = Zoo([Model("small", output_price=1.0), Model("large", output_price=9.0)])


@pytest.fixture
def open_store(tmp_path):
    """Open the store of a server; it closes after the test."""
    opened = []

    def begin():
        opened.append(SqlStore(f"sqlite:///{tmp_path}/log.db"))
        return opened[-1]

    yield begin
    for store in opened:
        store.close()


def table(models=("small", "large"), rows=60, seed=0, unit="USD"):
    rng = np.random.default_rng(seed)
    prompts = [f"What is {number} + {number}?" for number in range(rows)]
    quality = (rng.random((rows, len(models))) < 0.7).astype(float)
    return RoutingTable(prompts, models, quality, rng.random(quality.shape) * 1e-3, cost_unit=unit)


def saved(table, folder, name="history.parquet"):
    table.save(folder / name)
    return str(folder / name)


def opened(store, history, policy="primal_dual", zoo=TWO, slas=GOLD):
    router = open_router(
        store,
        DesiredState(zoo, list(slas), frozenset()),
        lambda: make_policy(policy) if isinstance(policy, str) else policy(),
        ENCODER,
        seed=2,
        memory=50_000,
        at=0.0,
    )
    learned = warm_start(router, store, history, at=0.0)
    return router, learned


def use(router, start, n, satisfied=lambda t: t % 3 > 0):
    for t in range(start, start + n):
        decision = router.route(f"Question {t}?", at=float(t))
        router.outcome(decision.id, cost=1e-4, at=float(t))
        router.feedback(decision.id, satisfied=satisfied(t), at=float(t))


def served(router, data, like, steps):
    """Serve a replay's requests: the models that served, and what all calls cost."""
    world = Environment(data, like.spec, router)
    run = like._replace(**{name: np.zeros_like(getattr(like, name)) for name in RECORDED})
    for step in steps:
        row, at = int(like.row[step]), float(step)
        (decision,) = router.decide([world.request(row, at=at)], at=at)
        world.answer(run, step, row, decision)
    return run.model[steps], run.cost[steps]


RECORDED = ("model", "explored", "satisfied", "cost", "served_cost", "labels")


def test_a_server_decides_like_a_replay_with_that_history(open_store, tmp_path):
    """Neither the file nor the log nor a crash changes a decision."""
    past, stream = simulate(400, seed=3).split_rows(0.5, seed=1)
    history = saved(past, tmp_path)
    data = prepare(stream, ENCODER)
    spec = Spec("primal_dual", 0.8, feedback="served+sparse:0.5", seed=2)
    expected = replay(data, spec, past=history_of(prepare(past, ENCODER)))
    assert not np.array_equal(expected.model, replay(data, spec).model)

    def start():
        policy, slas = (lambda: build_policy(data, spec)), [SLA("stream", floor=0.8)]
        return opened(open_store(), history, policy, data.zoo, slas)

    router, learned = start()
    assert learned
    for steps in (range(150), range(150, len(expected.row))):
        models, costs = served(router, data, expected, steps)
        np.testing.assert_array_equal(models, expected.model[steps])
        np.testing.assert_array_equal(costs, expected.cost[steps])
        before = router.snapshot()
        router.log.close()  # Without a snapshot: the next start folds the whole log.
        router, learned = start()
        assert not learned
        assert router.snapshot() == before


def test_a_file_is_learned_once_and_another_file_too(open_store, tmp_path):
    store = open_store()
    first, other = saved(table(), tmp_path), saved(table(seed=1), tmp_path, "other.parquet")
    assert opened(store, first)[1]
    assert not opened(store, first)[1]
    assert opened(store, other)[1]
    assert not opened(store, first)[1]
    events = [event for event in store.read() if isinstance(event, WarmStart)]
    assert [(event.rows, event.source.split()[0]) for event in events] == [
        (60, "history.parquet"),
        (60, "other.parquet"),
    ]
    assert opened(store, None)[1] is False


def test_the_same_content_under_another_name_is_learned_once(open_store, tmp_path):
    store = open_store()
    assert opened(store, saved(table(), tmp_path))[1]
    assert not opened(store, saved(table(), tmp_path, "renamed.parquet"))[1]


def test_a_model_that_joins_later_does_not_make_the_file_another_one(open_store, tmp_path):
    store, history = open_store(), saved(table(("small", "large", "huge")), tmp_path)
    assert opened(store, history)[1]
    larger = TWO.with_model(Model("huge", output_price=20.0))
    router, learned = opened(store, history, zoo=larger)
    assert not learned
    assert router.zoo.names == ("small", "large", "huge")


def test_models_of_the_server_that_the_file_lacks_are_unknown(open_store, tmp_path):
    router, learned = opened(open_store(), saved(table(("large", "other")), tmp_path))
    assert learned
    decision = router.route("What is 3 + 3?", at=1.0)
    assert set(decision.quality) == {"small", "large"}


def test_another_policy_learns_the_history_from_the_log(open_store, tmp_path):
    store, history = open_store(), saved(table(), tmp_path)
    opened(store, history)
    (tmp_path / "history.parquet").unlink()
    router, _ = opened(store, None, "knn_perf")
    assert router.route("What is 3 + 3?", at=1.0).expected_quality > 0


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (table(unit="J"), "its costs are in J, those of the settings in USD: give a history in t"),
        (table(("a", "b")), r"it has no model of the settings: name its models \(a, b\) as these"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_leaves_no_trace(
    made, message, open_store, tmp_path
):
    store = open_store()
    with pytest.raises(DataError, match=message):
        opened(store, saved(made, tmp_path))
    assert len(store) == 0


def test_a_file_that_is_gone_or_damaged_is_refused(open_store, tmp_path):
    store, path = open_store(), tmp_path / "history.parquet"
    with pytest.raises(DataError, match="history cannot be read"):
        opened(store, str(path))
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError):
        opened(store, str(path))


# The server's own log.


def test_a_policy_that_learns_online_takes_nothing_from_the_log_twice(open_store, caplog):
    store = open_store()
    router, _ = opened(store, None)
    use(router, 0, 10)
    with caplog.at_level(logging.INFO, logger="floorline.gateway"):
        router, learned = opened(store, "log")
    assert not learned
    assert "policy 'primal_dual' learns the labels of the log as they come" in caplog.text


def test_a_policy_that_learns_from_histories_only_learns_what_came_since(open_store):
    store = open_store()
    router, learned = opened(store, "log", "knn_perf")
    assert not learned
    use(router, 0, 10)
    router, learned = opened(store, "log", "knn_perf")
    assert learned
    assert not opened(store, "log", "knn_perf")[1]
    use(router, 10, 5)
    # A correction of a label that was learned is no new request.
    first = next(event.id for event in store.read() if hasattr(event, "features"))
    router.feedback(first, score=0.5, at=20.0)
    again, learned = opened(store, "log", "knn_perf")
    assert learned
    events = [event for event in store.read() if isinstance(event, WarmStart)]
    assert [(event.rows, event.source) for event in events] == [(10, "log"), (5, "log")]
    assert opened(store, "log", "knn_perf")[0].snapshot() == again.snapshot()


def test_only_labelled_requests_of_the_log_are_learned(open_store):
    store = open_store()
    router, _ = opened(store, None, "cheapest")
    plain = router.route("No label", at=1.0)
    router.outcome(plain.id, cost=1e-5, at=1.0)
    labelled = router.route("A label", at=2.0)
    router.outcome(labelled.id, cost=2e-5, at=2.0)
    router.outcome(router.log_direct_call("large", "Direct", at=3.0).id, cost=2.0, at=3.0)
    router.feedback(labelled.id, score=0.25, at=4.0)
    router.feedback(labelled.id, score=0.75, at=5.0)
    failed = router.route("Failed", at=6.0)
    router.outcome(failed.id, cost=0.0, error="timeout", at=6.0)
    router.feedback(failed.id, satisfied=False, at=6.0)
    store.flush()
    ids = store.labelled(0, 100)
    assert ids == [labelled.id, failed.id]
    # Of more decisions than are asked for, those with the latest labels.
    assert store.labelled(0, 1) == [failed.id]
    history, models = labelled_requests(store.events_of(ids))
    assert models == ("small", "large")
    np.testing.assert_array_equal(history.quality, [[0.75, np.nan], [0.0, np.nan]])
    np.testing.assert_array_equal(history.cost, [[2e-5, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(history.features[0], labelled.features)
    assert history.input_tokens.tolist() == [labelled.input_tokens, failed.input_tokens]


@pytest.mark.parametrize(("policy", "rows"), [("cheapest", 1), ("knn_perf", 2)])
def test_a_model_that_clients_name_is_learned_if_its_prompt_was_encoded(open_store, policy, rows):
    store = open_store()
    router, _ = opened(store, None, policy)
    named = router.log_direct_call("large", "Direct", at=1.0)
    routed = router.route("Routed", at=2.0)
    for made in (named, routed):
        router.feedback(made.id, satisfied=True, at=3.0)
    store.flush()
    assert store.decision(named.id).features.dim if policy == "cheapest" else True
    assert len(labelled_requests(store.events_of(store.labelled(0, 100))).history.features) == rows


# A server.


def test_a_server_learns_its_history_before_the_first_request(start, provider, tmp_path):
    past = simulate(300, seed=3).select_models(MODELS)
    saved(past, tmp_path)
    text = write_settings(provider, history="history.parquet")
    warm = start(text, tmp_path)
    answer = warm.http.post("/v1/route", json={"model": "floorline/gold", "messages": MESSAGES})
    assert answer.status_code == 200
    assert len([e for e in warm.gateway.store.read() if isinstance(e, WarmStart)]) == 1
    before = warm.call(warm.gateway.router.snapshot)
    warm.stop()
    again = start(text, tmp_path)
    assert len([e for e in again.gateway.store.read() if isinstance(e, WarmStart)]) == 1
    assert again.call(again.gateway.router.snapshot) == before


MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]


def test_of_a_sender_that_the_router_weighed_less_a_history_has_fewer_labels(build_router, vector):
    """Else a restart with ``history: log`` would learn what the router did not."""
    router = build_router("random")
    rng = np.random.default_rng(0)
    for number in range(600):
        liar = number % 10 == 0
        context = RequestContext(tenant="liar" if liar else f"tenant {number % 9}")
        decision = router.route(features=vector(number % 40), context=context)
        if liar or rng.random() < 0.5:
            router.feedback(decision.id, score=0.0 if liar else float(rng.random() < 0.9))
    events = list(router.log.read())
    given = [event for event in events if isinstance(event, Feedback)]
    history, _ = labelled_requests(events)
    known = ~np.isnan(history.quality)
    assert known.sum() == pytest.approx(sum(event.influence for event in given), abs=12)
    assert known.sum() < len(given) - 30
    assert np.nanmean(history.quality) > 0.85 > np.mean([event.score for event in given])
