"""What a viewer may see, so that viewers who may see the same share what was computed."""

from __future__ import annotations

from typing import NamedTuple

from floorline.gateway.dashboard.viewer import Viewer


class Rights(NamedTuple):
    """What the content of pages depends on.

    Attributes
    ----------
    tenant
        The only tenant that is seen; None for all.
    slas, models
        SLAs and models that may be named; None for all.
    admin
        Whether the viewer administers the gateway.
    """

    tenant: str | None
    slas: tuple[str, ...] | None
    models: tuple[str, ...] | None
    admin: bool

    @classmethod
    def of(cls, viewer: Viewer) -> Rights:
        """Return what a viewer may see."""
        caller = viewer.caller
        return cls(viewer.tenant, caller.slas, caller.models, "admin" in caller.scopes)
