"""Whatever a caller gives a router: it is refused, or every store and every export holds it."""

import contextlib
import json

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from floorline.errors import FloorlineError
from floorline.events import RequestContext
from floorline.sla import SLA, Budget
from floorline.stores.export import export
from floorline.zoo import Model

ODD = ["", "\0", "a\0b", "\ud800", "x" * 256, "x" * 9000, "é" * 256, "🦜" * 256, "'); --", "\u2028"]
texts = st.sampled_from(ODD) | st.text(st.characters(), max_size=300)
numbers = (
    st.sampled_from([0, 1, 2**53 - 1, 2**53, 2**63, 2**64 - 1, 10**400, 1e308, 1e15, -1, 0.5])
    | st.integers()
    | st.floats()
)
maybe = st.none() | numbers
contexts = st.builds(RequestContext, texts, texts, texts, texts)
routes = st.fixed_dictionaries(
    {},
    optional={
        "id": texts,
        "input_tokens": numbers,
        "floor": numbers,
        "at": numbers,
        "context": contexts,
        "exclude": st.lists(texts, max_size=2),
    },
)
outcomes = st.fixed_dictionaries(
    {"cost": numbers},
    optional={
        "input_tokens": maybe,
        "output_tokens": maybe,
        "latency": maybe,
        "error": texts,
        "completion": texts,
        "at": numbers,
    },
)
labels = st.fixed_dictionaries(
    {}, optional={"score": maybe, "source": texts, "key": texts, "at": numbers}
)
added = st.fixed_dictionaries(
    {"name": texts}, optional={"input_price": numbers, "context_window": maybe, "endpoint": texts}
)
agreed = st.fixed_dictionaries(
    {"name": texts, "floor": numbers}, optional={"label_window": maybe, "confidence": numbers}
)
steps = st.one_of(
    st.tuples(st.just("route"), routes),
    st.tuples(st.just("direct"), routes),
    st.tuples(st.just("outcome"), outcomes),
    st.tuples(st.just("feedback"), labels),
    st.tuples(st.just("model"), added),
    st.tuples(st.just("sla"), agreed),
)


def act(router, vector, step, made):
    kind, fields = step
    if kind == "route":
        made.append(router.route(features=vector(1), **fields))
    elif kind == "direct":
        kept = {name: fields[name] for name in ("id", "at", "context") if name in fields}
        made.append(router.log_direct_call("large", "Why?", **kept))
    elif kind == "outcome":
        router.outcome(made[-1].id, **fields)
    elif kind == "feedback":
        router.feedback(made[-1].id, **{"score": 1.0, **fields})
    elif kind == "model":
        router.add_model(Model(**fields))
    else:
        router.set_sla(SLA(**fields, budget=Budget(total=1e9)))


class Prompts:
    """Encoder of prompts and of given features."""

    fingerprint = "prompts"

    def __init__(self, vector):
        self.dim = 6
        self.vector = vector

    def encode(self, prompt):
        return self.vector(1)


# One store takes all examples: a value that blocks it fails all that come after.
@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(steps, max_size=8))
def some_calls(router, store, vector, given):
    made = [router.route(features=vector(2))]
    before, logged = router.position, len(store)
    for step in given:
        with contextlib.suppress(FloorlineError):
            act(router, vector, step, made)
    # What was accepted is durable, and the next caller goes on.
    assert router.position - before == len(store) - logged
    store.flush(timeout=60)
    assert store.failure is None


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_value_is_refused_or_kept_by_store_and_export(
    suffix, store, build_router, vector, tmp_path
):
    router = build_router(log=store, memory=20)
    router.encoder = Prompts(vector)
    some_calls(router, store, vector)
    target = tmp_path / f"log{suffix}"
    count = export(store, target)
    assert count == len(store) > 150
    if suffix == ".parquet":
        assert len(pl.read_parquet(target)) == count
    else:
        assert all(json.loads(line) for line in target.read_bytes().splitlines())
