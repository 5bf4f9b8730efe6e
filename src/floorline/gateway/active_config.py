"""The configuration in force: applies settings to the router and to the upstreams."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from floorline.config import Settings, load_runtime_model
from floorline.config.document import quoted
from floorline.errors import ConfigError, FloorlineError, did_you_mean, listed
from floorline.gateway.config_diff import Changes
from floorline.gateway.reconcile import reconcile
from floorline.gateway.runtime_models import RuntimeModels, desired_state
from floorline.gateway.upstream_config import upstream_settings
from floorline.gateway.upstreams import Upstreams, UpstreamSettings
from floorline.replication.replica_router import ReplicaRouter
from floorline.router import Router
from floorline.stores.queued import QueuedStore

log = logging.getLogger("floorline.gateway")


class ActiveConfig:
    """Settings in force, together with the models that were added or removed at run time.

    Requests in flight end under the settings under which they began.

    Parameters
    ----------
    settings
        Applied at once; errors as for ``apply``.
    models
        Models that were added or removed at run time.
    router, upstreams
        Changed to serve by the settings.
    store
        Made durable before a change counts as done.

    Attributes
    ----------
    settings
        The settings in force.
    """

    def __init__(
        self,
        settings: Settings,
        models: RuntimeModels,
        router: Router,
        upstreams: Upstreams,
        store: QueuedStore,
    ) -> None:
        self.settings = settings
        self._models = models
        self._router = router
        self._upstreams = upstreams
        self._store = store
        self._calls: dict[str, UpstreamSettings] = {}
        self._changing = asyncio.Lock()
        self.apply(settings)

    @property
    def calls(self) -> Mapping[str, UpstreamSettings]:
        """How each model's provider is called, by the zoo's name of the model."""
        return self._calls

    def apply(self, settings: Settings) -> None:
        """Serve by these settings from now on.

        Raises
        ------
        FloorlineError
            If a model cannot be called. The settings before stay in force then.
        """
        models = self._models.models(settings)
        desired = desired_state(models, settings)
        for sla in desired.slas:
            sla.check_against(desired.zoo)
        calls = {model.name: upstream_settings(model) for model in models}
        self._upstreams.configure(calls)
        self._calls = calls
        if not isinstance(self._router, ReplicaRouter):
            # Of several replicas the learner changes models and SLAs, which come with its state.
            reconcile(self._router, desired, at=self._router.clock())
        self.settings = settings

    async def follow_models(self) -> None:
        """Call models that were added at another replica, and none that were removed there.

        Raises
        ------
        FloorlineError
            If the changes cannot be read, or a model cannot be called.
        """
        async with self._changing:
            if await asyncio.to_thread(self._models.refresh):
                self.apply(self.settings)

    async def reload(self, old: Settings, new: Settings) -> None:
        """Apply settings whose file has changed and commit that; errors as for ``apply``."""
        async with self._changing:
            self.apply(new)
        await self._store.committed()

    def log_reload(self, found: Changes) -> None:
        """Log what a file that was applied has changed, by names and without values."""
        try:
            self._router.log_config_change(found.at_once(), found.restart)
        except FloorlineError as error:
            # The file is in force; only the log does not say so.
            log.warning("the change of the configuration cannot be logged: %s", error)

    async def add_model(self, text: bytes) -> str:
        """Let one more model serve, or change one, also after a restart.

        Parameters
        ----------
        text
            Its description in JSON, as ``floorline.config.load_runtime_model`` reads it.

        Returns
        -------
        str
            The model's name.

        Raises
        ------
        FloorlineError
            If the model cannot serve; nothing changes and nothing is kept then.
        """
        model = load_runtime_model(text, self.settings.runtime_models)
        other, names = model.quality_like, self._router.zoo.names
        if other is not None and other not in names:
            fix = did_you_mean(other, names) + "name one of the models: " + listed(names)
            raise ConfigError([f"the body: quality_like is {quoted(other)}: {fix}"])
        await self._change_model(model.name, text)
        return model.name

    async def remove_model(self, name: str) -> None:
        """Stop serving a model, also after a restart and if the settings have it.

        Raises
        ------
        FloorlineError
            If it is the last model, or an SLA names it; nothing changes then.
        """
        await self._change_model(name, None)

    async def _change_model(self, name: str, text: bytes | None) -> None:
        # In a task of its own, so that a change whose client leaves is made wholly or not at all.
        change = asyncio.create_task(self._apply_and_keep(name, text))
        await asyncio.shield(change)

    async def _apply_and_keep(self, name: str, text: bytes | None) -> None:
        async with self._changing:
            undo = self._models.change(name, text, self.settings)
            try:
                self.apply(self.settings)
                if name in self._models.problems:
                    raise ConfigError([f"model {name!r}: {self._models.problems[name]}"])
                # A change is kept once it is applied and its event is durable, and not before.
                await self._store.committed()
                await asyncio.to_thread(self._models.save, name)
            except BaseException:
                undo()
                self.apply(self.settings)
                raise
