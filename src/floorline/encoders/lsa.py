"""Encoder by latent semantic analysis: hashed n-grams × idf, projected to few dimensions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline._extras import needs
from floorline._files import write_whole
from floorline.core.snapshots import pack, unpack
from floorline.encoders import statistics
from floorline.encoders.base import Prompt, SparseFeatures
from floorline.encoders.hashed import HashedNgrams
from floorline.encoders.messages import read_prompt
from floorline.errors import DataError, InvalidInput, SnapshotMismatch, check_number

_FORMAT = "floorline-lsa"
_VERSION = 1
"""Version of the file format and of the features; part of the fingerprint."""


class Lsa:
    """Hashed n-grams × inverse document frequency, projected on the leading singular vectors.

    ``fit`` needs prompts without labels. Hashing replaces a vocabulary, so encoding one prompt
    gathers one row of ``components_`` for each distinct n-gram. The projection has norm 1. The
    statistics of ``HashedNgrams`` follow it.

    Parameters
    ----------
    n_components
        Length k of the projection.
    buckets
        Number of hash buckets B.
    statistics_weight
        Factor of the statistics, which lie in [0, 1]. 0 omits them.

    Attributes
    ----------
    idf_
        (B,) float32 inverse document frequencies, ``log((1 + n) / (1 + df)) + 1`` over the n
        prompts. None before ``fit``.
    components_
        (B, k) float32 right singular vectors. None before ``fit``.
    digest_
        First 16 hexadecimal digits of the SHA-256 of both arrays. Empty before ``fit``.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] Deerwester, Dumais, Furnas, Landauer, Harshman: Indexing by Latent Semantic Analysis.
       Journal of the American Society for Information Science 41 (1990).

    Examples
    --------
    >>> prompts = [f"How much is {i} + {i}?" for i in range(9)] + ["Name a river.", "Name a lake."]
    >>> encoder = Lsa(n_components=4, buckets=1024).fit(prompts, rng_seed=0)
    >>> encoder.encode("Name a hill.").shape == (encoder.dim,)
    True
    """

    def __init__(
        self,
        n_components: int = 64,
        *,
        buckets: int = 2**14,
        statistics_weight: float = 1.0,
    ) -> None:
        self.n_components = int(
            check_number("Lsa.n_components", n_components, low=1, high=4096, fix="give 1 to 4096")
        )
        self.buckets = int(
            check_number(
                "Lsa.buckets",
                buckets,
                low=max(16, self.n_components),
                high=2**20,
                fix="give 16 to 1048576, and at least n_components",
            )
        )
        self.statistics_weight = check_number(
            "Lsa.statistics_weight", statistics_weight, low=0.0, high=100.0, fix="give 0 to 100"
        )
        self._grams = HashedNgrams(self.buckets, output="sparse", statistics_weight=0.0)
        self._statistics = statistics.COUNT if statistics_weight else 0
        self.idf_: NDArray[np.float32] | None = None
        self.components_: NDArray[np.float32] | None = None
        self.digest_ = ""

    @property
    def dim(self) -> int:
        """Length of the feature vector."""
        return self.n_components + self._statistics

    @property
    def fingerprint(self) -> str:
        """Name, version, parameters and the digest of the fitted arrays."""
        return (
            f"lsa/{_VERSION}(n_components={self.n_components},buckets={self.buckets},"
            f"statistics_weight={self.statistics_weight!r},grams={self._grams.fingerprint},"
            f"fitted={self.digest_ or 'not yet'})"
        )

    def fit(self, prompts: Sequence[Prompt], rng_seed: int = 0) -> Lsa:
        """Fit inverse document frequencies and singular vectors; return the encoder itself.

        Parameters
        ----------
        prompts
            At least ``n_components`` prompts.
        rng_seed
            Seed of the randomized singular value decomposition.

        Raises
        ------
        InvalidInput
            If there are fewer prompts than components, or a prompt is malformed.
        """
        with needs("offline", "fitting the LSA encoder"):
            from scipy.sparse import csr_matrix
            from sklearn.utils.extmath import randomized_svd

        if isinstance(prompts, str) or len(prompts) < self.n_components:
            raise InvalidInput(
                "prompts", prompts, f"give a list of at least {self.n_components} prompts"
            )
        rows = [self._counts(prompt) for prompt in prompts]
        indices = np.concatenate([row.indices for row in rows])
        documents = np.bincount(indices, minlength=self.buckets)
        idf = (np.log((1.0 + len(rows)) / (1.0 + documents)) + 1.0).astype(np.float32)
        values = np.concatenate([_tf_idf(row, idf) for row in rows])
        ends = np.cumsum([0] + [len(row.indices) for row in rows])
        matrix = csr_matrix((values, indices, ends), shape=(len(rows), self.buckets))
        _, _, vectors = randomized_svd(matrix, self.n_components, random_state=rng_seed)
        self._set_fitted(idf, np.ascontiguousarray(vectors.T, dtype=np.float32))
        return self

    def encode(self, prompt: Prompt) -> NDArray[np.float32]:
        """Encode one prompt: (dim,) float32.

        Raises
        ------
        InvalidInput
            If the encoder is not fitted or the prompt is malformed.
        """
        idf, components = self._fitted()
        row = self._counts(prompt)
        projected = _tf_idf(row, idf) @ components[row.indices]
        norm = float(np.sqrt(projected @ projected))
        result = np.zeros(self.dim, dtype=np.float32)
        if norm > 0.0:
            result[: self.n_components] = projected / norm
        if self._statistics:
            measured = statistics.measure(read_prompt(prompt))
            result[self.n_components :] = measured * self.statistics_weight
        return result

    def encode_batch(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """Encode n prompts as a dense (n, dim) float32 matrix.

        Raises
        ------
        InvalidInput
            If the encoder is not fitted or a prompt is malformed.
        """
        self._fitted()
        result = np.empty((len(prompts), self.dim), dtype=np.float32)
        for row, prompt in enumerate(prompts):
            result[row] = self.encode(prompt)
        return result

    def save(self, path: str | Path) -> None:
        """Write the fitted encoder to a MessagePack file, which contains no code.

        Raises
        ------
        InvalidInput
            If the encoder is not fitted.
        """
        idf, components = self._fitted()
        artefact = {
            "format": _FORMAT,
            "version": _VERSION,
            "grams": self._grams.fingerprint,
            "n_components": self.n_components,
            "buckets": self.buckets,
            "statistics_weight": self.statistics_weight,
            "idf": idf,
            "components": components,
            "digest": self.digest_,
        }
        write_whole(Path(path), pack(artefact))

    @classmethod
    def load(cls, path: str | Path) -> Lsa:
        """Read an encoder that ``save`` wrote; its features equal those of the saved one exactly.

        Raises
        ------
        DataError
            If the file is missing, damaged, not an LSA file or of another version.
        """
        artefact = _read_artefact(path)
        try:
            encoder = cls(
                artefact["n_components"],
                buckets=artefact["buckets"],
                statistics_weight=artefact["statistics_weight"],
            )
            idf, components = artefact["idf"], artefact["components"]
            shapes = (encoder.buckets,), (encoder.buckets, encoder.n_components)
            fits = (idf.shape, components.shape) == shapes
            fits = fits and idf.dtype == components.dtype == np.float32
            grams, digest = artefact["grams"], artefact["digest"]
        except (KeyError, AttributeError, InvalidInput) as error:
            why = f" ({error})" if isinstance(error, InvalidInput) else ""
            problem = f"is an incomplete LSA file{why}; write it again with Lsa.save"
            raise DataError(path, problem) from error
        if grams != encoder._grams.fingerprint:
            raise DataError(path, f"was fitted on other n-grams ({grams}); fit it again")
        if not fits or _digest(idf, components) != digest:
            raise DataError(
                path,
                "is damaged, its arrays do not match its digest; write it again with Lsa.save",
            )
        encoder._set_fitted(idf, components)
        return encoder

    def _counts(self, prompt: Prompt) -> SparseFeatures:
        return self._grams.encode_sparse(prompt)

    def _set_fitted(self, idf: NDArray[np.float32], components: NDArray[np.float32]) -> None:
        self.idf_, self.components_ = idf, components
        self.digest_ = _digest(idf, components)

    def _fitted(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if self.idf_ is None or self.components_ is None:
            raise InvalidInput("Lsa", "not fitted", "call fit(prompts) or Lsa.load(path) first")
        return self.idf_, self.components_


def _tf_idf(row: SparseFeatures, idf: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (nnz,) non-zero values × idf, scaled to norm 1."""
    values = row.values * idf[row.indices]
    norm = float(np.sqrt(values @ values))
    return np.asarray(values / norm if norm > 0.0 else values, dtype=np.float32)


def _digest(idf: NDArray[np.float32], components: NDArray[np.float32]) -> str:
    digest = hashlib.sha256()
    for array in (idf, components):
        digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return digest.hexdigest()[:16]


def _read_artefact(path: str | Path) -> dict[str, Any]:
    try:
        artefact = unpack(Path(path).read_bytes())
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror}); check the path") from error
    except (SnapshotMismatch, TypeError, ValueError) as error:
        raise DataError(path, "is damaged or not an LSA file; write one with Lsa.save") from error
    if not isinstance(artefact, dict) or artefact.get("format") != _FORMAT:
        raise DataError(path, "is not an LSA file; write one with Lsa.save")
    if artefact.get("version") != _VERSION:
        raise DataError(
            path, f"has version {artefact.get('version')!r}, not {_VERSION}; fit it again"
        )
    return artefact
