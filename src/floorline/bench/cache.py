"""Cache of finished replays on disk, so that an interrupted suite can continue."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from floorline._files import write_whole
from floorline._version import __version__

_T = TypeVar("_T")


class RunCache:
    """One file per result; its name is a digest of everything that determines the result.

    The key of a replay is its ``Spec``.

    Parameters
    ----------
    folder
        Folder of the files; created if missing.
    context
        What determines a result beside its key: digest of the data and fingerprint of the encoder.
        The version of Floorline is added.
    """

    def __init__(self, folder: Path, context: dict[str, Any]) -> None:
        self.folder = folder
        self.context = {**context, "version": __version__}
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, key: Any, kind: type[_T]) -> _T | None:
        """Return the result of a key; None if there is none or its file is damaged."""
        try:
            return msgspec.json.decode(self._path(key).read_bytes(), type=kind, dec_hook=_dec_hook)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def keep(self, key: Any, value: Any) -> None:
        """Write the result of a key atomically."""
        write_whole(self._path(key), msgspec.json.encode(value, enc_hook=_enc_hook))

    def _path(self, key: Any) -> Path:
        words = {"spec": key, "context": self.context}
        digest = hashlib.sha256(msgspec.json.encode(words, order="deterministic"))
        return self.folder / f"{digest.hexdigest()[:24]}.json"


def _enc_hook(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise NotImplementedError(f"a result cannot contain a value of type {type(value).__name__}")


def _dec_hook(kind: Any, value: Any) -> Any:
    return np.asarray(value)
