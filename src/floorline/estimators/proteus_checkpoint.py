"""Trained networks on disk: weights as safetensors, everything else as JSON. Needs no PyTorch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from floorline._files import write_whole
from floorline.errors import DataError, InvalidInput
from floorline.estimators.network import TrainedNetwork, Weights

WEIGHTS, ABOUT = "proteus.safetensors", "proteus.json"
"""Files of a checkpoint, which is a folder."""

_FORMAT = "floorline-proteus/1"


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint's JSON says; ``weights`` is the SHA-256 of the other file."""

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
    """Write a checkpoint; a reader sees the old one or the new one, never half of each.

    The same network and descriptions give the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: np.ascontiguousarray(value) for name, value in _fields(network)}
    body = save_tensors(tensors)
    cost = zip(network.models, network.weights.cost.tolist(), strict=True)
    about = About(
        format=_FORMAT,
        models=network.models,
        encoder=network.encoder,
        cost=dict(cost),
        weights=hashlib.sha256(body).hexdigest(),
        settings=dict(settings),
        data=dict(data),
        metrics=dict(metrics),
    )
    # The JSON names the weights it belongs to, so a crash between the two is noticed.
    write_whole(folder / WEIGHTS, body)
    write_whole(folder / ABOUT, msgspec.json.format(msgspec.json.encode(about), indent=1))
    return [folder / WEIGHTS, folder / ABOUT]


def read_about(folder: str | Path) -> About:
    """Read a checkpoint's JSON.

    Raises
    ------
    DataError
        If there is none or it is damaged.
    """
    path = Path(folder) / ABOUT
    try:
        about = msgspec.json.decode(path.read_bytes(), type=About)
    except OSError as error:
        fix = f"{error.strerror}; give the folder that 'floorline train proteus' wrote"
        raise DataError(path, fix) from error
    except msgspec.DecodeError as error:
        raise DataError(path, f"damaged checkpoint: {error}; train again") from error
    if about.format != _FORMAT:
        raise DataError(path, f"format {about.format!r} is not {_FORMAT!r}; train again")
    return about


def load_network(folder: str | Path) -> TrainedNetwork:
    """Read a checkpoint for serving.

    Raises
    ------
    DataError
        If files are missing, damaged or not of one checkpoint.
    """
    about = read_about(folder)
    path = Path(folder) / WEIGHTS
    try:
        body = path.read_bytes()
        if hashlib.sha256(body).hexdigest() != about.weights:
            raise DataError(path, f"these are not the weights that {ABOUT} names; train again")
        weights = Weights(**load_tensors(body))
    except OSError as error:
        raise DataError(path, f"{error.strerror}; train again") from error
    except (SafetensorError, TypeError) as error:
        raise DataError(path, f"damaged checkpoint: {error}; train again") from error
    return TrainedNetwork(weights, about.models, about.encoder)


def check_fits(network: TrainedNetwork, *, encoder: str, models: tuple[str, ...]) -> None:
    """Raise InvalidInput unless a network can serve these models from these features."""
    if network.encoder != encoder:
        raise InvalidInput("encoder", encoder, f"use the one of training, {network.encoder}")
    if not set(models) & set(network.models):
        fix = "serve one that the network was trained on: " + ", ".join(network.models)
        raise InvalidInput("models", models, fix)


def _fields(network: TrainedNetwork) -> list[tuple[str, Any]]:
    return list(network.weights._asdict().items())
