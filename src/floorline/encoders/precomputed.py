"""Encoder that looks up features computed elsewhere by the prompt or another key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from floorline.encoders.base import Prompt
from floorline.encoders.messages import read_prompt
from floorline.errors import InvalidInput

_VERSION = 1
"""Version of the features; part of the fingerprint."""


class Precomputed:
    """Looks up features by a text key: the prompt itself, or a key passed in its place.

    Parameters
    ----------
    rows
        A mapping of key to (dim,) features, or an (n, dim) matrix.
    keys
        Keys of the n rows of a matrix. Default: row i has the key ``str(i)``.

    Raises
    ------
    InvalidInput
        If the rows do not form one finite matrix, or the keys are not n different texts.

    Examples
    --------
    >>> encoder = Precomputed({"easy": [1.0, 0.0], "hard": [0.0, 1.0]})
    >>> encoder.encode("hard").tolist()
    [0.0, 1.0]
    """

    def __init__(
        self, rows: Mapping[str, ArrayLike] | ArrayLike, keys: Sequence[str] | None = None
    ) -> None:
        if isinstance(rows, Mapping):
            if keys is not None:
                raise InvalidInput(
                    "Precomputed.keys", keys, "give no keys if the rows are a mapping"
                )
            matrix, names = _matrix(list(rows.values())), list(rows)
        else:
            matrix = _matrix(rows)
            names = [str(i) for i in range(len(matrix))] if keys is None else list(keys)
        if len(names) != len(matrix):
            raise InvalidInput("Precomputed.keys", names, f"give {len(matrix)} keys, one per row")
        for name in names:
            if not isinstance(name, str):
                raise InvalidInput("Precomputed.keys", name, "give texts as keys")
        self._rows = {name: row for row, name in enumerate(names)}
        if len(self._rows) != len(names):
            raise InvalidInput("Precomputed.keys", names, "give every key once")
        self._matrix = matrix
        self._digest = _digest(names, matrix)

    @property
    def dim(self) -> int:
        """Length of the feature vector."""
        return int(self._matrix.shape[1])

    @property
    def fingerprint(self) -> str:
        """Name, version and a digest of keys and features."""
        return f"precomputed/{_VERSION}(dim={self.dim},content={self._digest})"

    def encode(self, prompt: Prompt) -> NDArray[np.float32]:
        """Return the features of one prompt: a read-only (dim,) float32 row.

        The key of chat messages is the last user turn.

        Raises
        ------
        InvalidInput
            If no row has this key.
        """
        return np.asarray(self._matrix[self._row(prompt)])

    def encode_batch(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """Return the features of n prompts: an (n, dim) float32 matrix.

        Raises
        ------
        InvalidInput
            If no row has the key of one of them.
        """
        return np.asarray(self._matrix[[self._row(p) for p in prompts]].reshape(-1, self.dim))

    def _row(self, prompt: Prompt) -> int:
        key = read_prompt(prompt).focus
        row = self._rows.get(key)
        if row is None:
            raise InvalidInput(
                "prompt", key, "no precomputed features have this key; add a row for it"
            )
        return row


def _matrix(rows: Any) -> NDArray[np.float32]:
    fix = "give one row of finite numbers per key, all rows of equal length"
    try:
        # Numbers too large for float32 become infinite here and are rejected below.
        with np.errstate(over="ignore"):
            matrix = np.array(rows, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidInput("Precomputed.rows", rows, fix) from error
    if matrix.ndim != 2 or matrix.size == 0:
        raise InvalidInput("Precomputed.rows", f"of shape {matrix.shape}", fix)
    if not np.isfinite(matrix).all():
        row = int(np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0])
        raise InvalidInput(f"Precomputed.rows[{row}]", "holding NaN or infinity", fix)
    matrix.flags.writeable = False
    return matrix


def _digest(names: Sequence[str], matrix: NDArray[np.float32]) -> str:
    digest = hashlib.sha256(matrix.astype("<f4").tobytes())
    for name in names:
        raw = name.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()[:16]
