"""The features equal those of the formula, written bucket by bucket."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from floorline.encoders import HashedNgrams, ngrams
from floorline.encoders import statistics as text_statistics
from floorline.encoders.messages import read_prompt

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=80)
REPEATED = st.builds(lambda text, times: text * times, ANY_TEXT, st.integers(1, 9))


def by_formula(prompt, dim: int, context_weight: float = 0.5) -> np.ndarray:
    """Features of ``HashedNgrams(dim)``: signed roots of counts, each kind scaled to norm 1."""
    text = read_prompt(prompt)
    buckets = dim - text_statistics.COUNT
    total = np.zeros(buckets)
    sources = [(text.focus, 1.0, 200, 600, 0)]
    if text.context:
        sources.append((text.context, context_weight, 100, 300, 1))
    for source, weight, head, tail, seed in sources:
        if len(source) > head + tail:
            source = source[:head] + "\x00" + source[len(source) - tail :]
        found = ngrams.hash_grams(source, word_sizes=(1,), char_sizes=(4,), seed=seed)
        slots = ngrams.slots(found.hashes, 2 * buckets).tolist()
        for kind in (slots[: found.words], slots[found.words :]):
            counts: Counter[int] = Counter()
            for slot in kind:
                counts[slot // 2] += 1 if slot % 2 == 0 else -1
            roots = {at: math.copysign(math.sqrt(abs(n)), n) for at, n in counts.items()}
            norm = math.sqrt(math.fsum(root * root for root in roots.values()))
            for at, root in roots.items() if norm else ():
                total[at] += weight * root / norm
    norm = math.sqrt(math.fsum(total * total))
    measured = text_statistics.measure(text)
    return np.concatenate([total / norm if norm else total, measured]).astype(np.float32)


@given(st.sampled_from((96, 256, 1024)), REPEATED, st.one_of(st.just(""), REPEATED))
def test_features_of_any_prompt_equal_the_formula(dim, text, system):
    prompt = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    expected = by_formula(prompt, dim)
    np.testing.assert_allclose(HashedNgrams(dim).encode(prompt), expected, rtol=1e-6, atol=1e-7)
    sparse = HashedNgrams(dim, output="sparse").encode_sparse(prompt)
    np.testing.assert_allclose(sparse.values, expected[sparse.indices], rtol=1e-6, atol=1e-7)
    assert not np.delete(np.abs(expected) > 1e-7, sparse.indices).any()


def test_features_of_long_prompts_equal_the_formula():
    words = [f"word{n} is {'odd' if n % 2 else 'even'}." for n in range(400)]
    prompt = [
        {"role": "system", "content": " ".join(words[:60])},
        {"role": "user", "content": " ".join(words)},
    ]
    np.testing.assert_allclose(
        HashedNgrams().encode(prompt), by_formula(prompt, 1024), rtol=1e-6, atol=1e-7
    )


def test_sums_of_zero_are_features_of_zero():
    # Few buckets: n-grams of both signs meet in one.
    prompt = "to be or not to be, that is the question " * 20
    features = HashedNgrams(96).encode(prompt)
    assert np.isfinite(features).all()
    np.testing.assert_allclose(features, by_formula(prompt, 96), rtol=1e-6, atol=1e-7)
