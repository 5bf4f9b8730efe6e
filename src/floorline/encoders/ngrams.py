"""Hashes of all word and character n-grams of a text, in a few NumPy passes.

The hash is polynomial. P is the cumulative sum of ``code point · baseⁱ`` modulo 2⁶⁴. The hash of
``text[i:j]`` is ``(P[j] − P[i]) · base⁻ⁱ``; the inverse exists because the base is odd. All
arithmetic is integer arithmetic modulo 2⁶⁴, so the hashes are the same on every platform and in
every process, unlike those of Python's ``hash``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_LENGTH = 16_384
"""Longest text that can be hashed, in code points; the length of the tables of powers."""

# Odd 64-bit multipliers with well-spread bits. Learned weights depend on them: never change them.
_BASE = 0x9E3779B97F4A7C15
"""Base of the polynomial hash of characters: 2⁶⁴ / golden ratio."""
_WORD_STEP = np.uint64(0x9FB21C651E98DF25)
"""Base of the polynomial hash of the words in a word n-gram."""
_MIX = np.array(0xD6E8FEB86659FD93, dtype=np.uint64)
"""Multiplier of the final mixing in ``slots``."""
_SEED_STEP = 0xC2B2AE3D27D4EB4F
"""Multiplier of the seeds."""
_MASK = 2**64 - 1
_HALF = np.array(32, dtype=np.uint64)
"""Half of the 64 bits, for shifts. An array, because NumPy would convert a scalar at each use."""

_SEPARATOR, _LETTER, _IDEOGRAPH = 0, 1, 2
"""Classes of code points."""


def _powers(base: int) -> NDArray[np.uint64]:
    powers = np.full(MAX_LENGTH, base, dtype=np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


def _classes() -> NDArray[np.uint8]:
    """Return the (65536,) class of each code point of the basic plane.

    The last entry is the class of all code points beyond the basic plane.
    """
    classes = np.full(0x10000, _LETTER, dtype=np.uint8)
    # Below 0x600 Python's table is the same in all versions. Above, fixed ranges make the features
    # independent of the interpreter's version of Unicode.
    classes[:0x600] = [chr(i).isalnum() for i in range(0x600)]
    for start, stop in ((0x2000, 0x2C00), (0x3000, 0x3040), (0xD800, 0xE000), (0xFE00, 0xFE70)):
        classes[start:stop] = _SEPARATOR
    classes[0xFF00:0xFF10] = classes[0xFFFF] = _SEPARATOR
    # These scripts put no spaces between words, so each character counts as a word.
    classes[0x3040:0xA000] = classes[0xF900:0xFB00] = _IDEOGRAPH
    return classes


def _lower() -> NDArray[np.uint32]:
    lower = np.arange(0x600, dtype=np.uint32)
    for i in range(0x600):
        small = chr(i).lower()
        if len(small) == 1:
            lower[i] = ord(small)
    return lower


_POWERS = _powers(_BASE)
_INVERSES = _powers(pow(_BASE, -1, 2**64))
_CLASSES = _classes()
_LOWER = _lower()
_ASCII_VALUES = _LOWER[:128].astype(np.uint64) + np.uint64(1)
_ASCII_LETTERS = _CLASSES[:128] != _SEPARATOR
_LETTERS_ONLY = bytes(code if _ASCII_LETTERS[code] else 32 for code in range(128)) + b" " * 128
"""Replaces every byte of ASCII that is no part of a word by a space."""
_MAX_KNOWN_WORDS = 20_000
"""Words whose slot is remembered: about 2 MB."""
_MAX_KNOWN_LETTERS = 24
"""Letters of the longest word that is remembered."""


class Grams(NamedTuple):
    """64-bit hashes of a text's n-grams, word n-grams first.

    Parameters
    ----------
    hashes
        (n,) uint64, not yet mixed: only ``slots`` makes them uniform.
    words
        Number of hashes that belong to word n-grams.
    """

    hashes: NDArray[np.uint64]
    words: int


def hash_grams(
    text: str, *, word_sizes: tuple[int, ...], char_sizes: tuple[int, ...], seed: int = 0
) -> Grams:
    """Hash every word n-gram and character n-gram of the lower-cased text.

    Parameters
    ----------
    text
        At most ``MAX_LENGTH`` characters of any kind, including lone surrogates.
    word_sizes, char_sizes
        Lengths n of the word n-grams and of the character n-grams.
    seed
        Texts hashed under different seeds share no n-gram.

    Examples
    --------
    >>> grams = hash_grams("a b a", word_sizes=(1,), char_sizes=(2,))
    >>> grams.words, len(grams.hashes), bool(grams.hashes[0] == grams.hashes[2])
    (3, 7, True)
    """
    values, starts, ends = _code_points_and_words(text)
    length = len(values)
    prefix = np.zeros(length + 1, dtype=np.uint64)
    values *= _POWERS[:length]
    values.cumsum(out=prefix[1:])

    single = prefix[ends]
    single -= prefix[starts]
    single *= _INVERSES[starts]
    word_counts = [max(0, len(single) - n + 1) for n in word_sizes]
    char_counts = [max(0, length - n + 1) for n in char_sizes]
    hashes = np.empty(sum(word_counts) + sum(char_counts), dtype=np.uint64)
    first = 0
    for n, count in zip(word_sizes, word_counts, strict=True):
        out = hashes[first : first + count]
        out[:] = single[:count]
        for shift in range(1, n if count else 0):
            out *= _WORD_STEP
            out += single[shift : shift + count]
        out += _seed(seed, n)
        first += count
    for n, count in zip(char_sizes, char_counts, strict=True):
        out = hashes[first : first + count]
        if count:
            np.subtract(prefix[n:], prefix[:count], out=out)
            out *= _INVERSES[:count]
            out += _seed(seed, 64 + n)
        first += count
    return Grams(hashes, sum(word_counts))


def slots(hashes: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """Map (n,) hashes uniformly to 0 … ``count`` − 1; overwrites ``hashes``.

    ``count`` is below 2³².
    """
    return _slots(hashes, np.uint64(count)).view(np.int64)


def _slots(hashes: NDArray[np.uint64], count: Any) -> NDArray[np.uint64]:
    hashes ^= hashes >> _HALF
    hashes *= _MIX
    hashes >>= _HALF
    hashes *= count
    hashes >>= _HALF
    return hashes


class WordSlots(dict[bytes, int]):
    """Slots of lower-case ASCII words, as ``slots`` of their hashes; frequent ones are remembered.

    Parameters
    ----------
    seed, count
        As for ``hash_grams`` and ``slots``.

    Examples
    --------
    >>> grams = hash_grams("Why not?", word_sizes=(1,), char_sizes=())
    >>> known = WordSlots(0, 1000)
    >>> [known[b"why"], known[b"not"]] == slots(grams.hashes, 1000).tolist()
    True
    """

    def __init__(self, seed: int, count: int) -> None:
        super().__init__()
        self._seed = int(_seed(seed, 1))
        self._count = count

    def __missing__(self, word: bytes) -> int:
        """Compute the slot of a word."""
        hashed = 0
        for code in reversed(word):
            hashed = (hashed * _BASE + code + 1) & _MASK
        hashed = (hashed + self._seed) & _MASK
        mixed = ((hashed ^ hashed >> 32) * int(_MIX) & _MASK) >> 32
        slot = mixed * self._count >> 32
        if len(word) <= _MAX_KNOWN_LETTERS:
            if len(self) >= _MAX_KNOWN_WORDS:
                self.clear()
            self[word] = slot
        return slot


class AsciiSlots:
    """Slots of the words and of the character n-grams of ASCII texts.

    They equal ``slots(hash_grams(text, ...).hashes, count)``. A hash of n characters is the sum of
    ``code point · baseⁱ``, which is a correlation of the text with the first n powers of the base;
    this takes a third of the calls of NumPy that texts of any kind need.

    Parameters
    ----------
    char_sizes, seed, count
        As for ``hash_grams`` and ``slots``.

    Examples
    --------
    >>> grams = hash_grams("Why not?", word_sizes=(1,), char_sizes=(2, 4), seed=1)
    >>> found, words = AsciiSlots((2, 4), 1, 1000)("Why not?")
    >>> found.tolist() == slots(grams.hashes, 1000).tolist(), words == grams.words
    (True, True)
    """

    def __init__(self, char_sizes: tuple[int, ...], seed: int, count: int) -> None:
        self._words = WordSlots(seed, count)
        # A code point counts one more than its value, which adds the same to all n-grams.
        self._kernels = [
            (n, kernel, _seed(seed, 64 + n, int(kernel.sum())))
            for n, kernel in ((n, _POWERS[:n].copy()) for n in char_sizes)
        ]
        self._count = np.array(count, dtype=np.uint64)

    def __call__(self, text: str) -> tuple[NDArray[np.int64], int]:
        """Return the (n,) slots of a text, those of its words first, and the number of words."""
        lower = text.encode("ascii").lower()
        words = list(map(self._words.__getitem__, lower.translate(_LETTERS_ONLY).split()))
        length, first = len(lower), len(words)
        found = np.empty(
            first + sum([max(0, length - n + 1) for n, _, _ in self._kernels]), dtype=np.int64
        )
        found[:first] = words
        points = np.frombuffer(lower, dtype=np.uint8).astype(np.uint64)
        for n, kernel, constant in self._kernels:
            if length >= n:
                hashes = np.correlate(points, kernel)
                hashes += constant
                last = first + len(hashes)
                found[first:last] = _slots(hashes, self._count)
                first = last
        return found, len(words)


def _seed(seed: int, kind: int, added: int = 0) -> np.uint64:
    return np.uint64((seed * 128 + kind) * _SEED_STEP + added & _MASK)


def _code_points_and_words(
    text: str,
) -> tuple[NDArray[np.uint64], NDArray[np.intp], NDArray[np.intp]]:
    """Return (n,) lower-cased code points plus 1, and the (words,) starts and ends of words."""
    if text.isascii():
        raw = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
        letters = np.zeros(len(raw) + 2, dtype=bool)
        letters[1:-1] = _ASCII_LETTERS[raw]
        # ASCII has no ideographs, so every run of letters has exactly two edges.
        (edges,) = (letters[1:] != letters[:-1]).nonzero()
        return _ASCII_VALUES[raw], edges[0::2], edges[1::2]
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    points = np.where(points < len(_LOWER), _LOWER[np.minimum(points, len(_LOWER) - 1)], points)
    starts, ends = _words(_CLASSES[np.minimum(points, 0xFFFF)])
    return points.astype(np.uint64) + np.uint64(1), starts, ends


def _words(classes: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the starts and ends of runs of letters; each ideograph is a run by itself."""
    bounds = np.zeros(len(classes) + 2, dtype=np.uint8)
    bounds[1:-1] = classes
    change = bounds[1:] != bounds[:-1]
    change |= bounds[1:] == _IDEOGRAPH
    edges = np.flatnonzero(change)
    starts, ends = edges[:-1], edges[1:]
    inside = classes[starts] != _SEPARATOR
    return starts[inside], ends[inside]
