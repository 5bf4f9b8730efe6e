from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from floorline.core.snapshots import pack, unpack
from floorline.encoders import Encoder, Lsa
from floorline.errors import DataError, InvalidInput

PROMPTS = [f"How much is {i} times {i + 1}?" for i in range(30)] + [
    f"Name the {kind} of {place}."
    for kind in ("capital", "river", "king")
    for place in ("Peru", "Chile", "Spain", "Japan")
]
FITTED = Lsa(8, buckets=2048).fit(PROMPTS, rng_seed=1)


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=60))
def test_any_text_gives_finite_features(text):
    x = FITTED.encode(text)
    assert x.shape == (FITTED.dim,)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()


def test_is_an_encoder_and_batch_equals_single(unusual_texts):
    assert isinstance(FITTED, Encoder)
    rows = np.stack([FITTED.encode(p) for p in unusual_texts])
    np.testing.assert_array_equal(FITTED.encode_batch(unusual_texts), rows)


def test_similar_prompts_have_similar_features():
    sums, more_sums, lands = FITTED.encode_batch(
        ["How much is 3 times 8?", "How much is 7 times 5?", "Name the queen of Peru."]
    )[:, :8]
    assert sums @ more_sums > sums @ lands + 0.3


def test_same_seed_same_encoder():
    again = Lsa(8, buckets=2048).fit(PROMPTS, rng_seed=1)
    assert again.fingerprint == FITTED.fingerprint
    assert Lsa(8, buckets=2048).fit(PROMPTS[:-1]).fingerprint != FITTED.fingerprint
    assert "not yet" in Lsa(8).fingerprint


def test_loaded_encoder_gives_the_same_bytes_as_the_saved_one(tmp_path, unusual_texts):
    path = tmp_path / "lsa.msgpack"
    FITTED.save(path)
    loaded = Lsa.load(path)
    assert loaded.fingerprint == FITTED.fingerprint
    assert (
        loaded.encode_batch(unusual_texts).tobytes() == FITTED.encode_batch(unusual_texts).tobytes()
    )


def test_unfitted_encoders_and_too_few_prompts_are_rejected():
    for call in (lambda: Lsa().encode("x"), lambda: Lsa().save("x")):
        with pytest.raises(InvalidInput, match="not fitted"):
            call()
    with pytest.raises(InvalidInput, match="at least 64"):
        Lsa().fit(PROMPTS)
    with pytest.raises(InvalidInput, match="at least"):
        Lsa(2).fit("one text")
    assert Lsa(2, buckets=64).fit(["", "", ""]).encode("x").shape == (Lsa(2, buckets=64).dim,)


def test_damaged_files_are_rejected(tmp_path):
    path = tmp_path / "lsa.msgpack"
    FITTED.save(path)
    whole = path.read_bytes()
    artefact = unpack(whole)
    wrong = artefact["idf"].copy()
    wrong[3] += 1
    cases = {
        "damaged or not": whole[:-9],
        "not an LSA": pack({"format": "x"}),
        "version 99": pack({**artefact, "version": 99}),
        "other n-grams": pack({**artefact, "grams": "x"}),
        "do not match": pack({**artefact, "idf": wrong}),
        "incomplete LSA": pack({k: v for k, v in artefact.items() if k != "components"}),
        "Lsa.buckets": pack({**artefact, "buckets": -4}),
    }
    for problem, raw in cases.items():
        path.write_bytes(raw)
        with pytest.raises(DataError, match=problem):
            Lsa.load(path)
    with pytest.raises(DataError, match="cannot be read"):
        Lsa.load(tmp_path / "missing")


@pytest.mark.parametrize("arguments", [{"n_components": 0}, {"buckets": 3}, {"buckets": "x"}])
def test_bad_parameters_are_rejected(arguments):
    with pytest.raises(InvalidInput):
        Lsa(**arguments)
