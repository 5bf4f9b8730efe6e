"""Changes of an SLA and of the models within a period, in words."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from floorline.errors import listed
from floorline.events import SlaChange, ZooChange
from floorline.report.sla.requests import Change
from floorline.sla import SLA
from floorline.zoo import PRICES, Model

_PROMISED = ("floor", "confidence", "latency", "ttft", "max_latency", "models", "guarded")
"""Fields of an SLA that its customers are told of; its budget is not among them."""


class ChangeLine(msgspec.Struct, frozen=True):
    """A change: its Unix time in seconds, and what changed."""

    at: float
    text: str


def change_lines(
    changes: Sequence[Change], models: Collection[str] | None, *, shown: str
) -> tuple[ChangeLine, ...]:
    """Write changes in words, in the order of time.

    Parameters
    ----------
    changes
        Changes of one SLA and of the zoo.
    models
        Names of the models that may be spoken of; None for all.
    shown
        Name of the SLA.
    """
    lines = []
    for change in sorted(changes, key=lambda change: change.at):
        if isinstance(change.event, SlaChange):
            before = change.before.sla if isinstance(change.before, SlaChange) else None
            texts = [_sla_text(change.event, before, shown)]
        else:
            old = change.before.zoo.models if isinstance(change.before, ZooChange) else ()
            texts = _zoo_texts(old, change.event.zoo.models, models)
        lines += [ChangeLine(change.at, text) for text in texts if text]
    return tuple(lines)


def _sla_text(event: SlaChange, before: SLA | None, shown: str) -> str:
    if event.removed:
        return f"SLA {shown} was removed."
    if before is None:
        return f"SLA {shown} began, with the floor {event.sla.floor:g}."
    differing = [f for f in _PROMISED if getattr(event.sla, f) != getattr(before, f)]
    parts = [
        f"{f}: {_value(getattr(before, f))} → {_value(getattr(event.sla, f))}" for f in differing
    ]
    return f"SLA {shown} changed: {'; '.join(parts)}." if parts else ""


def _zoo_texts(
    before: Sequence[Model], after: Sequence[Model], models: Collection[str] | None
) -> list[str]:
    old = {m.name: m for m in before if models is None or m.name in models}
    new = {m.name: m for m in after if models is None or m.name in models}
    joined = [name for name in new if name not in old]
    left = [name for name in old if name not in new]
    dearer = [
        name
        for name in new
        if name in old and any(getattr(new[name], p) != getattr(old[name], p) for p in PRICES)
    ]
    texts = []
    for names, what in ((joined, "joined"), (left, "left"), (dearer, "changed their price")):
        if names:
            texts.append(f"Models that {what}: {listed(names)}.")
    return texts


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {seconds:g} s" for name, seconds in value.items())
    if isinstance(value, tuple):
        return listed(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
