"""Text statistics of a prompt: length, scripts, punctuation, code, maths, lists and questions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from floorline.encoders.messages import PromptText

SAMPLED_ABOVE = 32_768
"""Length in characters above which a text is sampled: 8 equally spaced pieces, of this length in
total, stand for the whole, which bounds the time per prompt."""

_PIECES = 8
"""Number of pieces of a sampled text."""
_TAIL = 300
"""Characters at the end of a prompt in which answer options and line breaks are counted."""

# Bytes of UTF-8 that belong together, and the factor that scales their usual share to about 1.
_BYTE_CLASSES: dict[str, tuple[bytes, float]] = {
    "digits": (b"0123456789", 4.0),
    "capitals": (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", 4.0),
    "spaces": (b" \t", 2.0),
    "newlines": (b"\n\r", 8.0),
    "code marks": (b"{}[]();=<>_#`|&~@", 8.0),
    "maths marks": (b"+-*/=^\\$%<>", 8.0),
    "quotes": (b"\"'", 8.0),
    "stops": (b".:;!", 8.0),
    "commas": (b",", 16.0),
    "control characters": (bytes([*range(9), 11, 12, *range(14, 32), 127]), 8.0),
    "accented Latin": (bytes(range(0xC2, 0xCB)), 4.0),
    "Greek": (bytes(range(0xCD, 0xD0)), 1.0),
    "Cyrillic": (bytes(range(0xD0, 0xD4)), 1.0),
    "Hebrew and Arabic": (bytes(range(0xD6, 0xDC)), 1.0),
    "Indic and South-East Asian": (bytes([0xE0, 0xE1]), 1.0),
    "typographic marks and symbols": (bytes([0xE2]), 8.0),
    "kana and Han": (bytes(range(0xE3, 0xEA)), 1.0),
    "Hangul": (bytes(range(0xEA, 0xEE)), 1.0),
    "beyond the basic plane": (bytes(range(0xEE, 0xF5)), 8.0),
}
_OPENINGS = (
    ("what",),
    ("which",),
    ("who", "whose", "whom"),
    ("how",),
    ("why",),
    ("when",),
    ("where",),
    ("is", "are", "was", "were", "am"),
    ("can", "could", "may", "might", "should", "would", "will"),
    ("do", "does", "did", "has", "have", "had"),
    ("write", "create", "generate", "implement", "make"),
    ("explain", "describe", "summarize", "summarise", "discuss", "compare"),
    ("solve", "find", "calculate", "compute", "prove", "evaluate"),
    ("translate", "rewrite", "correct", "edit", "convert"),
    ("the", "a", "an"),
    ("in", "if", "on", "at", "given"),
)
_OPENING_OF = {word: i for i, words in enumerate(_OPENINGS) for word in words}
_FIRST_KNOT, _LAST_KNOT = 3, 16
"""Knots of the hat functions of the length, as powers of 2 in characters (8 to 65,536)."""
_KNOTS = _LAST_KNOT - _FIRST_KNOT + 1

_MARKS = 10
"""Number of statistics at the end of the vector: punctuation, lists, code and context length."""
COUNT = 1 + _KNOTS + len(_BYTE_CLASSES) + len(_OPENINGS) + _MARKS
"""Number of statistics."""


def _gains() -> NDArray[np.float64]:
    gains = np.zeros((256, len(_BYTE_CLASSES) + 1))
    for column, (members, gain) in enumerate(_BYTE_CLASSES.values()):
        gains[list(members), column] = gain
    # The last column counts characters: every byte except the continuation bytes of UTF-8.
    gains[:, -1] = 1.0
    gains[0x80:0xC0, -1] = 0.0
    return gains


_GAINS = _gains()


def measure(prompt: PromptText) -> NDArray[np.float64]:
    """Return the (COUNT,) statistics of the focus, each in [0, 1].

    The length is exact. Above ``SAMPLED_ABOVE`` characters all other statistics are measured on
    equally spaced pieces that include the start and the end, so that a prompt of a megabyte takes
    no longer than one of 32 KB. The opening word is recognised in English only.
    """
    text = prompt.focus
    sample = _sample(text)
    result = [0.0] * COUNT
    log_length = math.log2(len(text) + 1)
    result[0] = min(1.0, log_length / 20.0)
    at = 1
    # Linear interpolation: a hat function at each power of 2 makes a linear model piecewise linear
    # in log2(length). Only the two hat functions next to the length are non-zero.
    position = min(log_length, _LAST_KNOT) - _FIRST_KNOT
    if position > -1.0:
        knot = math.floor(position)
        if knot >= 0:
            result[at + knot] = 1.0 - (position - knot)
        if knot + 1 < _KNOTS:
            result[at + knot + 1] = position - knot
    at += _KNOTS

    raw = np.frombuffer(sample.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    histogram = np.bincount(raw, minlength=128)
    # All factors are powers of 2, so that no order of the sums rounds.
    shares = histogram.astype(np.float64).dot(_GAINS[: len(histogram)]).tolist()
    characters = max(1.0, shares.pop())
    for share in shares:
        if share:
            result[at] = min(1.0, share / characters)
        at += 1

    first = text[:64].lower().split(None, 1)
    opening = _OPENING_OF.get(first[0].strip("\"'([{,.:;!?")) if first else None
    if opening is not None:
        result[at + opening] = 1.0
    at += len(_OPENINGS)

    tail = text[-_TAIL:]
    last_word = tail.rstrip()[-1:]
    options = lists = breaks = gaps = 0
    if "\n" in sample:
        breaks, gaps = tail.count("\n"), sample.count("\n\n")
        lists = sample.count("\n- ") + sample.count("\n* ") + sample.count("\n1. ")
    if "A" in tail:
        options = tail.count("\nA)") + tail.count("(A)") + tail.count("\nA.")
    code = "```" in sample or "def " in sample or "function" in sample
    result[at:] = (
        float(last_word == "?"),
        float(last_word == ":"),
        min(1.0, int(histogram[63]) / 4.0),
        min(1.0, breaks / 8.0),
        min(1.0, gaps / 8.0),
        min(1.0, options / 1.0),
        min(1.0, lists / 4.0),
        float(code),
        min(1.0, len(sample) / (10.0 * (1.0 + float(histogram[32])))),
        min(1.0, math.log2(len(prompt.context) + 1) / 20.0),
    )
    return np.array(result)


def _sample(text: str) -> str:
    if len(text) <= SAMPLED_ABOVE:
        return text
    size = SAMPLED_ABOVE // _PIECES
    starts = [(len(text) - size) * i // (_PIECES - 1) for i in range(_PIECES)]
    return "".join(text[start : start + size] for start in starts)
