"""Look up the earlier turns of a conversation that another replica served a moment ago."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from floorline.encoders.base import Prompt
from floorline.errors import FloorlineError
from floorline.events import Decision, Outcome, Owner, RequestContext
from floorline.replication.replica_router import ReplicaRouter
from floorline.replication.replica_store import ReplicaStore

_SECONDS = 0.25
"""Longest time that a request waits for its earlier turns. A look-up takes some milliseconds."""
_THREADS = 2
"""Look-ups at a time. While the database does not answer, they all wait, and no other request
does."""
_MOST_TURNS = 20
"""Latest turns that are read of a conversation."""
_ABSENT_SECONDS = 60.0
"""Time for which a name without turns is not looked up again. Prompts that begin with the same
examples of answers look like conversations, and have the same names."""
_MAX_ABSENT = 10_000
"""Most such names that are remembered; they take about 1 MB."""
_ANSWERS = frozenset({"assistant", "model"})
"""Roles of messages that are answers."""


class SessionRecall:
    """Finds what a conversation's first turns were, where neither the state nor this replica knows.

    A balancer may send the next turn of a conversation to another replica, before the published
    state has the turn before. The database has it.

    Parameters
    ----------
    router, store
        Router and store of this replica.
    """

    def __init__(self, router: ReplicaRouter, store: ReplicaStore) -> None:
        self._router = router
        self._store = store
        self._pool = ThreadPoolExecutor(_THREADS, "floorline-sessions")
        self._running = 0
        self._absent: OrderedDict[tuple[Owner, str], float] = OrderedDict()

    async def recall(self, context: RequestContext) -> None:
        """Look up the earlier turns of a request that has some, if they are not known.

        It never fails: a request whose turns are not found in time is decided as a first turn.
        """
        names = self._router.unknown_sessions(context)
        now, owner = time.monotonic(), context.owner
        names = [name for name in names if now >= self._absent.get((owner, name), 0.0)]
        if not names or self._running >= _THREADS or self._store.is_away:
            return
        self._running += 1
        search = asyncio.get_running_loop().run_in_executor(
            self._pool, self._store.turns_of, names, owner, _MOST_TURNS
        )
        search.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(_SECONDS):
                turns: list[Decision | Outcome] = await asyncio.shield(search)
        except (TimeoutError, FloorlineError):
            return
        if turns:
            self._router.recall_session(context, turns)
        else:
            self._note_absent(owner, names)

    def _ended(self, search: asyncio.Future[Any]) -> None:
        self._running -= 1
        if not search.cancelled():
            # A search that failed after its time must not be logged as forgotten.
            search.exception()

    def _note_absent(self, owner: Owner, names: list[str]) -> None:
        for name in names:
            self._absent[owner, name] = time.monotonic() + _ABSENT_SECONDS
            self._absent.move_to_end((owner, name))
        while len(self._absent) > _MAX_ABSENT:
            self._absent.popitem(last=False)


def has_earlier_turns(prompt: Prompt) -> bool:
    """Whether messages contain an answer, so that they are no first turn.

    Examples
    --------
    >>> has_earlier_turns([{"role": "user", "content": "hi"}])
    False
    >>> has_earlier_turns([{"role": "user"}, {"role": "assistant"}, {"role": "user"}])
    True
    """
    if not isinstance(prompt, list):
        return False
    return any(isinstance(one, dict) and _is_answer(one) for one in prompt)


def _is_answer(message: dict[str, Any]) -> bool:
    role = message.get("role")
    return type(role) is str and role in _ANSWERS
