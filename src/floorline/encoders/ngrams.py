"""Hashes of all word and character n-grams of a text at once, in a few NumPy passes.

One cumulative sum of ``code point · baseⁱ`` modulo 2⁶⁴ holds the polynomial hash of every
substring: the hash of ``text[i:j]`` is ``(P[j] − P[i]) · base⁻ⁱ``, because an odd base has an
inverse modulo 2⁶⁴. Only integer arithmetic that wraps is used, so every platform and process gives
the same hashes, which Python's own ``hash`` does not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_LENGTH = 16_384
"""Longest text, in code points, that can be hashed."""

_BASE = 0x9E3779B97F4A7C15
_WORD_STEP = np.uint64(0x9FB21C651E98DF25)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_SEED_STEP = 0xC2B2AE3D27D4EB4F
_MASK = 2**64 - 1
_HALF = np.uint64(32)

_SEPARATOR, _LETTER, _IDEOGRAPH = 0, 1, 2


def _powers(base: int) -> NDArray[np.uint64]:
    powers = np.full(MAX_LENGTH, base, dtype=np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


def _classes() -> NDArray[np.uint8]:
    """(65536,) class of each code point; all beyond the basic plane count as its last entry."""
    classes = np.full(0x10000, _LETTER, dtype=np.uint8)
    # Where scripts are old and complete Python's table is the same in all versions; beyond, fixed
    # ranges keep features from changing with the interpreter's version of Unicode.
    classes[:0x600] = [chr(i).isalnum() for i in range(0x600)]
    for start, stop in ((0x2000, 0x2C00), (0x3000, 0x3040), (0xD800, 0xE000), (0xFE00, 0xFE70)):
        classes[start:stop] = _SEPARATOR
    classes[0xFF00:0xFF10] = classes[0xFFFF] = _SEPARATOR
    # These scripts put no spaces between words, so each sign counts as a word.
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


class Grams(NamedTuple):
    """64-bit hashes of a text's n-grams, word n-grams first.

    ``hashes`` (n,) uint64, not yet mixed: take them through ``slots``; ``words`` is how many of
    them belong to word n-grams.
    """

    hashes: NDArray[np.uint64]
    words: int


def hash_grams(
    text: str, *, word_sizes: tuple[int, ...], char_sizes: tuple[int, ...], seed: int = 0
) -> Grams:
    """Hash every word n-gram and character n-gram of a text, lower-cased.

    Parameters
    ----------
    text
        At most ``MAX_LENGTH`` characters of any kind, lone surrogates included.
    word_sizes, char_sizes
        The n of the n-grams.
    seed
        Texts hashed under different seeds share no n-gram.

    Examples
    --------
    >>> grams = hash_grams("a b a", word_sizes=(1,), char_sizes=(2,))
    >>> grams.words, len(grams.hashes), bool(grams.hashes[0] == grams.hashes[2])
    (3, 7, True)
    """
    values, starts, ends = _read(text)
    length = len(values)
    prefix = np.zeros(length + 1, dtype=np.uint64)
    values *= _POWERS[:length]
    np.cumsum(values, out=prefix[1:])

    single = prefix[ends]
    single -= prefix[starts]
    single *= _INVERSES[starts]
    word_counts = [max(0, len(single) - n + 1) for n in word_sizes]
    char_counts = [max(0, length - n + 1) for n in char_sizes]
    hashes = np.empty(sum(word_counts) + sum(char_counts), dtype=np.uint64)
    at = 0
    for n, count in zip(word_sizes, word_counts, strict=True):
        out = hashes[at : at + count]
        out[:] = single[:count]
        for shift in range(1, n if count else 0):
            out *= _WORD_STEP
            out += single[shift : shift + count]
        out += _seed(seed, n)
        at += count
    for n, count in zip(char_sizes, char_counts, strict=True):
        out = hashes[at : at + count]
        if count:
            np.subtract(prefix[n:], prefix[:count], out=out)
            out *= _INVERSES[:count]
            out += _seed(seed, 64 + n)
        at += count
    return Grams(hashes, sum(word_counts))


def slots(hashes: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """Map hashes (n,) evenly to 0 … ``count`` − 1, a number below 2³²; overwrites ``hashes``."""
    hashes ^= hashes >> _HALF
    hashes *= _MIX
    hashes >>= _HALF
    hashes *= np.uint64(count)
    hashes >>= _HALF
    return hashes.view(np.int64)


def _seed(seed: int, kind: int) -> np.uint64:
    return np.uint64((seed * 128 + kind) * _SEED_STEP & _MASK)


def _read(text: str) -> tuple[NDArray[np.uint64], NDArray[np.intp], NDArray[np.intp]]:
    """Lower-cased code points plus 1 (n,), and where words start and end (words,) each."""
    if text.isascii():
        raw = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
        letters = np.zeros(len(raw) + 2, dtype=bool)
        letters[1:-1] = _ASCII_LETTERS[raw]
        # Without ideographs every run of letters has two edges.
        edges = np.flatnonzero(letters[1:] != letters[:-1])
        return _ASCII_VALUES[raw], edges[0::2], edges[1::2]
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    points = np.where(points < len(_LOWER), _LOWER[np.minimum(points, len(_LOWER) - 1)], points)
    starts, ends = _words(_CLASSES[np.minimum(points, 0xFFFF)])
    return points.astype(np.uint64) + np.uint64(1), starts, ends


def _words(classes: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the runs of letters start and end, each ideograph being a run of its own."""
    bounds = np.zeros(len(classes) + 2, dtype=np.uint8)
    bounds[1:-1] = classes
    change = bounds[1:] != bounds[:-1]
    change |= bounds[1:] == _IDEOGRAPH
    edges = np.flatnonzero(change)
    starts, ends = edges[:-1], edges[1:]
    inside = classes[starts] != _SEPARATOR
    return starts[inside], ends[inside]
