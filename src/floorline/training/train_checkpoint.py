"""From rows to a checkpoint: train, write the network and what it was made of, clean up."""

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
    """Train PROTEUS on parts of a table and write its checkpoint; return the files written.

    ``progress`` is told a ``proteus_trainer.Progress`` now and then. Needs PyTorch.

    Raises
    ------
    DataError
        If the state to resume is damaged, or of other data, settings or features.
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
