"""Snapshots: every attribute whose name ends in ``_`` is state, and snapshots contain all state.

The convention is that of scikit-learn: a constructor takes hyper-parameters, and attributes that
are learned end in an underscore. Here it also defines what a snapshot contains, so that no price,
queue or budget can be left out. An attribute of another name must not change after construction; a
test checks that for every policy and estimator. The exception are caches, whose names begin with
an underscore; ``restore`` rebuilds them from the state.
"""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import numpy as np

from floorline.errors import SnapshotMismatch

State = dict[str, Any]
"""A nested mapping of JSON-like scalars and NumPy arrays."""


class Stateful:
    """Mixin: snapshots of all attributes whose name ends in ``_``."""

    def snapshot(self) -> State:
        """Copy the whole state; the copy does not change with the object."""
        return {name: copy_out(getattr(self, name)) for name in self._state_names()}

    def restore(self, state: State) -> None:
        """Take over a state that ``snapshot`` of an object built the same way returned.

        Raises
        ------
        SnapshotMismatch
            If the state has other fields than this object.
        """
        names = self._state_names()
        if set(names) != set(state):
            odd = ", ".join(sorted(set(names) ^ set(state)))
            raise SnapshotMismatch(
                f"snapshot does not fit {type(self).__name__}: fields differ ({odd}); "
                "restore into an object built with the same arguments"
            )
        for name in names:
            setattr(self, name, copy_in(getattr(self, name), state[name]))

    def _state_names(self) -> list[str]:
        return sorted(n for n in vars(self) if n.endswith("_") and not n.endswith("__"))


def copy_out(value: Any) -> Any:
    """Copy one attribute; parts that are ``Stateful`` become nested states."""
    if isinstance(value, Stateful):
        return value.snapshot()
    if isinstance(value, dict) and any(isinstance(v, Stateful) for v in value.values()):
        return {key: copy_out(v) for key, v in value.items()}
    if isinstance(value, np.ndarray):
        return value.copy()
    return copy.deepcopy(value)


def copy_in(current: Any, state: Any) -> Any:
    """Return the value that an attribute takes over from a state.

    Parameters
    ----------
    current
        Present value. A ``Stateful`` value, or a mapping of such values, is restored in place.
    state
        State of the attribute.

    Raises
    ------
    SnapshotMismatch
        If a mapping has other keys than its state.
    """
    if isinstance(current, Stateful):
        current.restore(state)
        return current
    if isinstance(current, dict) and any(isinstance(v, Stateful) for v in current.values()):
        if set(current) != set(state):
            odd = ", ".join(sorted(set(map(str, current)) ^ set(map(str, state))))
            raise SnapshotMismatch(f"snapshot does not fit: entries differ ({odd})")
        for key, part in current.items():
            part.restore(state[key])
        return current
    return copy_out(state)


_ARRAY = 1
_DTYPES = {
    np.dtype(f"{order}{kind}{size}").str: np.dtype(f"{order}{kind}{size}")
    for order in "<>"
    for kind, sizes in {"b": "1", "i": "1248", "u": "1248", "f": "248"}.items()
    for size in sizes
}
"""Types of arrays that are written. NumPy takes any text and raises many kinds of errors."""
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_array_encoder = msgspec.msgpack.Encoder()
_array_decoder = msgspec.msgpack.Decoder(tuple[str, list[int], bytes])


def _enc_hook(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        name = _NAMES.get(value.dtype)
        if name is not None:
            body = _array_encoder.encode((name, value.shape, value.tobytes()))
            return msgspec.msgpack.Ext(_ARRAY, body)
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"cannot put a {type(value).__name__} into a snapshot")


def array_from_ext(code: int, data: memoryview) -> Any:
    """Decode the extension type of arrays that ``pack`` writes.

    Raises
    ------
    SnapshotMismatch
        If it is another type or damaged.
    """
    if code != _ARRAY:
        raise SnapshotMismatch(f"snapshot holds an unknown extension type {code}")
    name, shape, raw = _array_decoder.decode(data)
    dtype = _DTYPES.get(name)
    if dtype is None:
        raise SnapshotMismatch(f"snapshot holds a damaged array of dtype {name!r}")
    try:
        array = np.frombuffer(raw, dtype)
        # Most arrays are vectors, which need no new shape.
        return (array if shape == [len(array)] else array.reshape(shape)).copy()
    except (TypeError, ValueError) as error:
        raise SnapshotMismatch("snapshot holds a damaged array") from error


_encoder = msgspec.msgpack.Encoder(enc_hook=_enc_hook)
_decoder = msgspec.msgpack.Decoder(ext_hook=array_from_ext, strict=True)


def pack(state: Any) -> bytes:
    """Encode a state as MessagePack; arrays keep dtype, shape and every bit.

    Examples
    --------
    >>> state = {"queue_": 0.5, "weights_": np.arange(3.0)}
    >>> unpack(pack(state))["weights_"].tolist()
    [0.0, 1.0, 2.0]
    """
    return _encoder.encode(state)


def unpack(data: bytes) -> Any:
    """Decode what ``pack`` wrote.

    Raises
    ------
    SnapshotMismatch
        If the bytes are truncated or no snapshot.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, ValueError) as error:
        raise SnapshotMismatch("snapshot cannot be read: it is damaged or cut off") from error
