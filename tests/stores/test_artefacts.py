import msgspec
import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

from floorline.cli.app import main
from floorline.errors import StoreDamaged
from floorline.events import WarmStart, encode_event
from floorline.policies import History, make_policy
from floorline.router import Router
from floorline.sla import SLA
from floorline.stores import open_store
from floorline.stores.log_source import reading_log
from floorline.stores.recovery import recover
from floorline.stores.retention import vacuum
from floorline.stores.schema import ARTEFACT, events
from floorline.whatif.counterfactual import Counterfactual
from floorline.zoo import Model, Zoo

ZOO = Zoo([Model("small", output_price=1.0), Model("large", output_price=9.0)])
SLAS = [SLA("gold", floor=0.8)]


def build(log, policy="primal_dual"):
    return Router(ZOO, policy, SLAS, seed=1, log=log, memory=5)


def history(router, rows=200, seed=0):
    rng = np.random.default_rng(seed)
    prompts = [f"What is {number} + {number}?" for number in range(rows)]
    return History(
        features=list(router.encoder.encode_batch(prompts)),
        quality=(rng.random((rows, 2)) < [0.5, 0.9]).astype(float),
        cost=rng.random((rows, 2)) * [1e-4, 1e-3],
        input_tokens=np.full(rows, 5),
    )


def serve(router, start, n):
    for t in range(start, start + n):
        decision = router.route(f"Question {t}?", at=float(t))
        router.outcome(decision.id, cost=0.5, at=float(t))
        router.feedback(decision.id, satisfied=t % 3 > 0, at=float(t))


@pytest.fixture
def warm(url):
    """An open store, and a router on it that served, warm-started and served again."""
    store = open_store(url)
    router = build(store)
    serve(router, 0, 10)
    router.warm_start(history(router), source="logs.parquet", at=10.0)
    serve(router, 10, 10)
    store.flush()
    yield store, router
    store.close()


def test_a_router_recovers_from_the_log_alone(warm):
    store, router = warm
    again = recover(lambda: build(store), store)
    assert len(store) == 61
    assert again.snapshot() == router.snapshot()
    other = recover(lambda: build(store, "port"), store)
    assert other.policy.quality_.predict_one(router.encoder.encode("Why?")).sum() > 0


def test_the_history_lies_beside_the_log_and_comes_back_with_its_event(warm):
    store, router = warm
    with store.engine.connect() as connection:
        rows = connection.execute(
            sa.select(events.c.key, events.c.body).filter_by(kind="warm_start")
        )
        ((digest, body),) = rows.all()
    assert len(body) < 300
    (event,) = [event for event in store.read() if isinstance(event, WarmStart)]
    packed = store.documents(ARTEFACT)
    assert packed == {digest: event.history}
    assert event.digest == digest
    assert router.warm_start(history(router)) is False
    assert len(store) == 61


def test_two_events_may_share_a_history(warm):
    """Such as those of two routers that both wrote to the log, one after the other."""
    store, router = warm
    (event,) = [event for event in store.read() if isinstance(event, WarmStart)]
    store.append(event)
    store.flush()
    assert len(store.documents(ARTEFACT)) == 1
    again = recover(lambda: build(store), store)
    assert again.policy.snapshot().keys() == router.policy.snapshot().keys()
    assert again.status() == router.status()


def test_vacuum_deletes_a_history_with_its_last_event(warm):
    store, router = warm

    def save():
        oldest = next(iter(router.remembered))
        store.write_snapshot(len(store), router.snapshot(decisions=False), oldest)

    vacuum(store.engine, before=9.0)
    assert len(store.documents(ARTEFACT)) == 1
    save()
    vacuum(store.engine, before=9.0)
    assert store.first() > 20
    assert len(store.documents(ARTEFACT)) == 1
    vacuum(store.engine, before=1000.0)
    assert store.documents(ARTEFACT) == {}
    again = recover(lambda: build(store), store)
    assert again.snapshot() == router.snapshot()
    assert again.warm_start(history(router)) is False


def test_other_documents_stay(warm):
    store, _ = warm
    store.put_document("model", "small", b"{}")
    vacuum(store.engine, before=1000.0)
    assert store.documents("model") == {"small": b"{}"}


def test_a_missing_history_is_an_error_and_no_silent_cold_start(warm):
    store, _ = warm
    (digest,) = store.documents(ARTEFACT)
    store.drop_document(ARTEFACT, digest)
    with pytest.raises(StoreDamaged, match=r"the history .* of a warm start is missing"):
        recover(lambda: build(store), store)


def exported(store, tmp_path, *options, name="log.jsonl"):
    path = tmp_path / name
    url = store.engine.url.render_as_string(hide_password=False)
    assert main(["store", "export", str(path), "--store", url, *options]) == 0
    return path


def test_an_export_with_features_gives_the_same_events(warm, tmp_path):
    store, _ = warm
    path = exported(store, tmp_path, "--features")
    with reading_log(str(path)) as log:
        found = [event for _, event in log]
    assert [encode_event(event) for event in found] == [encode_event(e) for e in store.read()]


def test_an_export_without_features_names_the_history_only(warm, tmp_path):
    store, _ = warm
    path = exported(store, tmp_path)
    rows = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    (row,) = [row for row in rows if row["kind"] == "warm_start"]
    assert set(row) == {"position", "kind", "digest", "rows", "source", "at"}
    frame = pl.read_parquet(exported(store, tmp_path, "--features", name="log.parquet"))
    one = frame.filter(pl.col("kind") == "warm_start").to_dicts()[0]
    assert (one["rows"], one["source"]) == (200, "logs.parquet")
    assert one["history"] in store.documents(ARTEFACT).values()


def test_another_policy_learns_the_history_in_a_what_if(warm):
    store, router = warm

    def learned(warm_started):
        other = Counterfactual(make_policy("port"), ZOO, SLAS, router.encoder.dim)
        for event in store.read():
            if warm_started or not isinstance(event, WarmStart):
                other.fold(event)
        return other.router.policy.quality_.predict_one(router.encoder.encode("What is 3 + 3?"))

    assert learned(True).tolist() != learned(False).tolist()
