"""The default encoder: hashed n-grams and text statistics. Nothing to fit, nothing to download."""

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
_DEFAULT_DIM = {"projected": 1024, "sparse": 2**16}
_FOCUS, _CONTEXT = 0, 1
# Windows that do not overlap are joined by a character that prompts hardly hold, so that no
# n-gram of letters spans both.
_GAP = "\x00"
# Entry n is √n; entry −n, counted from the end, is −√n.
_COUNTS = np.arange(ngrams.MAX_LENGTH + 1.0)
_SIGNED_ROOTS = np.concatenate([np.sqrt(_COUNTS), -np.sqrt(_COUNTS[:0:-1])])


class HashedNgrams:
    """Word and character n-grams of a prompt's head and tail, hashed, and statistics of its whole.

    In few-shot prompts and long contexts the question stands at the end, so the tail's window is
    the larger one; what lies between head and tail shows only in the statistics. Each n-gram adds
    +1 or −1 (by its hash) to one bucket; buckets count by the signed square root, and words and
    characters are scaled to equal norm. The system prompt goes into the same buckets under another
    seed and with less weight. The n-gram block has norm 1 (0 for a prompt without n-grams)
    whatever the length of the prompt; the statistics follow in the last entries. There is no
    constant entry: estimators have their own intercept.

    The defaults come from one-pass online logistic regression on RouterBench, MESS+ and
    ParetoBandit: more n-gram sizes or longer windows did not pay, more dimensions did a little.

    The features are the same in every process and on every platform up to rounding.

    Parameters
    ----------
    dim
        Length of the vector, statistics included; by default 1,024 projected, 65,536 sparse.
    output
        ``"projected"`` gives dense (dim,) float32 vectors, ``"sparse"`` ``SparseFeatures``; for
        the same ``dim`` they hold the same numbers.
    head, tail
        Characters read from the start and from the end of the last user turn; of the system prompt
        half as many.
    word_sizes, char_sizes
        The n of the n-grams.
    context_weight
        Norm of the system prompt's n-grams relative to the user's, before scaling.
    statistics_weight
        Factor of the statistics, which lie in [0, 1]; 0 leaves them out.

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
        """Encode one prompt: (dim,) float32, or ``SparseFeatures`` if so constructed.

        Raises
        ------
        InvalidInput
            If the prompt is neither a text nor well-formed chat messages.
        """
        if self.output == "sparse":
            return self.encode_sparse(prompt)
        return self._encode_dense(prompt)

    def encode_batch(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """Encode many prompts as a dense (n, dim) float32 matrix, whatever the output mode.

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
        """Encode one prompt by its non-zero entries, whatever the output mode.

        Raises
        ------
        InvalidInput
            If the prompt is neither a text nor well-formed chat messages.
        """
        text = read_prompt(prompt)
        blocks = self._blocks(text.focus, text.context)
        # Renumbering the buckets that occur lets the dense arithmetic run on just those.
        used, renumbered = np.unique(
            np.concatenate([block for block, _ in blocks]) >> 1, return_inverse=True
        )
        at = 0
        small = []
        for block, words in blocks:
            small.append((renumbered[at : at + len(block)] * 2 + (block & 1), words))
            at += len(block)
        values = self._combine(small, len(used))
        indices = used
        if self._statistics:
            values = np.append(values, statistics.measure(text) * self.statistics_weight)
            indices = np.append(used, np.arange(self._buckets, self.dim))
        result = values.astype(np.float32)
        kept = np.flatnonzero(result)
        return SparseFeatures(indices[kept].astype(np.int32), result[kept], self.dim)

    def _blocks(self, focus: str, context: str) -> list[tuple[NDArray[np.int64], int]]:
        """Signed bucket (2 · bucket + sign) of every n-gram, and how many are of words."""
        blocks = [self._slots(_window(focus, self.head, self.tail), _FOCUS)]
        if context and self.context_weight:
            blocks.append(self._slots(_window(context, self.head // 2, self.tail // 2), _CONTEXT))
        return blocks

    def _slots(self, text: str, seed: int) -> tuple[NDArray[np.int64], int]:
        grams = ngrams.hash_grams(
            text, word_sizes=self.word_sizes, char_sizes=self.char_sizes, seed=seed
        )
        return ngrams.slots(grams.hashes, 2 * self._buckets), grams.words

    def _combine(
        self, blocks: Sequence[tuple[NDArray[np.int64], int]], buckets: int
    ) -> NDArray[np.float64]:
        """(buckets,) n-gram vector of norm 1, or 0 if there is no n-gram."""
        total = np.zeros(buckets)
        for weight, (block, words) in zip((1.0, self.context_weight), blocks, strict=False):
            # Words and characters side by side, so that each step is one pass over both.
            apart = block.copy()
            apart[words:] += 2 * buckets
            counts = np.bincount(apart, minlength=4 * buckets)
            roots = _SIGNED_ROOTS[counts[0::2] - counts[1::2]]
            for part in (roots[:buckets], roots[buckets:]):
                norm = math.sqrt(part @ part)
                if norm:
                    total += part * (weight / norm)
        norm = math.sqrt(total @ total)
        return total / norm if norm else total


def _window(text: str, head: int, tail: int) -> str:
    """Start and end of a text; the whole text if they would meet."""
    if len(text) <= head + tail:
        return text
    return text[:head] + _GAP + text[len(text) - tail :]


def _integer(name: str, value: int, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InvalidInput(f"HashedNgrams.{name}", value, "give a whole number")
    if not low <= value <= high:
        raise InvalidInput(f"HashedNgrams.{name}", value, f"give {low} to {high}")
    return int(value)
