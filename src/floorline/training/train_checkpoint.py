"""Training of PROTEUS's network and writing of its checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from floorline.datasets import RoutingTable
from floorline.encoders import Encoder
from floorline.estimators.proteus_checkpoint import save_network
from floorline.training.parts import Parts
from floorline.training.settings import TrainingSettings


def train_checkpoint(
    table: RoutingTable,
    parts: Parts,
    encoder: Encoder,
    settings: TrainingSettings,
    folder: Path,
    *,
    resume: bool = False,
    progress: Callable[[Any], object] | None = None,
) -> list[Path]:
    """Train PROTEUS on parts of a table and write its checkpoint. Needs PyTorch.

    Parameters
    ----------
    table
        The whole table; the checkpoint states its name and digest.
    parts
        Training, validation and test rows of the table.
    encoder
        Encoder of the prompts.
    settings
        Settings of the training.
    folder
        Folder of the checkpoint.
    resume
        Continue an unfinished training in ``folder``.
    progress
        Called after every step with a ``proteus_trainer.Progress``.

    Returns
    -------
    Paths of the files

    Raises
    ------
    DataError
        If the state to resume is damaged, or belongs to other data, settings or features.
    """
    from floorline.training.resume import STATE, train

    trainer = train(parts, encoder, settings, folder, resume=resume, progress=progress)
    written = save_network(
        trainer.trained(),
        folder,
        settings=msgspec.structs.asdict(settings),
        data={
            "name": table.name,
            "digest": table.digest,
            "simulated": table.simulated,
            "rows": {
                "train": len(parts.train),
                "validation": len(parts.validation),
                "test": len(parts.test),
                "dropped": parts.dropped,
            },
        },
        metrics={"validation_cross_entropy": trainer.best_loss},
    )
    (folder / STATE).unlink(missing_ok=True)
    return written
