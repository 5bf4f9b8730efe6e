"""The default encoder: hashed n-grams and text statistics, without fitting or downloads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.encoders import ngrams, statistics
from floorline.encoders.base import Features, Prompt, SparseFeatures
from floorline.encoders.messages import read_prompt
from floorline.errors import InvalidInput, check_number, check_one_of

_VERSION = 1
"""Version of the features; part of the fingerprint. A change of the features raises it."""

_DEFAULT_DIM = {"projected": 1024, "sparse": 2**16}
"""Length of the feature vector by output format. On RouterBench, MESS+ and ParetoBandit more
dimensions gained little."""

_FOCUS_SEED, _CONTEXT_SEED = 0, 1
"""Hash seeds of the user's text and of the system prompt, so that they share no n-gram."""

_WINDOW_SEPARATOR = "\x00"
"""Character between the head and the tail of a long text. Prompts rarely contain it, so almost no
n-gram spans both windows."""


class HashedNgrams:
    """Hashed word and character n-grams of a prompt's head and tail, and statistics of all of it.

    In few-shot prompts and long contexts the question is at the end, so the window of the tail is
    the larger one. Text between head and tail influences only the statistics.

    Each n-gram adds +1 or −1 (the sign comes from its hash, as in feature hashing [1]_) to one
    bucket. A bucket's value is the signed square root of its sum. The word block and the character
    block are scaled to equal norm. The system prompt is added to the same buckets under another
    hash seed and with a lower weight. The n-gram block has norm 1 for every length of the prompt,
    and norm 0 for a prompt without n-grams. The statistics are the last entries of the vector.
    There is no constant entry, because estimators have an intercept.

    The defaults were chosen by one-pass online logistic regression on RouterBench, MESS+ and
    ParetoBandit: more n-gram sizes and longer windows gained nothing, more dimensions gained
    little.

    The features are the same in every process and on every platform up to rounding.

    Parameters
    ----------
    dim
        Length of the vector, including the statistics. Default: 1,024 for ``"projected"``, 65,536
        for ``"sparse"``.
    output
        ``"projected"`` gives dense (dim,) float32 vectors, ``"sparse"`` gives ``SparseFeatures``.
        For the same ``dim`` both hold the same numbers.
    head, tail
        Number of characters read from the start and from the end of the last user turn. Of the
        system prompt half as many are read.
    word_sizes, char_sizes
        Lengths n of the word n-grams and of the character n-grams.
    context_weight
        Norm of the system prompt's n-grams relative to those of the user turn, before scaling.
    statistics_weight
        Factor of the statistics, which lie in [0, 1]. 0 omits them.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] Weinberger, Dasgupta, Langford, Smola, Attenberg: Feature Hashing for Large Scale
       Multitask Learning. ICML 2009, arXiv:0902.2206.

    Examples
    --------
    >>> encoder = HashedNgrams()
    >>> x = encoder.encode("Which planet is the largest?")
    >>> x.shape, x.dtype
    ((1024,), dtype('float32'))
    >>> sparse = HashedNgrams(output="sparse").encode("Which planet is the largest?")
    >>> sparse.dim, bool((np.diff(sparse.indices) > 0).all())
    (65536, True)
    """

    def __init__(
        self,
        dim: int | None = None,
        *,
        output: str = "projected",
        head: int = 200,
        tail: int = 600,
        word_sizes: Sequence[int] = (1,),
        char_sizes: Sequence[int] = (4,),
        context_weight: float = 0.5,
        statistics_weight: float = 1.0,
    ) -> None:
        check_one_of("HashedNgrams.output", output, _DEFAULT_DIM)
        dim = _DEFAULT_DIM[output] if dim is None else dim
        self.output = output
        self.head = _integer("head", head, 0, ngrams.MAX_LENGTH // 4)
        self.tail = _integer("tail", tail, 0, ngrams.MAX_LENGTH // 2)
        self.word_sizes = tuple(_integer("word_sizes", n, 1, 5) for n in word_sizes)
        self.char_sizes = tuple(_integer("char_sizes", n, 1, 16) for n in char_sizes)
        self.context_weight = check_number(
            "HashedNgrams.context_weight", context_weight, low=0.0, high=10.0, fix="give 0 to 10"
        )
        self.statistics_weight = check_number(
            "HashedNgrams.statistics_weight",
            statistics_weight,
            low=0.0,
            high=100.0,
            fix="give 0 to 100",
        )
        self._statistics = statistics.COUNT if statistics_weight else 0
        self._dim = _integer("dim", dim, self._statistics + 16, 2**24)
        self._buckets = self._dim - self._statistics
        sizes = max(1, len(self.word_sizes), len(self.char_sizes))
        self._roots = _signed_roots((self.head + self.tail + len(_WINDOW_SEPARATOR)) * sizes)
        # Words alone, as by default, have a faster way for ASCII.
        self._ascii = [
            ngrams.AsciiSlots(self.char_sizes, seed, 2 * self._buckets)
            for seed in (_FOCUS_SEED, _CONTEXT_SEED)
            if self.word_sizes == (1,)
        ]

    @property
    def dim(self) -> int:
        """Length of the feature vector."""
        return self._dim

    @property
    def fingerprint(self) -> str:
        """Name, version and parameters."""
        return (
            f"hashed/{_VERSION}(dim={self.dim},output={self.output},head={self.head},"
            f"tail={self.tail},word_sizes={self.word_sizes},char_sizes={self.char_sizes},"
            f"context_weight={self.context_weight!r},"
            f"statistics_weight={self.statistics_weight!r})"
        )

    def encode(self, prompt: Prompt) -> Features:
        """Encode one prompt: (dim,) float32, or ``SparseFeatures`` with ``output="sparse"``.

        Raises
        ------
        InvalidInput
            If the prompt is neither a text nor well-formed chat messages.
        """
        if self.output == "sparse":
            return self.encode_sparse(prompt)
        return self._encode_dense(prompt)

    def encode_batch(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """Encode n prompts as a dense (n, dim) float32 matrix, in both output formats.

        Raises
        ------
        InvalidInput
            If a prompt is neither a text nor well-formed chat messages.
        """
        result = np.empty((len(prompts), self.dim), dtype=np.float32)
        for row, prompt in enumerate(prompts):
            result[row] = self._encode_dense(prompt)
        return result

    def _encode_dense(self, prompt: Prompt) -> NDArray[np.float32]:
        text = read_prompt(prompt)
        result = np.empty(self.dim, dtype=np.float32)
        blocks = self._blocks(text.focus, text.context)
        result[: self._buckets] = self._combine(blocks, self._buckets)
        if self._statistics:
            result[self._buckets :] = statistics.measure(text) * self.statistics_weight
        return result

    def encode_sparse(self, prompt: Prompt) -> SparseFeatures:
        """Encode one prompt as ``SparseFeatures``, in both output formats.

        Raises
        ------
        InvalidInput
            If the prompt is neither a text nor well-formed chat messages.
        """
        text = read_prompt(prompt)
        blocks = self._blocks(text.focus, text.context)
        # The buckets that occur are renumbered, so that the dense arithmetic runs on those only.
        used, renumbered = np.unique(
            np.concatenate([block for block, _ in blocks]) >> 1, return_inverse=True
        )
        start = 0
        compact = []
        for block, words in blocks:
            compact.append((renumbered[start : start + len(block)] * 2 + (block & 1), words))
            start += len(block)
        values = self._combine(compact, len(used))
        indices = used
        if self._statistics:
            values = np.append(values, statistics.measure(text) * self.statistics_weight)
            indices = np.append(used, np.arange(self._buckets, self.dim))
        result = values.astype(np.float32)
        nonzero = np.flatnonzero(result)
        return SparseFeatures(indices[nonzero].astype(np.int32), result[nonzero], self.dim)

    def _blocks(self, focus: str, context: str) -> list[tuple[NDArray[np.int64], int]]:
        """Return, for each text, the signed buckets of its n-grams and the number of word n-grams.

        A signed bucket is 2 · bucket + sign. Word n-grams come first.
        """
        blocks = [self._slots(_window(focus, self.head, self.tail), _FOCUS_SEED)]
        if context and self.context_weight:
            window = _window(context, self.head // 2, self.tail // 2)
            blocks.append(self._slots(window, _CONTEXT_SEED))
        return blocks

    def _slots(self, text: str, seed: int) -> tuple[NDArray[np.int64], int]:
        if self._ascii and text.isascii():
            return self._ascii[seed](text)
        grams = ngrams.hash_grams(
            text, word_sizes=self.word_sizes, char_sizes=self.char_sizes, seed=seed
        )
        return ngrams.slots(grams.hashes, 2 * self._buckets), grams.words

    def _combine(
        self, blocks: Sequence[tuple[NDArray[np.int64], int]], buckets: int
    ) -> NDArray[np.float64]:
        """Return the (buckets,) n-gram vector: norm 1, or 0 if there is no n-gram.

        Overwrites the blocks.
        """
        total: NDArray[np.float64] | None = None
        for weight, (block, words) in zip((1.0, self.context_weight), blocks, strict=False):
            if not len(block):
                continue
            # Character n-grams are shifted behind the word n-grams, so that one pass counts both.
            block[words:] += 2 * buckets
            counts = np.bincount(block, minlength=4 * buckets)
            # An n-gram adds 1 or −1, by the sign bit of its hash.
            sums = counts[0::2] - counts[1::2]
            # The squares of the signed square roots are the sizes of the sums.
            norms = np.add.reduceat(np.abs(sums), (0, buckets)).tolist()
            scales = [weight / math.sqrt(norm) if norm else 0.0 for norm in norms]
            roots = self._roots.take(sums)
            part = np.array(scales) @ roots.reshape(2, buckets)
            total = part if total is None else total + part
        if total is None:
            return np.zeros(buckets)
        norm = math.sqrt(total @ total)
        return total / norm if norm else total


def _signed_roots(most: int) -> NDArray[np.float64]:
    """Return the signed square roots of 0 … ``most``, then those of −``most`` … −1.

    So the root of a negative sum is found from the end, as NumPy counts negative positions.
    """
    sums = np.concatenate([np.arange(most + 1), np.arange(-most, 0)])
    return np.asarray(sums / np.sqrt(np.maximum(np.abs(sums), 1)))


def _window(text: str, head: int, tail: int) -> str:
    """Return the start and the end of a text, or all of a text that is not longer than both."""
    if len(text) <= head + tail:
        return text
    return text[:head] + _WINDOW_SEPARATOR + text[len(text) - tail :]


def _integer(name: str, value: int, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InvalidInput(f"HashedNgrams.{name}", value, "give a whole number")
    if not low <= value <= high:
        raise InvalidInput(
            f"HashedNgrams.{name}", value, f"give a whole number from {low} to {high}"
        )
    return int(value)
