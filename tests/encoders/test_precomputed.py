from __future__ import annotations

import numpy as np
import pytest

from floorline.encoders import Encoder, Precomputed
from floorline.errors import InvalidInput


def test_looks_up_by_prompt_key_or_row():
    matrix = np.arange(6.0).reshape(3, 2)
    by_row, by_key = Precomputed(matrix), Precomputed(matrix, keys=["a", "b", "c"])
    assert isinstance(by_row, Encoder)
    assert by_row.encode("2").tolist() == by_key.encode("c").tolist() == [4.0, 5.0]
    assert by_key.encode([{"role": "user", "content": "b"}]).tolist() == [2.0, 3.0]
    batch = by_key.encode_batch(["c", "a"])
    assert batch.dtype == np.float32
    assert batch.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert by_key.encode_batch([]).shape == (0, 2)
    assert by_row.fingerprint != by_key.fingerprint
    assert by_key.fingerprint == Precomputed(dict(zip("abc", matrix, strict=True))).fingerprint


def test_rows_cannot_be_changed_from_outside():
    matrix = np.ones((1, 2), dtype=np.float32)
    encoder = Precomputed(matrix)
    matrix[:] = 7
    assert encoder.encode("0").tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="read-only"):
        encoder.encode("0")[0] = 5


def test_unknown_prompt_is_rejected():
    with pytest.raises(InvalidInput, match="no precomputed features"):
        Precomputed({"a": [1.0]}).encode("b")


@pytest.mark.parametrize(
    ("rows", "keys"),
    [
        ([[1.0, np.nan]], None),
        ([[1.0, np.inf]], None),
        ([[1e300]], None),
        ([1.0, 2.0], None),
        ([], None),
        ({}, None),
        ({"a": [1.0], "b": [1.0, 2.0]}, None),
        ([["x"]], None),
        ([[1.0], [2.0]], ["a"]),
        ([[1.0], [2.0]], ["a", "a"]),
        ([[1.0]], [3]),
        ({"a": [1.0]}, ["a"]),
    ],
)
def test_bad_rows_and_keys_are_rejected(rows, keys):
    with pytest.raises(InvalidInput):
        Precomputed(rows, keys)
