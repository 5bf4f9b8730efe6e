"""Tests that sketches preserve inner products and agree for dense, sparse and batched features."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.features import SparseFeatures
from floorline.estimators.sketch import Sketch


@given(st.integers(1, 70), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_dense_sparse_and_batches_agree(dim, length, seed):
    x = np.random.default_rng(seed).normal(size=dim).astype(np.float32)
    sketch = Sketch(dim, length)
    at = np.arange(dim, dtype=np.int32)
    np.testing.assert_allclose(sketch(SparseFeatures(at, x, dim)), sketch(x), atol=1e-5)
    np.testing.assert_allclose(sketch.many(x[None, :])[0], sketch(x), atol=1e-5)
    assert sketch(x).shape == (sketch.length,) == (min(dim, length),)


def test_inner_products_are_preserved_on_average():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1024)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = (x + 0.05 * rng.normal(size=x.shape)).astype(np.float32)
    sketch = Sketch(1024, 64)
    similar = (sketch.many(x) * sketch.many(y)).sum(axis=1)
    assert similar.mean() == pytest.approx(float((x * y).sum(axis=1).mean()), abs=0.04)
    unrelated = (sketch.many(x) * sketch.many(x[::-1])).sum(axis=1)
    assert abs(unrelated.mean()) < 0.03


def test_short_features_are_not_changed():
    x = np.array([0.5, -1.0, 2.0], np.float32)
    assert Sketch(3, 64)(x).tolist() == x.tolist()


def test_features_changed_in_place_are_not_read_from_the_cache():
    sketch, x = Sketch(3, 64), np.array([0.5, -1.0, 2.0], np.float32)
    first = sketch(x)
    x[0] = 4.0
    assert sketch(x).tolist() == [4.0, -1.0, 2.0]
    x.flags.writeable = False
    assert sketch(x).tolist() == sketch(x).tolist() == [4.0, -1.0, 2.0]
    assert first.tolist() == [0.5, -1.0, 2.0]
