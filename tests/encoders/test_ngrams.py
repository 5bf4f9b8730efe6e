from __future__ import annotations

import numpy as np

from floorline.encoders import ngrams
from floorline.encoders.ngrams import AsciiSlots, WordSlots, hash_grams, slots


def words(text, n=1, seed=0):
    return hash_grams(text, word_sizes=(n,), char_sizes=(), seed=seed).hashes.tolist()


def test_hash_of_a_word_is_independent_of_position_and_case():
    first = words("The cat, the CAT")
    assert first[0] == first[2]
    assert first[1] == first[3]
    assert words("ünïcode É") == words("Ünïcode é")
    # The path for ASCII and the one for all of Unicode agree.
    assert words("The cat é")[:2] == first[:2]


def test_ngram_counts():
    grams = hash_grams("ab cd ef", word_sizes=(1, 2, 4), char_sizes=(3, 9))
    assert grams.words == 3 + 2
    assert len(grams.hashes) == 5 + 6


def test_word_pairs_of_other_order_have_other_hashes():
    assert set(words("dog bites man", 2)).isdisjoint(words("man bites dog", 2))


def test_each_ideograph_is_a_word():
    assert len(words("日本語 abc")) == 4
    assert words("日本")[1] == words("本")[0]


def test_seeds_separate_namespaces():
    assert set(words("a b c")).isdisjoint(words("a b c", seed=1))


def test_known_hashes_never_change():
    # Learned weights belong to buckets: another hash would invalidate every saved estimator.
    grams = hash_grams("Hi, 語?", word_sizes=(1, 2), char_sizes=(3,))
    assert slots(grams.hashes, 1000).tolist() == KNOWN


def test_slots_spread_evenly():
    text = " ".join(f"w{i}" for i in range(2500))
    counts = np.bincount(
        slots(hash_grams(text, word_sizes=(1,), char_sizes=()).hashes, 50), minlength=50
    )
    assert counts.min() > 20
    assert counts.max() < 90


def test_slots_of_ascii_are_those_of_the_hashes():
    rng = np.random.default_rng(3)
    fast = AsciiSlots((1, 4), 1, 2_000)
    for length in (*range(9), 145, 800):
        text = "".join(map(chr, rng.integers(0, 128, length)))
        grams = hash_grams(text, word_sizes=(1,), char_sizes=(1, 4), seed=1)
        found, words = fast(text)
        assert (found.tolist(), words) == (slots(grams.hashes, 2_000).tolist(), grams.words)


def test_few_short_words_are_remembered(monkeypatch):
    monkeypatch.setattr(ngrams, "_MAX_KNOWN_WORDS", 2)
    known = WordSlots(0, 1_000)
    first = [known[word] for word in (b"one", b"two", b"three", b"l" * 25)]
    assert set(known) == {b"three"}
    assert [known[word] for word in (b"one", b"two", b"three", b"l" * 25)] == first


KNOWN = [386, 155, 752, 312, 674, 613, 423]
