"""The configuration in force: applies settings to the router and to the upstreams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from floorline.config import Settings
from floorline.gateway.reconcile import reconcile
from floorline.gateway.runtime_models import RuntimeModels
from floorline.gateway.upstream_config import upstream_settings
from floorline.gateway.upstreams import Upstreams, UpstreamSettings
from floorline.router import Router
from floorline.stores.sql import SqlStore


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
        store: SqlStore,
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
            If the settings contradict the models of the run time, such as an SLA that names a
            model that was removed. The settings before stay in force then.
        """
        desired = self._models.desired_state(settings)
        for sla in desired.slas:
            sla.check_against(desired.zoo)
        calls = {model.name: upstream_settings(model) for model in self._models.models(settings)}
        self._upstreams.configure(calls)
        self._calls = calls
        reconcile(self._router, desired, at=time.time())
        self.settings = settings

    async def reload(self, old: Settings, new: Settings) -> None:
        """Apply settings whose file has changed and commit that; errors as for ``apply``."""
        async with self._changing:
            self.apply(new)
        await self._store.committed()

    async def add_model(self, name: str, text: bytes) -> None:
        """Let one more model serve, or change one, also after a restart.

        Parameters
        ----------
        name
            The model's name.
        text
            Its description in JSON or YAML, as ``floorline.config.load_model`` reads it.

        Raises
        ------
        FloorlineError
            If the model cannot serve; nothing changes then.
        """
        await self._change_model(name, text)

    async def remove_model(self, name: str) -> None:
        """Stop serving a model, also after a restart and if the settings have it.

        Raises
        ------
        FloorlineError
            If it is the last model, or an SLA names it; nothing changes then.
        """
        await self._change_model(name, None)

    async def _change_model(self, name: str, text: bytes | None) -> None:
        async with self._changing:
            undo = self._models.change(name, text)
            try:
                self.apply(self.settings)
                await asyncio.to_thread(self._models.save, name)
            except BaseException:
                undo()
                self.apply(self.settings)
                raise
        await self._store.committed()
