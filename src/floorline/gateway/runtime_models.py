"""Models that were added or removed while the gateway ran; they persist across restarts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from floorline.config import ModelSettings, Settings, load_runtime_model
from floorline.config.auto_prices import UnknownPrice
from floorline.config.models import PRICE_FIX
from floorline.errors import ConfigError, InvalidInput, MissingExtra
from floorline.gateway.reconcile import DesiredState
from floorline.stores.queued import QueuedStore
from floorline.zoo import Zoo

log = logging.getLogger("floorline.gateway")

_KIND = "model"
_REMOVED = b"null"
"""Kept in place of the description of a model of the file that was removed."""
_JUDGES_NEED = "a judge or the shadow of floorline.yaml {}"


class RuntimeModels:
    """The settings' models, changed by what was added and removed at run time.

    A kept change that can no longer be applied is left out, and ``warnings`` says why: what
    arrived over HTTP must never keep the gateway from starting.

    Parameters
    ----------
    store
        Keeps the changes as documents, one for each model.

    Attributes
    ----------
    problems
        Why a change is not in force, by the name of its model, as of the last call of ``models``.
    """

    def __init__(self, store: QueuedStore) -> None:
        self._store = store
        self._changes = store.documents(_KIND)
        self.problems: dict[str, str] = {}

    def refresh(self) -> bool:
        """Read the changes that other processes kept; return whether there are others now; blocks.

        Raises
        ------
        StoreUnavailable
            If the store cannot be read; nothing changes then.
        """
        before, self._changes = self._changes, self._store.documents(_KIND)
        return self._changes != before

    def change(self, name: str, text: bytes | None, settings: Settings) -> Callable[[], None]:
        """Add or change a model in memory, or remove it if ``text`` is None.

        Returns
        -------
        Callable
            Takes the change back.

        Raises
        ------
        InvalidInput
            If as many models as are allowed have been added or removed; nothing changes then.
        """
        most = settings.runtime_models.max_models
        if name not in self._changes and len(self._changes) >= most:
            fix = "add it to floorline.yaml, or raise runtime_models.max_models"
            raise InvalidInput("models changed at run time", len(self._changes) + 1, fix)
        before = dict(self._changes)
        if text is not None:
            self._changes[name] = text
        elif any(model.name == name for model in settings.models):
            self._changes[name] = _REMOVED
        else:
            self._changes.pop(name, None)

        def undo() -> None:
            self._changes = before

        return undo

    def save(self, name: str) -> None:
        """Write the change of a model into the store, durably; blocks."""
        if name in self._changes:
            self._store.put_document(_KIND, name, self._changes[name])
        else:
            self._store.drop_document(_KIND, name)

    def warnings(self) -> list[str]:
        """Return which changes are not in force, and why."""
        return [
            f"the change of model {name!r} at run time is not in force: {problem}"
            for name, problem in self.problems.items()
        ]

    def models(self, settings: Settings) -> list[ModelSettings]:
        """Return the models that are to serve, completed by the settings' defaults."""
        before, self.problems = self.problems, {}
        models = {model.name: model for model in settings.models}
        for name, text in self._changes.items():
            if text != _REMOVED:
                added = self._load(name, text, settings)
                if added is not None:
                    models[name] = added
        named, judging = set(_named(settings)), set(_for_judging(settings))
        for name, text in self._changes.items():
            if text == _REMOVED and name in models:
                if name in named:
                    self.problems[name] = "an SLA of floorline.yaml names the model: change the SLA"
                elif name in judging:
                    self.problems[name] = _JUDGES_NEED.format("names the model: change that")
                elif len(models) == 1:
                    self.problems[name] = "it is the last model: add another one first"
                else:
                    del models[name]
        for name, problem in self.problems.items():
            if before.get(name) != problem:
                log.warning("the change of model %r at run time is left out: %s", name, problem)
        return list(models.values())

    def desired_state(self, settings: Settings) -> DesiredState:
        """Return the models and SLAs that a router is to have."""
        return desired_state(self.models(settings), settings)

    def _load(self, name: str, text: bytes, settings: Settings) -> ModelSettings | None:
        try:
            model = load_runtime_model(text, settings.runtime_models, name="its description")
            if model.name != name:
                raise ConfigError([f"its description is that of {model.name!r}: add it again"])
        except ConfigError as error:
            self.problems[name] = "; ".join(error.problems)
            return None
        completed = model.completed(settings.defaults)
        if completed.price not in (None, "free") and settings.cost_unit != "USD":
            self.problems[name] = f"price is {completed.price!r}, which is in USD: give prices"
            return None
        try:
            priced = completed.priced()
        except (UnknownPrice, MissingExtra) as error:
            self.problems[name] = f"price is {completed.price!r}, but {error}: {PRICE_FIX}"
            return None
        if not priced.price_source and name in _for_judging(settings):
            self.problems[name] = _JUDGES_NEED.format(f"has a budget for its calls: {PRICE_FIX}")
            return None
        return priced


def desired_state(models: list[ModelSettings], settings: Settings) -> DesiredState:
    """Return the models and the settings' SLAs as a router is to have them."""
    zoo = Zoo([model.as_model() for model in models], settings.cost_unit)
    return DesiredState(zoo, settings.as_slas(), settings.per_tenant_slas)


def _named(settings: Settings) -> Iterator[str]:
    """Names of the models that an SLA names."""
    for sla in settings.slas:
        yield from sla.models or ()
        if sla.budget is not None:
            yield from sla.budget.per_model


def _for_judging(settings: Settings) -> Iterator[str]:
    """Names of the models that judges and shadow calls name."""
    for judge in settings.judges:
        yield judge.model
        if judge.against is not None:
            yield judge.against
    if settings.shadow is not None:
        yield from settings.shadow.models or ()
