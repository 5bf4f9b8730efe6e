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

    The key of a replay is its ``Spec``. A file has what was asked for, the result and a checksum of
    both. A file that is damaged, or answers another question, counts as missing.

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
        asked = self._asked(key)
        try:
            kept = msgspec.json.decode(self._path(asked).read_bytes(), type=_Kept)
            body = bytes(kept.result)
            if bytes(kept.asked) != asked or kept.sha256 != _digest(asked, body):
                return None
            return msgspec.json.decode(body, type=kind, dec_hook=_dec_hook)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def keep(self, key: Any, value: Any) -> None:
        """Write the result of a key atomically."""
        asked, body = self._asked(key), msgspec.json.encode(value, enc_hook=_enc_hook)
        kept = _Kept(msgspec.Raw(asked), msgspec.Raw(body), _digest(asked, body))
        write_whole(self._path(asked), msgspec.json.encode(kept))

    def _asked(self, key: Any) -> bytes:
        words = {"spec": key, "context": self.context}
        return msgspec.json.encode(words, order="deterministic")

    def _path(self, asked: bytes) -> Path:
        return self.folder / f"{hashlib.sha256(asked).hexdigest()[:24]}.json"


class _Kept(msgspec.Struct):
    """Content of a file; ``sha256`` is the digest of the bytes of ``asked`` and ``result``."""

    asked: msgspec.Raw
    result: msgspec.Raw
    sha256: str


def _digest(asked: bytes, result: bytes) -> str:
    return hashlib.sha256(asked + b"\n" + result).hexdigest()


def _enc_hook(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise NotImplementedError(f"a result cannot contain a value of type {type(value).__name__}")


def _dec_hook(kind: Any, value: Any) -> Any:
    return np.asarray(value)
