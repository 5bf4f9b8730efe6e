"""Ids by which other programs know an answer: of their messages and traces.

A chat front end or a tracer sends its own id with the request, in a header. It is noted when the
answer begins, and a bridge finds the decision by it. Noted ids are in the memory of the process
that answered: they do not outlive it, and other replicas do not know them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from floorline.config.bridges import BridgeKind, BridgeSettings
from floorline.core.bounds import canonical_id
from floorline.events import Decision, Owner
from floorline.gateway.completion_ids import CompletionIds
from floorline.gateway.header_text import header_text

_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def langfuse_observation(trace: str, observation: str) -> str:
    """Return the id under which a span of a trace is noted."""
    return f"{trace}-{observation}"


def _webhook(headers: Mapping[str, str]) -> Iterator[str]:
    yield headers.get("x-floorline-message", "")


def _open_webui(headers: Mapping[str, str]) -> Iterator[str]:
    # Titles, tags and follow-up questions carry the id of the answer that they are about.
    if not headers.get("x-openwebui-task"):
        yield headers.get("x-openwebui-message-id", "")


def _librechat(headers: Mapping[str, str]) -> Iterator[str]:
    yield headers.get("x-librechat-message-id", "")


def _langfuse(headers: Mapping[str, str]) -> Iterator[str]:
    yield headers.get("x-langfuse-trace-id", "")
    parent = _TRACE_PARENT.fullmatch(headers.get("traceparent", ""))
    if parent is not None:
        yield parent[1]
        yield langfuse_observation(*parent.groups())
    message = headers.get("x-librechat-message-id", "")
    if message:
        # LibreChat names the trace of a message so, and sends its thumbs there as scores.
        yield hashlib.sha256(message.encode("latin-1")).hexdigest()[:32]


_READERS: dict[BridgeKind, Callable[[Mapping[str, str]], Iterator[str]]] = {
    "webhook": _webhook,
    "open_webui": _open_webui,
    "librechat": _librechat,
    "langfuse": _langfuse,
}


class MessageAliases:
    """The latest ids of messages and traces of each tenant: 5,000 of one, 20,000 of all.

    Parameters
    ----------
    bridges
        Returns the bridges that are configured now; without any no id is noted.
    """

    def __init__(self, bridges: Callable[[], Sequence[BridgeSettings]]) -> None:
        self._bridges = bridges
        self._ids = CompletionIds()

    def note(self, decision: Decision, headers: Mapping[str, str]) -> None:
        """Note the ids that came with a request; headers have names in lower case."""
        for bridge in self._bridges():
            if (bridge.tenant or "") != decision.tenant:
                continue
            for id in _READERS[bridge.kind](headers):
                if id:
                    known = canonical_id(header_text(id))
                    self._ids.note(Owner(decision.tenant), known, decision.id)

    def decisions(self, tenant: str, id: str) -> list[str]:
        """Return the decisions of a tenant that an id may mean, the latest first."""
        return self._ids.decisions(Owner(tenant), canonical_id(id))
