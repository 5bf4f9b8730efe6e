"""The change log: what changed in the models, SLAs and configuration, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from floorline.events import (
    ConfigChange,
    Event,
    QualityChange,
    SlaChange,
    Tombstone,
    WarmStart,
    ZooChange,
)
from floorline.gateway.tenants import split_tenant
from floorline.sla import SLA
from floorline.zoo import PRICES, Model, Zoo

KINDS = ("model", "price", "sla", "configuration", "drift", "history", "damage")
"""Kinds of changes, by which the page is filtered."""
_REPLICAS_SECONDS = 60.0
"""Time within which all replicas apply a changed file; they look at it every second."""
_SECRET = ("endpoint",)
"""Fields of a model whose values are not shown: an address can carry a password."""
_OF_CALLS = ("call_price", "image_price")
"""Prices that are not those of tokens."""
_UNSHOWN = ("name", "v")


class Change(NamedTuple):
    """One change.

    Attributes
    ----------
    position
        Position of its event in the log; an event can have several changes.
    at
        Unix time in seconds.
    kind
        One of ``KINDS``.
    name
        Name of the model or the SLA; "" for others.
    text
        What happened, without values.
    details
        Fields with their old and new values.
    """

    position: int
    at: float
    kind: str
    name: str
    text: str
    details: tuple[str, ...] = ()

    @property
    def tenant(self) -> str:
        """Tenant whose own SLA changed; "" for an SLA that all share, and for other changes."""
        return split_tenant(self.name)[1] if self.kind == "sla" else ""


def changes_of(
    events: Iterable[tuple[int, Event]], zoo: Zoo | None, slas: Sequence[SLA]
) -> list[Change]:
    """Return the changes of a log, the latest first.

    Parameters
    ----------
    events
        Positions and events, in the order of the log.
    zoo, slas
        Models and SLAs before the first event; None and none if they are not known.
    """
    known = {sla.name: sla for sla in slas}
    found: list[Change] = []
    applied = ConfigChange()
    for position, event in events:
        at = event.at
        if isinstance(event, ZooChange):
            found += (Change(position, at, *change) for change in _zoo_changes(zoo, event.zoo))
            zoo = event.zoo
        elif isinstance(event, SlaChange):
            found.append(Change(position, at, *_sla_change(known, event)))
        elif isinstance(event, ConfigChange) and _is_same(applied, event):
            continue
        else:
            if isinstance(event, ConfigChange):
                applied = event
            other = _other(event)
            if other is not None:
                found.append(Change(position, at, *other))
    return found[::-1]


_Described = tuple[str, str, str, tuple[str, ...]]
"""Kind, name, text and details of a change."""


def _zoo_changes(before: Zoo | None, after: Zoo) -> list[_Described]:
    models = {model.name: model for model in after.models}
    if before is None:
        text = "model serves; the log does not go back to what it was before"
        return [("model", name, text, ()) for name in models]
    old = {model.name: model for model in before.models}
    found: list[_Described] = []
    for name, model in models.items():
        if name not in old:
            found.append(("model", name, "model added", _prices(model)))
        elif model != old[name]:
            details = _differences(old[name], model)
            prices = [text for field, text in details if field in PRICES]
            others = [text for field, text in details if field not in PRICES]
            if prices:
                found.append(("price", name, "price changed", tuple(prices)))
            if others:
                found.append(("model", name, "model changed", tuple(others)))
    found += (("model", name, "model removed", ()) for name in old if name not in models)
    return found


def _sla_change(known: dict[str, SLA], event: SlaChange) -> _Described:
    """Describe a change of an SLA, and note the SLA as it is from now on."""
    name = event.sla.name
    before = known.pop(name, None)
    if event.removed:
        return "sla", name, "SLA removed", ()
    known[name] = event.sla
    if before is None:
        return "sla", name, "SLA added", tuple(_settings(event.sla))
    details = tuple(text for _, text in _differences(before, event.sla))
    return "sla", name, "SLA changed" if details else "SLA set again, nothing changed", details


def _other(event: Event) -> _Described | None:
    if isinstance(event, ConfigChange):
        waiting = tuple(f"{name} (at the next restart)" for name in event.waiting)
        return "configuration", "", "configuration file applied", (*event.changed, *waiting)
    if isinstance(event, QualityChange):
        text = "quality has changed, by the labels since; the policy learns it anew"
        return "drift", event.model, text, (f"detected by the label of {event.decision}",)
    if isinstance(event, WarmStart):
        source = f" from {event.source}" if event.source else ""
        return "history", "", f"policy learned {event.rows:,} labelled requests{source}", ()
    if isinstance(event, Tombstone):
        lost = event.lost or "event"
        decision = f"decision {event.decision}" if event.decision else ""
        return "damage", "", f"{lost} lost: {event.reason}", (decision,) if decision else ()
    return None


def _is_same(before: ConfigChange, event: ConfigChange) -> bool:
    """Whether another replica applied the same file: each of them logs that it did."""
    return (
        before.changed == event.changed
        and before.waiting == event.waiting
        and abs(event.at - before.at) < _REPLICAS_SECONDS
    )


def _prices(model: Model) -> tuple[str, ...]:
    """Prices of a model that say anything: those that are not as in a model without prices."""
    plain = Model(model.name)
    return tuple(
        f"{_words(field)} {_value(getattr(model, field))}{_unit(field)}"
        for field in PRICES
        if getattr(model, field) != getattr(plain, field)
    )


def _settings(sla: SLA) -> list[str]:
    """Settings of an SLA: its floor, and what is not as in an SLA that says nothing else."""
    plain = _flat_of(SLA(sla.name, floor=sla.floor))
    others = [
        f"{_words(field)} {text}{_unit(field)}"
        for field, text in _flat(sla)
        if plain.get(field) != text
    ]
    return [f"floor {_value(sla.floor)}", *others]


def _differences(before: msgspec.Struct, after: msgspec.Struct) -> list[tuple[str, str]]:
    """Return fields that differ, each with a text of its old and its new value."""
    old, new = _flat_of(before), _flat_of(after)
    found = []
    for field in dict.fromkeys((*old, *new)):
        a, b = old.get(field), new.get(field)
        if a == b:
            continue
        values = "" if field in _SECRET else f" {a or 'none'} → {b or 'none'}{_unit(field)}"
        found.append((field, _words(field) + values))
    return found


def _flat_of(value: msgspec.Struct) -> dict[str, str]:
    return dict(_flat(value))


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Return the fields of a struct as texts, those within fields by their path."""
    found = []
    for field in value.__struct_fields__:
        inner = getattr(value, field)
        if field in _UNSHOWN or inner is None:
            continue
        if isinstance(inner, msgspec.Struct):
            found += _flat(inner, f"{prefix}{field}.")
        elif isinstance(inner, Mapping):
            found += [(f"{prefix}{field}.{name}", _value(one)) for name, one in inner.items()]
        else:
            found.append((f"{prefix}{field}", _value(inner)))
    return found


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, frozenset | tuple):
        return ", ".join(sorted(map(str, value))) or "none"
    return str(value) or "none"


def _words(field: str) -> str:
    return field.replace("_", " ").replace(".", " ")


def _unit(field: str) -> str:
    if field.endswith("period"):
        return " s"
    return " per million tokens" if field.endswith("_price") and field not in _OF_CALLS else ""
