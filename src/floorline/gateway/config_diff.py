"""Compare two configurations, and find what a running server can apply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from floorline.config import ModelSettings, Settings
from floorline.zoo import PRICES

_FIXED: tuple[tuple[str, ...], ...] = (
    ("store", "url"),
    ("server", "host"),
    ("server", "port"),
    ("server", "unix_socket"),
    ("server", "unix_socket_mode"),
    ("server", "tls"),
    ("server", "root_path"),
    ("server", "limits"),
    ("encoder",),
    ("seed",),
    ("memory",),
    ("history",),
    ("policy",),
    ("auth",),
    ("telemetry",),
    ("judging",),
)
"""Fields that change at the next start only: those of the store, the socket and the router."""
_LISTS = ("models", "slas", "defaults", "hints")
"""Sections whose changes are changes of models and SLAs."""


class Changes(NamedTuple):
    """Names of what differs between two configurations.

    Attributes
    ----------
    models_added, models_removed, models_changed
        Names of models.
    prices
        Names of the changed models whose prices changed.
    slas_added, slas_removed, slas_changed
        Names of SLAs.
    other
        Fields outside of models and SLAs that take effect at once.
    restart
        Fields that take effect at the next start.
    """

    models_added: tuple[str, ...] = ()
    models_removed: tuple[str, ...] = ()
    models_changed: tuple[str, ...] = ()
    prices: tuple[str, ...] = ()
    slas_added: tuple[str, ...] = ()
    slas_removed: tuple[str, ...] = ()
    slas_changed: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def at_once(self) -> tuple[str, ...]:
        """What takes effect at once: fields by their path, models and SLAs with what happened.

        Examples
        --------
        >>> Changes(models_added=("small",), other=("server.max_body",)).at_once()
        ('models added: small', 'server.max_body')
        """
        named = {
            field.replace("_", " "): names
            for field, names in self._asdict().items()
            if names and field not in ("other", "restart")
        }
        return (
            *(f"{what}: {name}" for what, names in named.items() for name in names),
            *self.other,
        )

    def __bool__(self) -> bool:
        return any(self)

    def __str__(self) -> str:
        """Write the changes in one line, without values, because some are secret."""
        words = [
            f"{field.replace('_', ' ')}: {', '.join(names)}"
            for field, names in self._asdict().items()
            if names and field != "restart"
        ]
        if self.restart:
            words.append(f"at the next restart: {', '.join(self.restart)}")
        return "; ".join(words) or "nothing changed"


def changes(old: Settings, new: Settings) -> Changes:
    """Compare two configurations."""
    before = {model.name: model for model in old.models}
    after = {model.name: model for model in new.models}
    changed = _changed(before, after)
    slas_before = {sla.name: sla for sla in old.slas}
    slas_after = {sla.name: sla for sla in new.slas}
    fixed = {".".join(path) for path in _FIXED}
    differing = _differing(old, new)
    return Changes(
        models_added=tuple(name for name in after if name not in before),
        models_removed=tuple(name for name in before if name not in after),
        models_changed=changed,
        prices=tuple(name for name in changed if _prices(before[name]) != _prices(after[name])),
        slas_added=tuple(name for name in slas_after if name not in slas_before),
        slas_removed=tuple(name for name in slas_before if name not in slas_after),
        slas_changed=_changed(slas_before, slas_after),
        other=tuple(name for name in differing if name not in fixed),
        restart=tuple(name for name in differing if name in fixed),
    )


def at_run_time(old: Settings, new: Settings) -> Settings:
    """Return ``new`` with the fields that cannot change at run time as in ``old``."""
    kept: dict[str, Any] = {}
    for section, *field in _FIXED:
        if not field:
            kept[section] = getattr(old, section)
        else:
            current = kept.get(section, getattr(new, section))
            value = getattr(getattr(old, section), field[0])
            kept[section] = current.model_copy(update={field[0]: value})
    return new.model_copy(update=kept)


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in after if name in before and before[name] != after[name])


def _prices(model: ModelSettings) -> tuple[float | None, ...]:
    return tuple(getattr(model, name) for name in PRICES)


def _differing(old: Settings, new: Settings) -> list[str]:
    """Paths of the fields outside of models and SLAs that differ."""
    whole = {path[0] for path in _FIXED if len(path) == 1}
    found = []
    for section in Settings.model_fields:
        before, after = getattr(old, section), getattr(new, section)
        if section in _LISTS or before == after:
            continue
        fields = getattr(type(before), "model_fields", {})
        if section in whole or not fields:
            found.append(section)
        else:
            found += [f"{section}.{f}" for f in fields if getattr(before, f) != getattr(after, f)]
    return found
