"""The protocol that every encoder implements, and the types of prompts and features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, SparseFeatures

__all__ = ["Encoder", "Features", "Prompt", "SparseFeatures"]

Prompt = str | Sequence[Mapping[str, Any]]
"""A text, or OpenAI chat messages (``[{"role": ..., "content": ...}, ...]``)."""


@runtime_checkable
class Encoder(Protocol):
    """Turns prompts into feature vectors.

    An encoder is deterministic: the same prompt gives the same features. Two encoders with equal
    fingerprints give the same features.
    """

    @property
    def dim(self) -> int:
        """Length of the feature vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """Name, version and parameters.

        A snapshot stores it; a router with an encoder of another fingerprint rejects the snapshot.
        """
        ...

    def encode(self, prompt: Prompt) -> Features:
        """Encode one prompt: a dense (dim,) float32 vector or ``SparseFeatures``.

        Raises
        ------
        InvalidInput
            If the prompt is neither a text nor well-formed chat messages.
        """
        ...

    def encode_batch(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """Encode n prompts as a dense (n, dim) float32 matrix.

        Raises
        ------
        InvalidInput
            If a prompt is neither a text nor well-formed chat messages.
        """
        ...
