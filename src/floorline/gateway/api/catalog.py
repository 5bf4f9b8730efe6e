"""``GET /v1/models`` and ``/v1/slas``: names that requests may use, and the status of SLAs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from floorline.errors import abbreviated
from floorline.gateway.api.responses import reply
from floorline.gateway.chat_request import ROUTED
from floorline.gateway.errors import ApiError
from floorline.gateway.tenants import split_tenant
from floorline.gateway.visible_status import visible_slas, visible_status

if TYPE_CHECKING:
    from floorline.gateway.auth import Caller
    from floorline.gateway.startup import Gateway


_EPOCH = "1970-01-01T00:00:00Z"
"""When a model was made, in Anthropic's list: the gateway does not know."""


class CatalogApi:
    """The endpoints that list models and SLAs."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def models(self, request: Request) -> Response:
        """List the values of a request's ``model``: SLAs, models, and aliases without a star."""
        caller = self._caller(request)
        names = [f"{ROUTED}auto"]
        names += [f"{ROUTED}{name}" for name in self._slas(caller) if not split_tenant(name)[1]]
        entries = [_entry(name, "floorline") for name in names]
        entries += [_entry(name, "provider") for name in self._models(caller)]
        listed = {entry["id"] for entry in entries}
        aliases = self.gateway.config.settings.aliases
        entries += [
            _entry(name, "floorline")
            for name, meant in aliases.items()
            if meant in listed and "*" not in name and name not in listed
        ]
        if "anthropic-version" in request.headers:
            return reply(_anthropic_list([entry["id"] for entry in entries]))
        return reply({"object": "list", "data": entries})

    async def model(self, request: Request) -> Response:
        """Describe one SLA or model of the list."""
        caller = self._caller(request)
        name = request.path_params["model"]
        meant = self.gateway.chat.names.meant(name)
        routed = meant.startswith(ROUTED)
        known = ["auto", *self._slas(caller)] if routed else self._models(caller)
        if meant.removeprefix(ROUTED) not in known or (routed and split_tenant(meant)[1]):
            raise ApiError(
                404,
                f"there is no model {abbreviated(name)}: see /v1/models",
                code="model_not_found",
            )
        if "anthropic-version" in request.headers:
            return reply(_anthropic_entry(name))
        return reply(_entry(name, "floorline" if routed else "provider"))

    async def slas(self, request: Request) -> Response:
        """List the status of every SLA that the caller may see."""
        caller = self._caller(request)
        data = [self._status(name, caller) for name in self._slas(caller)]
        return reply({"object": "list", "data": data})

    async def sla(self, request: Request) -> Response:
        """Return the status of one SLA."""
        caller = self._caller(request)
        name = request.path_params["name"]
        if name not in self._slas(caller):
            raise ApiError(
                404, f"there is no SLA {abbreviated(name)}: see /v1/slas", code="sla_not_found"
            )
        return reply(self._status(name, caller))

    def _caller(self, request: Request) -> Caller:
        return self.gateway.auth.caller(request.headers, "chat")

    def _models(self, caller: Caller) -> list[str]:
        """Models that a caller may name."""
        return [name for name in self.gateway.router.zoo.names if caller.may_call(name)]

    def _slas(self, caller: Caller) -> list[str]:
        """SLAs that a caller may see: shared ones and their tenant's own; for admins all."""
        return visible_slas(self.gateway.router, caller)

    def _status(self, name: str, caller: Caller) -> dict[str, Any]:
        router = self.gateway.router
        found = visible_status(router, name, caller, all_senders="admin" in caller.scopes)
        status = msgspec.to_builtins(found)
        status["senders"] = [row._asdict() for row in found.senders]
        queue = self.gateway.router.policy.queue(name)
        return {"object": "floorline.sla", "name": status.pop("sla"), **status, "queue": queue}


def _anthropic_list(names: list[str]) -> dict[str, Any]:
    """Return a list of models as Anthropic's API has it."""
    return {
        "data": [_anthropic_entry(name) for name in names],
        "has_more": False,
        "first_id": names[0],
        "last_id": names[-1],
    }


def _anthropic_entry(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": _EPOCH}


def _entry(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
