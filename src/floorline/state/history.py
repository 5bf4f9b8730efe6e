"""A labelled history as bytes: the artefact that a warm start leaves beside the log."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, SparseFeatures, freeze, is_finite, length, stacked
from floorline.errors import InvalidInput
from floorline.events import WarmStart
from floorline.policies.base import History
from floorline.zoo import Zoo

_LEVEL = 1
"""Level of zlib. Feature vectors are mostly zeros: higher levels take several times as long and
save a few per cent."""


_DTYPES = ("<f4", "<f8", "<i4", "<i8")


class _Header(msgspec.Struct):
    """First part of the bytes; the arrays follow one after another, without gaps."""

    models: tuple[str, ...]
    dim: int
    sparse: bool
    arrays: list[tuple[str, list[int]]]


class PackedHistory(NamedTuple):
    """A history as bytes.

    Attributes
    ----------
    digest
        SHA-256 of the uncompressed bytes, in hexadecimal.
    body
        Bytes, compressed.
    """

    digest: str
    body: bytes


def check_history(history: History, models: int, dim: int) -> None:
    """Check a history against the zoo and the encoder.

    Parameters
    ----------
    history
        The history.
    models, dim
        Number of models M, and length of the features.

    Raises
    ------
    InvalidInput
        If it has no rows, shapes differ, features are dense and sparse or not finite, or a label,
        cost or number of tokens is out of its range.
    """
    rows = len(history.features)
    if rows == 0:
        raise InvalidInput("history.features", [], "give at least one labelled request")
    if len({isinstance(x, SparseFeatures) for x in history.features}) > 1:
        fix = "give either dense or sparse features"
        raise InvalidInput("history.features", "dense and sparse", fix)
    for row, x in enumerate(history.features):
        if length(x) != dim:
            field = f"history.features[{row}]"
            raise InvalidInput(field, f"of length {length(x)}", f"give {dim} numbers")
        if not is_finite(x):
            field = f"history.features[{row}]"
            raise InvalidInput(field, "holding NaN or infinity", "give finite features")
    shapes = {"quality": (rows, models), "cost": (rows, models), "input_tokens": (rows,)}
    for field, shape in shapes.items():
        given = np.shape(getattr(history, field))
        if given != shape:
            fix = f"give an array of shape {shape}"
            raise InvalidInput(f"history.{field}", f"of shape {given}", fix)
    if np.asarray(history.input_tokens).dtype.kind not in "iu":
        raise InvalidInput("history.input_tokens", history.input_tokens, "give whole numbers")
    for field, high in (("quality", 1.0), ("cost", 1e15), ("input_tokens", 1e15)):
        values = np.asarray(getattr(history, field), dtype=np.float64)
        known = values[~np.isnan(values)]
        if not ((known >= 0.0) & (known <= high)).all():
            fix = f"give numbers from 0 to {high:g}, or NaN where they are unknown"
            raise InvalidInput(f"history.{field}", "out of range", fix)


def pack_history(history: History, models: Sequence[str]) -> PackedHistory:
    """Serialise a history; equal histories give equal digests.

    Parameters
    ----------
    history
        A history that ``check_history`` accepts.
    models
        Names of the M models, in the order of its columns.
    """
    arrays, dim, sparse = _arrays(history)
    header = _Header(
        models=tuple(models),
        dim=dim,
        sparse=sparse,
        arrays=[(array.dtype.str, list(array.shape)) for array in arrays],
    )
    start = msgspec.msgpack.encode(header)
    digest, squeeze = hashlib.sha256(), zlib.compressobj(_LEVEL)
    parts = []
    # Arrays are buffers, which NumPy's types do not say.
    contents: list[Any] = [len(start).to_bytes(4, "big"), start, *arrays]
    for part in contents:
        digest.update(part)
        parts.append(squeeze.compress(part))
    return PackedHistory(digest.hexdigest(), b"".join([*parts, squeeze.flush()]))


def unpack_history(event: WarmStart, zoo: Zoo) -> History:
    """Read the history of a warm start, its columns in the order of a zoo.

    Columns of models that the zoo lacks are left out; those that the history lacks are NaN.

    Raises
    ------
    InvalidInput
        If the bytes are missing or damaged.
    """
    if not event.history:
        fix = "read the event from its log, or from an export with --features"
        raise InvalidInput("WarmStart.history", b"", fix)
    try:
        header, arrays, digest = _read(event.history)
    except (zlib.error, msgspec.MsgspecError, ValueError, TypeError) as error:
        fix = "it is damaged: restore the store from a backup"
        raise InvalidInput("WarmStart.history", event.history[:20], fix) from error
    if digest != event.digest:
        fix = "restore the store from a backup: the history does not match its digest"
        raise InvalidInput("WarmStart.digest", event.digest, fix)
    *given, quality, cost, tokens = arrays
    columns = [header.models.index(n) if n in header.models else -1 for n in zoo.names]
    return History(
        features=list(_features(given, header)),
        quality=_columns(quality, columns),
        cost=_columns(cost, columns),
        input_tokens=tokens,
    )


def _arrays(history: History) -> tuple[list[NDArray[Any]], int, bool]:
    """Arrays of a history, contiguous and little-endian; dimension; whether features are sparse."""
    features = [freeze(x) for x in history.features]
    first = features[0]
    rest = [
        np.ascontiguousarray(history.quality, dtype="<f8"),
        np.ascontiguousarray(history.cost, dtype="<f8"),
        np.ascontiguousarray(history.input_tokens, dtype="<i8"),
    ]
    if not isinstance(first, SparseFeatures):
        return [np.ascontiguousarray(stacked(features), dtype="<f4"), *rest], len(first), False
    rows = [x for x in features if isinstance(x, SparseFeatures)]
    ends = np.cumsum([len(x.indices) for x in rows], dtype="<i8")
    indices = np.concatenate([x.indices for x in rows]).astype("<i4")
    values = np.concatenate([x.values for x in rows]).astype("<f4")
    return [ends, indices, values, *rest], first.dim, True


def _read(body: bytes) -> tuple[_Header, list[NDArray[Any]], str]:
    expand, digest, rest = zlib.decompressobj(), hashlib.sha256(), body

    def take(size: int) -> bytes:
        nonlocal rest
        taken = b""
        while len(taken) < size:
            part = expand.decompress(rest, size - len(taken))
            if not part:
                raise ValueError("its end is missing")
            rest, taken = expand.unconsumed_tail, taken + part if taken else part
        digest.update(taken)
        return taken

    size = int.from_bytes(take(4), "big")
    header = msgspec.msgpack.decode(take(size), type=_Header)
    arrays = []
    for kind, shape in header.arrays:
        # NumPy takes any text for a dtype and fails in many ways; these are all that are written.
        if kind not in _DTYPES:
            raise ValueError(f"an array has the dtype {kind!r}")
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        data = take(count * dtype.itemsize) if count else b""
        arrays.append(np.frombuffer(data, dtype=dtype).reshape(shape))
    return header, arrays, digest.hexdigest()


def _features(arrays: Sequence[NDArray[Any]], header: _Header) -> Iterator[Features]:
    if not header.sparse:
        (matrix,) = arrays
        yield from matrix
        return
    ends, indices, values = arrays
    start = 0
    for end in ends.tolist():
        yield SparseFeatures(indices[start:end], values[start:end], header.dim)
        start = end


def _columns(values: NDArray[np.float64], columns: Sequence[int]) -> NDArray[np.float64]:
    if list(columns) == list(range(values.shape[1])):
        return values
    padded = np.column_stack([values, np.full(len(values), np.nan)])
    return padded[:, columns]
