import zlib

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.features import SparseFeatures
from floorline.errors import InvalidInput
from floorline.events import WarmStart
from floorline.policies.base import History
from floorline.state.history import check_history, pack_history, unpack_history
from floorline.zoo import Model, Zoo

NAMES = ("small", "medium", "large")
ZOO = Zoo([Model(name) for name in NAMES])


def history(rows=20, dim=6, *, sparse=False, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, dim)).astype(np.float32)
    features[rng.random((rows, dim)) < 0.5] = 0.0
    quality = rng.random((rows, 3))
    quality[rng.random((rows, 3)) < 0.3] = np.nan
    listed = list(features)
    if sparse:
        listed = [
            SparseFeatures(np.flatnonzero(x).astype(np.int32), x[x != 0], dim) for x in features
        ]
    return History(listed, quality, rng.random((rows, 3)) * 1e-3, rng.integers(0, 999, rows))


def event(given, models=NAMES):
    packed = pack_history(given, models)
    return WarmStart(digest=packed.digest, rows=len(given.features), history=packed.body)


def assert_same(one, other):
    for x, y in zip(one.features, other.features, strict=True):
        assert type(x) is type(y)
        for a, b in zip(x, y, strict=True) if isinstance(x, SparseFeatures) else [(x, y)]:
            np.testing.assert_array_equal(a, b)
            assert getattr(a, "dtype", None) == getattr(b, "dtype", None)
    for a, b in zip(one[1:], other[1:], strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


@given(
    rows=st.integers(1, 30), dim=st.integers(1, 40), sparse=st.booleans(), seed=st.integers(0, 9)
)
def test_a_history_comes_back_as_it_was_to_the_last_bit(rows, dim, sparse, seed):
    made = history(rows, dim, sparse=sparse, seed=seed)
    assert_same(unpack_history(event(made), ZOO), made)


def test_equal_histories_have_equal_digests_and_others_do_not():
    digest = pack_history(history(), NAMES).digest
    assert pack_history(history(), NAMES).digest == digest
    copied = history()._replace(features=[x.astype(np.float64) for x in history().features])
    assert pack_history(copied, NAMES).digest == digest
    others = [
        pack_history(history(seed=1), NAMES),
        pack_history(history(), NAMES[::-1]),
        pack_history(history(sparse=True), NAMES),
        pack_history(history()._replace(input_tokens=np.zeros(20, np.int64)), NAMES),
    ]
    assert len({digest, *(other.digest for other in others)}) == 5


def test_columns_follow_the_zoo():
    made = history()
    read = unpack_history(event(made), Zoo([Model("large"), Model("new"), Model("small")]))
    np.testing.assert_array_equal(read.quality[:, [0, 2]], made.quality[:, [2, 0]])
    np.testing.assert_array_equal(read.cost[:, [0, 2]], made.cost[:, [2, 0]])
    assert np.isnan(read.quality[:, 1]).all()
    assert np.isnan(read.cost[:, 1]).all()


def test_zeros_take_little_space():
    features = list(np.zeros((500, 1024), np.float32))
    sparse = history()._replace(
        features=features,
        quality=np.ones((500, 3)),
        cost=np.ones((500, 3)),
        input_tokens=np.ones(500, np.int64),
    )
    assert len(pack_history(sparse, NAMES).body) < 500 * 1024 * 4 / 50


def test_an_event_without_its_history_is_refused():
    with pytest.raises(
        InvalidInput, match=r"WarmStart\.history is b'': read the event from its log"
    ):
        unpack_history(WarmStart(digest="d", rows=1), ZOO)


@pytest.mark.parametrize("length", [0, 1, 10, 100, -10])
def test_a_history_cut_short_is_refused(length):
    made = event(history())
    short = msgspec.structs.replace(made, history=made.history[:length] or b"?")
    with pytest.raises(InvalidInput, match=r"WarmStart\.history is .*: restore the store from a b"):
        unpack_history(short, ZOO)


@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_damaged_history_is_refused(at, bit):
    made = event(history())
    plain = bytearray(zlib.decompress(made.history))
    plain[int(at * len(plain))] ^= 1 << bit
    damaged = msgspec.structs.replace(made, history=zlib.compress(bytes(plain)))
    with pytest.raises(InvalidInput, match=r"WarmStart\.(history|digest) is .*: restore the store"):
        unpack_history(damaged, ZOO)


def change(field, value):
    made = history()
    if field != "features":
        value = np.full_like(np.asarray(getattr(made, field), dtype=np.float64), value)
    return made._replace(**{field: value})


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (change("features", []), "history.features is []: give at least one labelled request"),
        (
            change("features", [np.zeros(7)] * 20),
            "history.features[0] is 'of length 7': give 6 num",
        ),
        (
            change("features", [np.full(6, np.nan)] * 20),
            "history.features[0] is 'holding NaN or in",
        ),
        (
            change("features", [*history(10).features, *history(10, sparse=True).features]),
            "history.features is 'dense and sparse': give either dense or sparse features",
        ),
        (
            history()._replace(quality=np.ones((20, 2))),
            "history.quality is 'of shape (20, 2)': give an array of shape (20, 3)",
        ),
        (
            history()._replace(input_tokens=np.ones(19, np.int64)),
            "history.input_tokens is 'of shape (19,)': give an array of shape (20,)",
        ),
        (change("quality", 1.5), "history.quality is 'out of range': give numbers from 0 to 1, or"),
        (change("cost", -1.0), "history.cost is 'out of range': give numbers from 0 to 1e+15"),
        (change("cost", np.inf), "history.cost is 'out of range'"),
        (
            history()._replace(input_tokens=np.full(20, -1)),
            "history.input_tokens is 'out of range'",
        ),
        (change("input_tokens", np.nan), "give whole numbers"),
    ],
)
def test_a_history_that_breaks_a_rule_is_refused_by_field_value_and_fix(made, message):
    with pytest.raises(InvalidInput) as caught:
        check_history(made, 3, 6)
    assert message in str(caught.value)


def test_a_sound_history_passes():
    for sparse in (False, True):
        check_history(history(sparse=sparse), 3, 6)
