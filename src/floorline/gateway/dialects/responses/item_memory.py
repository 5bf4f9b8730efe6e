"""Items of translated answers, for clients that refer to them by their ids.

OpenAI keeps the items of answers unless a request says ``store: false``, and clients such as
Vercel's ``ai`` then send ``{"type": "item_reference", "id": …}`` in place of the item. The provider
of a translated answer keeps nothing, so the gateway does, for a while and up to a size.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from floorline.gateway.errors import ApiError

MAX_BYTES = 64 * 2**20
"""Bytes of all items that are kept."""
MAX_SECONDS = 3_600.0
"""Time for which an item is kept: longer than most conversations pause."""
_OVERHEAD = 300
"""Bytes that an item takes in memory beside its JSON: its keys and its entry."""


class _Kept(NamedTuple):
    item: bytes
    at: float


class ItemMemory:
    """Keeps the items of answers by who asked and by their ids.

    Parameters
    ----------
    clock
        Returns seconds that never go back.
    max_bytes, max_seconds
        Bounds of what is kept; the oldest items go first.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        max_bytes: int = MAX_BYTES,
        max_seconds: float = MAX_SECONDS,
    ) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._bytes = 0

    def keep(self, owner: str, items: Iterable[Mapping[str, Any]]) -> None:
        """Keep the items of an answer.

        Parameters
        ----------
        owner
            Owner of the items; requests of other owners do not find them.
        items
            The ``output`` of the answer.
        """
        now = self._clock()
        for item in items:
            key = owner, str(item.get("id", ""))
            self._forget(key)
            data = msgspec.json.encode(item)
            self._kept[key] = _Kept(data, now)
            self._bytes += len(data) + _OVERHEAD
        while self._kept:
            key, oldest = next(iter(self._kept.items()))
            if self._bytes <= self._max_bytes and now - oldest.at <= self._max_seconds:
                break
            self._forget(key)

    def resolved(self, owner: str, value: Any, limit: int) -> Any:
        """Return the ``input`` of a request with the items that its references mean.

        References to items that are not kept stay: they may be the provider's.

        Parameters
        ----------
        owner
            Who asks.
        value
            The ``input``.
        limit
            Most bytes of the items together: a reference is far smaller than its item.

        Raises
        ------
        ApiError
            413 if they have more.

        Examples
        --------
        >>> memory = ItemMemory(lambda: 0.0)
        >>> memory.keep("", [{"type": "message", "id": "msg_1", "content": []}])
        >>> memory.resolved("", [{"type": "item_reference", "id": "msg_1"}], 1_000)
        [{'type': 'message', 'id': 'msg_1', 'content': []}]
        """
        if not isinstance(value, list) or not self._kept:
            return value
        found = [self._found(owner, item) for item in value]
        if sum(map(len, found)) > limit:
            raise ApiError(
                413,
                f"the items that input refers to have more than {limit:,} bytes (server.max_body): "
                "refer to fewer",
                code="body_too_large",
                param="input",
            )
        return [
            msgspec.json.decode(kept) if kept else item
            for item, kept in zip(value, found, strict=True)
        ]

    def _found(self, owner: str, item: Any) -> bytes:
        """Return the JSON of the item that is meant; empty if it is no reference to a kept one."""
        if not isinstance(item, dict) or item.get("type", "item_reference") != "item_reference":
            return b""
        if "role" in item or not isinstance(item.get("id"), str):
            return b""
        kept = self._kept.get((owner, item["id"]))
        if kept is None or self._clock() - kept.at > self._max_seconds:
            return b""
        return kept.item

    def _forget(self, key: tuple[str, str]) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept.item) + _OVERHEAD
