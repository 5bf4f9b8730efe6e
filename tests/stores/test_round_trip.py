from hashlib import sha256

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from floorline.core.bounds import MAX_TIME
from floorline.core.features import SparseFeatures, freeze
from floorline.errors import InvalidInput
from floorline.events import (
    ConfigChange,
    Decision,
    Feedback,
    Outcome,
    QualityChange,
    Recall,
    SlaChange,
    WarmStart,
    ZooChange,
    encode_event,
)
from floorline.sla import SLA, Budget
from floorline.stores.packing import drop_zeros, pack_event, restore_zeros, unpack_event
from floorline.zoo import Model, Zoo

texts = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)
names = texts.map("n{}".format)
times = st.floats(0, MAX_TIME)
costs = st.floats(0, 1e15)
vectors = hnp.arrays(np.float64, 3)
dense = st.sampled_from([0, 6, 1024]).flatmap(
    lambda dim: hnp.arrays(np.float32, dim, elements=st.floats(width=32), fill=st.just(0.0))
)
sparse = st.lists(st.integers(0, 99), unique=True, max_size=20).map(
    lambda where: SparseFeatures(np.sort(np.array(where, np.int32)), np.ones(len(where)), 100)
)


@st.composite
def decisions(draw):
    return Decision(
        id=draw(names),
        seq=draw(st.integers(1, 2**50)),
        sla=draw(texts),
        floor=draw(st.floats(0, 1)),
        model=draw(texts),
        called=tuple(draw(st.lists(names, max_size=3))),
        propensities=draw(vectors),
        explored=draw(st.booleans()),
        models=tuple(draw(st.lists(names, max_size=3))),
        quality_estimates=draw(vectors),
        cost_estimates=draw(vectors),
        prediction=draw(st.none() | vectors),
        index=draw(st.integers(-1, 2)),
        features=freeze(draw(dense | sparse)),
        input_tokens=draw(st.integers(0, 2**40)),
        policy=draw(texts),
        at=draw(times),
        tenant=draw(texts),
        key=draw(texts),
        session=draw(texts),
        after=draw(texts),
    )


outcomes = st.builds(
    Outcome,
    decision=names,
    model=names,
    cost=costs,
    input_tokens=st.none() | st.integers(0, 2**40),
    output_tokens=st.none() | st.integers(0, 2**40),
    latency=st.none() | st.floats(0, 1e6),
    error=st.none() | texts,
    at=times,
    completion=st.none() | texts,
    estimated=st.booleans(),
)
feedback = st.builds(
    Feedback,
    decision=names,
    model=names,
    score=st.floats(0, 1),
    source=texts,
    cost=costs,
    at=times,
    key=texts,
)
zoo_changes = st.builds(
    lambda price, at: ZooChange(zoo=Zoo([Model("small", call_price=price)]), at=at),
    st.floats(0, 100),
    times,
)
sla_changes = st.builds(
    lambda floor, total, removed, at: SlaChange(
        sla=SLA("gold", floor=floor, budget=Budget(total=total, period=60.0)),
        removed=removed,
        at=at,
    ),
    st.floats(0, 1),
    st.floats(1, 100),
    st.booleans(),
    times,
)
scores = st.dictionaries(names, st.floats(0, 1))
said = st.dictionaries(names, st.none() | st.floats(0, 1))
recalls = st.builds(
    Recall,
    decision=decisions(),
    scores=scores,
    judged=st.dictionaries(names, said),
    at=times,
)
warm_starts = st.builds(
    # A digest names one content only, as in a real log.
    lambda body, rows, source, at: WarmStart(
        digest=sha256(body).hexdigest(), rows=rows, source=source, at=at, history=body
    ),
    st.binary(max_size=50),
    st.integers(1, 2**40),
    texts,
    times,
)
config_changes = st.builds(
    ConfigChange,
    changed=st.lists(texts, max_size=3).map(tuple),
    waiting=st.lists(texts, max_size=3).map(tuple),
    at=times,
)
quality_changes = st.builds(QualityChange, model=names, decision=texts, at=times)
kinds = [
    decisions(),
    outcomes,
    feedback,
    zoo_changes,
    sla_changes,
    recalls,
    warm_starts,
    config_changes,
    quality_changes,
]
any_event = st.one_of(kinds)
one_of_each = st.tuples(*kinds)


def encoded(events):
    return [encode_event(event) for event in events]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(any_event, max_size=5), max_size=4), each=one_of_each)
def test_events_read_from_the_log_equal_the_appended_ones(store, batches, each):
    start = len(store)
    for events in [*batches, each]:
        for event in events:
            store.append(event)
        store.flush()
    appended = [event for events in [*batches, each] for event in events]
    assert encoded(store.read(start)) == encoded(appended)
    assert len(store) == store.durable == store.end() == start + len(appended)


@given(event=any_event)
def test_an_unpacked_event_equals_the_packed_one(event):
    assert encode_event(unpack_event(pack_event(event))) == encode_event(event)


@given(body=st.binary(max_size=300), zeros=st.integers(0, 3000))
def test_zero_bytes_are_restored_at_their_places(body, zeros):
    original = body[:150] + bytes(zeros) + body[150:]
    packed = drop_zeros(original)
    assert len(packed) <= len(original)
    if packed != original:
        assert restore_zeros(packed) == original


def test_most_bytes_of_a_sparse_vector_are_omitted():
    vector = np.zeros(1024, np.float32)
    vector[::25] = 0.3
    assert len(drop_zeros(vector.tobytes())) < 900


@given(cut=st.integers(1, 600))
def test_the_error_of_damaged_bytes_names_the_fix(cut):
    packed = drop_zeros(bytes(2000) + b"\x01" * 500)
    with pytest.raises(InvalidInput, match="restore the store from a backup"):
        restore_zeros(packed[:-cut])
