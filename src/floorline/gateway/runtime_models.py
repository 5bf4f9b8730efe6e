"""Models that were added or removed while serving; they outlive a restart."""

from __future__ import annotations

from floorline.config import ModelSettings, Settings, load_model
from floorline.gateway.startup import Promises
from floorline.stores.sql import SqlStore
from floorline.zoo import Zoo

_KIND = "model"
_REMOVED = b"null"


class RuntimeModels:
    """The settings' models, with what was added to and removed from them at run time.

    Parameters
    ----------
    store
        Where that is kept.
    """

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._changes = store.documents(_KIND)

    def add(self, name: str, written: bytes) -> None:
        """Keep a model, by the text that describes it."""
        self._store.put_document(_KIND, name, written)
        self._changes[name] = written

    def remove(self, name: str) -> None:
        """Keep in mind that a model is gone, whatever the settings say."""
        self._store.put_document(_KIND, name, _REMOVED)
        self._changes[name] = _REMOVED

    def models(self, settings: Settings) -> list[ModelSettings]:
        """Models that are to serve.

        Raises
        ------
        ConfigError
            If one that was added needs what is there no more, such as an environment variable.
        """
        models = {m.name: m for m in settings.models if self._changes.get(m.name) != _REMOVED}
        for name, written in self._changes.items():
            if written != _REMOVED:
                added = load_model(written.decode(), name=f"model {name!r} added at run time")
                models[name] = added.completed(settings.defaults)
        return list(models.values())

    def promises(self, settings: Settings) -> Promises:
        """Models and SLAs that are wanted."""
        models = [model.as_model() for model in self.models(settings)]
        return Promises(Zoo(models, settings.cost_unit), settings.promises(), settings.own_slas)
