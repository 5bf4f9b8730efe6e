from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.encoders import Encoder, HashedNgrams, SparseFeatures
from floorline.encoders import statistics as text_statistics
from floorline.errors import InvalidInput

DENSE = HashedNgrams(256)
SPARSE = HashedNgrams(256, output="sparse")


def scatter(features: SparseFeatures) -> np.ndarray:
    dense = np.zeros(features.dim, dtype=np.float32)
    dense[features.indices] = features.values
    return dense


def check(prompt):
    dense, sparse = DENSE.encode(prompt), SPARSE.encode(prompt)
    assert dense.shape == (256,)
    assert dense.dtype == np.float32
    assert np.isfinite(dense).all()
    assert sparse.dim == 256
    assert sparse.indices.dtype == np.int32
    assert sparse.values.dtype == np.float32
    assert (np.diff(sparse.indices) > 0).all()
    assert (sparse.values != 0).all()
    np.testing.assert_allclose(scatter(sparse), dense, rtol=1e-6, atol=1e-7)
    norm = np.linalg.norm(dense[: -text_statistics.COUNT])
    assert norm == pytest.approx(1.0, abs=1e-5) or norm == 0.0
    measured = dense[-text_statistics.COUNT :]
    assert measured.min() >= 0.0
    assert measured.max() <= 1.0
    np.testing.assert_array_equal(dense, HashedNgrams(256).encode(prompt))


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=60))
def test_dense_and_sparse_features_of_any_text_are_finite_and_equal(text):
    check(text)
    check([{"role": "system", "content": text[:9]}, {"role": "user", "content": text}])


def test_unusual_texts(unusual_text):
    check(unusual_text)
    assert np.isfinite(HashedNgrams().encode(unusual_text)).all()


def test_is_an_encoder_and_batch_equals_single_in_any_order(unusual_texts):
    assert isinstance(DENSE, Encoder)
    prompts = [*unusual_texts, [{"role": "user", "content": "hi"}]]
    batch = DENSE.encode_batch(prompts)
    np.testing.assert_array_equal(batch, np.stack([DENSE.encode(p) for p in prompts]))
    np.testing.assert_array_equal(batch[::-1], DENSE.encode_batch(prompts[::-1]))
    np.testing.assert_array_equal(batch, SPARSE.encode_batch(prompts))
    assert DENSE.encode_batch([]).shape == (0, 256)


@pytest.mark.parametrize("length", [501, 5_001, 50_001])
def test_tail_and_head_of_long_prompts_change_the_features(length):
    encoder = HashedNgrams(statistics_weight=0.0)
    middle = ("Question: is water wet? Answer: yes.\n" * (length // 30 + 1))[:length]
    base = encoder.encode("Be kind. " + middle + "Question: what is the capital of Peru?")
    for other in (
        "Be kind. " + middle + "Question: what is the square root of 81?",
        "Be rude! " + middle + "Question: what is the capital of Peru?",
    ):
        assert float(base @ encoder.encode(other)) < 0.999


def test_norm_of_ngrams_does_not_depend_on_length():
    encoder = HashedNgrams(statistics_weight=0.0)
    for text in ("hi", "hello there " * 10, "word soup " * 1000):
        assert np.linalg.norm(encoder.encode(text)) == pytest.approx(1.0, abs=1e-5)


def test_system_prompt_changes_the_features_less_than_the_user_turn():
    def chat(system, user):
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        return HashedNgrams(statistics_weight=0.0).encode(messages)

    base = chat("You are a poet.", "Write about the sea.")
    other_system = float(base @ chat("Solve the equations!", "Write about the sea."))
    other_user = float(base @ chat("You are a poet.", "Integrate x over y, twice."))
    assert other_user < other_system < 0.99


def test_same_features_in_another_process():
    code = (
        "from floorline.encoders import HashedNgrams;"
        "print(HashedNgrams().encode('Why is the sky blue? 日本').tobytes().hex())"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
    )
    assert done.stdout.strip() == HashedNgrams().encode("Why is the sky blue? 日本").tobytes().hex()


def test_a_megabyte_is_encoded():
    x = HashedNgrams().encode("lorem ipsum " * 90_000 + "語")
    assert np.isfinite(x).all()


def test_statistics_differ_between_kinds_of_prompts():
    def stats(text):
        return HashedNgrams().encode(text)[-text_statistics.COUNT :]

    texts = ["What is it?", "42 + 17 = 59", "def f(x): {x}", "Привет мир", "x" * 4000, "A\nB\n\nC"]
    rows = np.stack([stats(t) for t in texts])
    distances = np.abs(rows[:, None] - rows[None]).sum(axis=2)
    assert (distances[~np.eye(len(texts), dtype=bool)] > 0.1).all()


def test_fingerprint_names_every_parameter():
    kinds = [
        HashedNgrams(),
        HashedNgrams(512),
        HashedNgrams(1024, output="sparse"),
        HashedNgrams(head=10),
        HashedNgrams(tail=10),
        HashedNgrams(word_sizes=(1, 2)),
        HashedNgrams(char_sizes=()),
        HashedNgrams(context_weight=0.1),
        HashedNgrams(statistics_weight=0.1),
    ]
    assert len({kind.fingerprint for kind in kinds}) == len(kinds)
    assert HashedNgrams().fingerprint == HashedNgrams(1024).fingerprint


@pytest.mark.parametrize(
    "arguments",
    [
        {"dim": 20},
        {"dim": 2**25},
        {"dim": 512.5},
        {"dim": True},
        {"output": "dense"},
        {"head": -1},
        {"tail": 10**6},
        {"word_sizes": (0,)},
        {"char_sizes": (99,)},
        {"context_weight": float("nan")},
        {"statistics_weight": -1.0},
    ],
)
def test_bad_parameters_are_rejected(arguments):
    with pytest.raises(InvalidInput, match=f"HashedNgrams.{next(iter(arguments))}"):
        HashedNgrams(**arguments)


def test_empty_windows_give_statistics_only():
    x = HashedNgrams(head=0, tail=0).encode("hello")
    assert not x[: -text_statistics.COUNT].any()
    assert x[-text_statistics.COUNT :].any()
