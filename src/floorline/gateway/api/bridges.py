"""``POST /v1/bridges/NAME``: feedback of other programs, which a signature authenticates."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from floorline.config.bridges import BridgeSettings
from floorline.errors import FloorlineError, abbreviated
from floorline.gateway.api.body import decode_body, read_body
from floorline.gateway.api.feedback import MOST_BYTES, MOST_ITEMS, FeedbackApi
from floorline.gateway.api.responses import reply
from floorline.gateway.auth import Caller
from floorline.gateway.bridges.payloads import Label, Read, Skipped, items_of, read_items
from floorline.gateway.bridges.signatures import SIGNATURE_HEADER, read_signature, refused
from floorline.gateway.errors import ApiError

if TYPE_CHECKING:
    from floorline.gateway.startup import Gateway


class BridgesApi:
    """The endpoint of bridges.

    Parameters
    ----------
    gateway
        Whose decisions are judged.
    feedback
        Takes the messages.
    clock
        Returns the Unix time in seconds.
    """

    def __init__(
        self, gateway: Gateway, feedback: FeedbackApi, clock: Callable[[], float] = time.time
    ) -> None:
        self.gateway = gateway
        self._feedback = feedback
        self._clock = clock

    async def take(self, request: Request) -> Response:
        """Take the feedback of a bridge, and acknowledge it once it is durable."""
        gateway = self.gateway
        bridge = self._bridge(request.path_params["name"])
        signature = read_signature(request.headers.get(SIGNATURE_HEADER, ""), self._clock())
        with gateway.bodies.request() as memory:
            data = await read_body(
                request.scope, request.receive, MOST_BYTES, memory, "the size of feedback"
            )
        if not signature.matches(bridge.signing_secret.get_secret_value(), data):
            raise refused(
                "the signature is not that of this body: sign the bytes that are sent, with the "
                f"secret of the bridge {bridge.name!r}"
            )
        items = items_of(bridge, decode_body(data, Any))
        if len(items) > MOST_ITEMS:
            text = f"the body has {len(items):,} items: send at most {MOST_ITEMS:,} at once"
            raise ApiError(413, text, code="body_too_large")
        gateway.readiness.check_log()
        # A copy of the request repeats these keys, and so changes nothing.
        request_id = f"{signature.at} {hashlib.sha256(data).hexdigest()}"
        read = read_items(bridge, items)
        named = {id for label in read if isinstance(label, Label) for id in label.ids}
        decisions = await gateway.aliases.decisions(bridge.tenant or "", named)
        messages = [
            self._message(bridge, found, f"{request_id} {number}", decisions)
            for number, found in enumerate(read)
            if not isinstance(found, Skipped)
        ]
        taken = iter(await self._feedback.take_each(messages, Caller(tenant=bridge.tenant or "")))
        results = [found if isinstance(found, Skipped) else next(taken) for found in read]
        return reply({"object": "list", "data": results})

    def _bridge(self, name: str) -> BridgeSettings:
        for bridge in self.gateway.config.settings.bridges:
            if bridge.name == name:
                return bridge
        raise ApiError(
            404,
            f"there is no bridge {abbreviated(name)}: declare it in bridges in floorline.yaml",
            code="bridge_not_found",
        )

    def _message(
        self, bridge: BridgeSettings, found: Read, key: str, decisions: Mapping[str, list[str]]
    ) -> Any:
        """Message for ``/v1/feedback`` of a label; its error if it has one."""
        if not isinstance(found, Label):
            return found
        version = f"{bridge.name} {found.version or key}"
        try:
            return {
                **_named(found, decisions),
                "score": found.score,
                "source": found.source,
                "idempotency": hashlib.sha256(version.encode("utf-8", "replace")).hexdigest(),
            }
        except FloorlineError as error:
            return error


def _named(label: Label, decisions: Mapping[str, list[str]]) -> dict[str, str]:
    """Name the decision of a label by its id, or by what may be the id of a completion."""
    if label.decision:
        return {"decision": label.decision}
    for id in label.ids:
        meant = decisions[id]
        if len(meant) > 1:
            raise ApiError(
                409,
                f"{abbreviated(id)} came with several requests, so that it names no one "
                f"answer: send the decision itself. The latest first: {', '.join(meant)}",
                code="ambiguous_id",
                param="id",
            )
        if meant:
            return {"decision": meant[0]}
    return {"id": label.ids[-1]}
