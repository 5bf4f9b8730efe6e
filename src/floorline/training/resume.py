"""Training that survives being stopped: its whole state on disk, taken up where it was."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch

from floorline._files import write_whole
from floorline.datasets import RoutingTable
from floorline.encoders import Encoder
from floorline.errors import DataError
from floorline.training.parts import Parts
from floorline.training.proteus_trainer import Progress, ProteusTrainer
from floorline.training.settings import TrainingSettings

STATE = "proteus.training"
"""File of an unfinished training, beside the checkpoint it will become."""


def train(
    parts: Parts,
    encoder: Encoder,
    settings: TrainingSettings,
    folder: Path,
    *,
    resume: bool = False,
    save_every: int = 500,
    progress: Callable[[Progress], object] | None = None,
) -> ProteusTrainer:
    """Train to the end, saving the state on the way; the caller deletes it when all is done.

    With ``resume``, an unfinished training in ``folder`` goes on to the very same result.

    Raises
    ------
    DataError
        If the state to resume is damaged, or of other data, settings or features.
    """
    trainer = ProteusTrainer(parts, encoder, settings)
    key = _key(parts, encoder, settings)
    path = folder / STATE
    if resume and path.exists():
        trainer.restore(_read(path, key))
    folder.mkdir(parents=True, exist_ok=True)

    def save(trainer: ProteusTrainer) -> None:
        stream = io.BytesIO()
        torch.save({"key": key, "state": trainer.state()}, stream)
        write_whole(path, stream.getvalue())

    trainer.run(progress=progress, save=save, save_every=save_every)
    return trainer


def _read(path: Path, key: str) -> dict[str, object]:
    fix = "train without --resume"
    try:
        saved = torch.load(path, weights_only=True)
        if saved["key"] != key:
            raise DataError(path, f"belongs to other data, settings or features; {fix}")
        state: dict[str, object] = saved["state"]
    except DataError:
        raise
    except Exception as error:
        # What a damaged file raises depends on where it is damaged.
        raise DataError(path, f"damaged ({type(error).__name__}); {fix}") from error
    return state


def _key(parts: Parts, encoder: Encoder, settings: TrainingSettings) -> str:
    tables: list[RoutingTable] = [parts.train, parts.validation]
    digest = hashlib.sha256(msgspec.json.encode(settings))
    for text in (encoder.fingerprint, *(table.digest for table in tables)):
        digest.update(text.encode())
    return digest.hexdigest()
