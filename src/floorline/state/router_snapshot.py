"""Snapshot of a router: the state of its fold, and what both routers must have in common."""

from __future__ import annotations

from floorline.core.snapshots import State, pack, unpack
from floorline.encoders.base import Encoder
from floorline.errors import SnapshotMismatch
from floorline.state.fold import Find, Fold

_VERSION = 10
_WITHOUT_JUDGES = 8
"""Version of snapshots of before there were judges, which is still read."""
_WITHOUT_MISSED = 9
"""Version of before responses that judges did not see were counted, which is still read."""


def write_snapshot(
    fold: Fold, encoder: Encoder, seed: int, *, decisions: bool = True, records: bool = True
) -> bytes:
    """Serialise the state of a router.

    Without ``decisions`` the remembered ones are named by their ids only. Without ``records`` none
    is remembered.
    """
    identity = _identity(fold, encoder, seed)
    return pack({**identity, "fold": fold.snapshot(decisions=decisions, records=records)})


def restore_snapshot(
    snapshot: bytes, fold: Fold, encoder: Encoder, seed: int, find: Find | None = None
) -> None:
    """Let a fold take over a serialised state.

    ``find`` looks up decisions that the snapshot names by their ids only.

    Raises
    ------
    SnapshotMismatch
        If the bytes are no snapshot, or one of another policy, encoder, seed or version.
    """
    state = unpack(snapshot)
    identity = _identity(fold, encoder, seed)
    if not isinstance(state, dict) or set(state) != {*identity, "fold"}:
        raise SnapshotMismatch(
            "snapshot is not one of a router: give what Router.snapshot() returned"
        )
    if state["version"] == _WITHOUT_JUDGES:
        state["version"] = _WITHOUT_MISSED
        _add_judges(state["fold"])
    if state["version"] == _WITHOUT_MISSED:
        state["version"] = _VERSION
        _add_missed(state["fold"])
    for field, value in identity.items():
        if state[field] != value:
            raise SnapshotMismatch(
                f"snapshot has {field} {state[field]!r}, this router {value!r}: "
                "restore into a router built with the same arguments"
            )
    fold.restore(state["fold"], find)


def _add_judges(fold: State) -> None:
    """Put the state of no judges into one of before there were any."""
    fold["judges_"] = {"judges_": {}}
    for ledger in fold["ledgers_"].values():
        ledger["judges_"] = {"judges_": {}}
    for name in ("records_", "open_"):
        fold[name] = [[*record, None] for record in fold[name]]


def _add_missed(fold: State) -> None:
    """Let the judges of an older state have seen all that they were to see."""
    for known in fold["judges_"]["judges_"].values():
        known["missed_"] = {}
    for ledger in fold["ledgers_"].values():
        for labels in ledger["judges_"]["judges_"].values():
            labels |= {"missed_": 0, "missed_weight_": 0.0, "missed_pair_weight_": 0.0}


def _identity(fold: Fold, encoder: Encoder, seed: int) -> State:
    """Return what a snapshot and the router that restores it must have in common."""
    return {
        "version": _VERSION,
        "policy": fold.policy_.fingerprint,
        "encoder": encoder.fingerprint,
        "seed": seed,
    }
