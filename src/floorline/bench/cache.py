"""Finished replays on disk, so that a suite that was killed goes on where it stopped."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from floorline.replay.compare import Result
from floorline.replay.spec import Spec
from floorline.version import __version__


class RunCache:
    """One file per finished replay, named by everything that determines its result.

    Parameters
    ----------
    folder
        Where the files lie.
    context
        Digest of the data, fingerprint of the encoder and whatever else the spec does not say.
    """

    def __init__(self, folder: Path, context: dict[str, Any]) -> None:
        self.folder = folder
        self.context = {**context, "version": __version__}
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, spec: Spec) -> Result | None:
        """Return a finished replay; None if there is none or its file is damaged."""
        path = self._path(spec)
        try:
            return msgspec.json.decode(path.read_bytes(), type=Result, dec_hook=_dec_hook)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def keep(self, result: Result) -> None:
        """Write a finished replay, whole or not at all."""
        path = self._path(result.spec)
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(result, enc_hook=_enc_hook))
        os.replace(part, path)  # noqa: PTH105 - atomic, also over an existing file

    def _path(self, spec: Spec) -> Path:
        key = msgspec.json.encode({"spec": spec, "context": self.context}, order="deterministic")
        return self.folder / f"{hashlib.sha256(key).hexdigest()[:24]}.json"


def _enc_hook(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise NotImplementedError(f"a result holds no {type(value).__name__}")


def _dec_hook(kind: Any, value: Any) -> Any:
    return np.asarray(value)
