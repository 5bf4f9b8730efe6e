"""Models that were added or removed while the gateway ran; they persist across restarts."""

from __future__ import annotations

from collections.abc import Callable

from floorline.config import ModelSettings, Settings, load_model
from floorline.gateway.reconcile import DesiredState
from floorline.stores.sql import SqlStore
from floorline.zoo import Zoo

_KIND = "model"
_REMOVED = b"null"
"""Kept in place of the description of a model that was removed."""


class RuntimeModels:
    """The settings' models, changed by what was added and removed at run time.

    Parameters
    ----------
    store
        Keeps the changes as documents, one for each model.
    """

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._changes = store.documents(_KIND)

    def change(self, name: str, text: bytes | None) -> Callable[[], None]:
        """Add or change a model in memory, or remove it if ``text`` is None.

        Returns
        -------
        Callable
            Takes the change back.
        """
        before = dict(self._changes)
        self._changes[name] = _REMOVED if text is None else text

        def undo() -> None:
            self._changes = before

        return undo

    def save(self, name: str) -> None:
        """Write the change of a model into the store, durably; blocks."""
        self._store.put_document(_KIND, name, self._changes[name])

    def models(self, settings: Settings) -> list[ModelSettings]:
        """Return the models that are to serve, completed by the settings' defaults.

        Raises
        ------
        ConfigError
            If an added model needs something that no longer exists, such as an environment
            variable.
        """
        models = {m.name: m for m in settings.models if self._changes.get(m.name) != _REMOVED}
        for name, text in self._changes.items():
            if text != _REMOVED:
                added = load_model(text.decode(), name=f"model {name!r} added at run time")
                models[name] = added.completed(settings.defaults)
        return list(models.values())

    def desired_state(self, settings: Settings) -> DesiredState:
        """Return the models and SLAs that a router is to have; errors as for ``models``."""
        models = [model.as_model() for model in self.models(settings)]
        return DesiredState(
            Zoo(models, settings.cost_unit), settings.as_slas(), settings.per_tenant_slas
        )
