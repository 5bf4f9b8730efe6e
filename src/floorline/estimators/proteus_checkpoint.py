"""Reading and writing of trained PROTEUS networks: safetensors and JSON, without PyTorch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from floorline._decoding import decoding_reason
from floorline._extras import needs
from floorline._files import write_whole
from floorline.errors import DataError, InvalidInput
from floorline.estimators.network import TrainedNetwork, Weights

WEIGHTS, METADATA = "proteus.safetensors", "proteus.json"
"""Names of the two files in the folder of a checkpoint."""

_FORMAT = "floorline-proteus/1"


class CheckpointMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """Content of a checkpoint's JSON file.

    Parameters
    ----------
    format
        Name and version of the format.
    models
        Names of the models, in the order of the arrays.
    encoder
        Fingerprint of the encoder.
    cost
        Normalised cost of each model.
    weights
        SHA-256 of the file of the weights.
    settings
        Settings of the training.
    data
        Name, digest and size of the training data.
    metrics
        Results of the training.
    """

    format: str
    models: tuple[str, ...]
    encoder: str
    cost: dict[str, float]
    weights: str
    settings: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, Any]


def save_network(
    network: TrainedNetwork,
    folder: Path,
    *,
    settings: Mapping[str, Any],
    data: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> list[Path]:
    """Write a checkpoint: the weights as safetensors and their metadata as JSON.

    Each file is replaced atomically, and the JSON holds the digest of the weights, so a reader
    detects a mix of two checkpoints. The same arguments give the same bytes.

    Parameters
    ----------
    network
        The trained network.
    folder
        Folder of the checkpoint; created if missing.
    settings, data, metrics
        As in ``CheckpointMetadata``.

    Returns
    -------
    The paths of the two files
    """
    with needs("offline", "a checkpoint of PROTEUS"):
        from safetensors.numpy import save as save_tensors
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: np.ascontiguousarray(value) for name, value in _fields(network)}
    body = save_tensors(tensors)
    cost = zip(network.models, network.weights.cost.tolist(), strict=True)
    metadata = CheckpointMetadata(
        format=_FORMAT,
        models=network.models,
        encoder=network.encoder,
        cost=dict(cost),
        weights=hashlib.sha256(body).hexdigest(),
        settings=dict(settings),
        data=dict(data),
        metrics=dict(metrics),
    )
    # The JSON holds the digest of the weights, so a crash between the two writes is detected.
    write_whole(folder / WEIGHTS, body)
    write_whole(folder / METADATA, msgspec.json.format(msgspec.json.encode(metadata), indent=1))
    return [folder / WEIGHTS, folder / METADATA]


def read_metadata(folder: str | Path) -> CheckpointMetadata:
    """Read a checkpoint's JSON file.

    Raises
    ------
    DataError
        If the file is missing, damaged or of another format.
    """
    path = Path(folder) / METADATA
    try:
        metadata = msgspec.json.decode(path.read_bytes(), type=CheckpointMetadata)
    except OSError as error:
        fix = f"{error.strerror}; give the folder that 'floorline train proteus' wrote"
        raise DataError(path, fix) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        problem = f"a damaged checkpoint ({decoding_reason(error)}): train again"
        raise DataError(path, problem) from error
    if metadata.format != _FORMAT:
        raise DataError(path, f"format {metadata.format!r} is not {_FORMAT!r}; train again")
    return metadata


def load_network(folder: str | Path) -> TrainedNetwork:
    """Read the network of a checkpoint.

    Raises
    ------
    DataError
        If a file is missing or damaged, or the two files are not of one checkpoint.
    """
    with needs("offline", "a checkpoint of PROTEUS"):
        from safetensors import SafetensorError
        from safetensors.numpy import load as load_tensors
    metadata = read_metadata(folder)
    path = Path(folder) / WEIGHTS
    try:
        body = path.read_bytes()
        if hashlib.sha256(body).hexdigest() != metadata.weights:
            raise DataError(path, f"the digest differs from the one in {METADATA}; train again")
        weights = Weights(**load_tensors(body))
    except OSError as error:
        raise DataError(path, f"{error.strerror}; train again") from error
    except (SafetensorError, TypeError) as error:
        raise DataError(path, "a damaged checkpoint: train again") from error
    return TrainedNetwork(weights, metadata.models, metadata.encoder)


def check_fits(network: TrainedNetwork, *, encoder: str, models: tuple[str, ...]) -> None:
    """Check that a network can serve some of these models with the features of this encoder.

    Raises
    ------
    InvalidInput
        If the network was trained on another encoder, or on none of the models.
    """
    if network.encoder != encoder:
        fix = f"use the encoder of the training, {network.encoder}"
        raise InvalidInput("encoder", encoder, fix)
    if not set(models) & set(network.models):
        fix = "serve at least one model of the training: " + ", ".join(network.models)
        raise InvalidInput("models", models, fix)


def _fields(network: TrainedNetwork) -> list[tuple[str, Any]]:
    return list(network.weights._asdict().items())
