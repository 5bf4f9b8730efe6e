import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from floorline.core.snapshots import Stateful, pack, unpack
from floorline.errors import SnapshotMismatch


class Inner(Stateful):
    def __init__(self):
        self.count_ = 0


class Outer(Stateful):
    def __init__(self, rate=0.1):
        self.rate = rate
        self._cache = "x"
        self.weights_ = np.zeros(3)
        self.names_ = ["a"]
        self.inner_ = Inner()
        self.parts_ = {"one": Inner()}


ARRAYS = arrays.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.int32, np.bool_, np.uint8]),
    arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
)
STATES = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats()
        | st.text()
        | ARRAYS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@given(STATES)
def test_packing_keeps_every_bit(state):
    back = unpack(pack(state))
    np.testing.assert_equal(back, state)
    assert pack(back) == pack(state)


@given(ARRAYS)
def test_arrays_come_back_with_dtype_and_shape_and_can_be_written(array):
    back = unpack(pack({"a": array}))["a"]
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.flags.writeable


@given(st.binary(max_size=40))
def test_bytes_that_are_no_snapshot_are_refused_by_no_other_error(data):
    with contextlib.suppress(SnapshotMismatch):
        unpack(data)


@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_damaged_arrays_are_refused_by_no_other_error(at, bit):
    data = bytearray(pack({"weights_": np.arange(4.0), "count_": 3}))
    data[int(at * len(data))] ^= 1 << bit
    with contextlib.suppress(SnapshotMismatch):
        unpack(bytes(data))


def test_truncated_snapshots_are_refused():
    data = pack({"weights_": np.arange(4.0)})
    for length in range(len(data)):
        with pytest.raises(SnapshotMismatch, match="snapshot"):
            unpack(data[:length])


@pytest.mark.parametrize("value", [object(), np.array(["text"]), np.array([object()])])
def test_what_cannot_be_packed_is_named(value):
    with pytest.raises(NotImplementedError, match=f"cannot put a {type(value).__name__} into a sn"):
        pack({"x_": value})


def test_a_snapshot_is_all_names_that_end_in_an_underscore():
    state = Outer().snapshot()
    assert state.keys() == {"weights_", "names_", "inner_", "parts_"}
    assert state["inner_"] == {"count_": 0}
    assert state["parts_"] == {"one": {"count_": 0}}


def test_later_learning_does_not_reach_into_a_snapshot_nor_out_of_it():
    outer = Outer()
    state = outer.snapshot()
    outer.weights_[0] = 9.0
    outer.names_.append("b")
    outer.inner_.count_ = 5
    assert pack(state) == pack(Outer().snapshot())
    other = Outer()
    other.restore(state)
    other.weights_[1] = 7.0
    assert state["weights_"].tolist() == [0.0, 0.0, 0.0]


def test_restoring_keeps_hyper_parameters_and_nested_objects():
    saved, other = Outer(), Outer(rate=0.5)
    saved.inner_.count_ = saved.parts_["one"].count_ = 4
    inner = other.inner_
    other.restore(unpack(pack(saved.snapshot())))
    assert (other.rate, other.inner_, other.parts_["one"].count_) == (0.5, inner, 4)
    assert inner.count_ == 4


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda s: s.pop("weights_"), "weights_"),
        (lambda s: s.update(more_=1), "more_"),
        (lambda s: s["inner_"].update(more_=1), "more_"),
        (lambda s: s["parts_"].update(two={}), "two"),
    ],
)
def test_states_with_other_fields_are_refused_by_name(change, named):
    state = Outer().snapshot()
    change(state)
    with pytest.raises(SnapshotMismatch, match=named):
        Outer().restore(state)
