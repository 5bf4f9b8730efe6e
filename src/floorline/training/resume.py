"""Training that can be interrupted: its state is saved regularly and resumed exactly."""

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
"""Name of the file of an unfinished training, in the folder of its checkpoint."""


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
    """Train to the end and save the state regularly.

    The caller deletes the file ``STATE`` after it has saved the result.

    Parameters
    ----------
    parts
        Training, validation and test rows.
    encoder
        Encoder of the prompts.
    settings
        Settings of the training.
    folder
        Folder of the state.
    resume
        Continue an unfinished training in ``folder``. Its result equals that of an uninterrupted
        training exactly.
    save_every
        Number of steps between two saves.
    progress
        Called after every step.

    Raises
    ------
    DataError
        If the state to resume is damaged, or belongs to other data, settings or features.
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
        # The type of the exception depends on the place of the damage.
        raise DataError(path, f"damaged; {fix}") from error
    return state


def _key(parts: Parts, encoder: Encoder, settings: TrainingSettings) -> str:
    """Return a digest of everything that determines the result."""
    tables: list[RoutingTable] = [parts.train, parts.validation]
    digest = hashlib.sha256(msgspec.json.encode(settings))
    for text in (encoder.fingerprint, *(table.digest for table in tables)):
        digest.update(text.encode())
    return digest.hexdigest()
