"""Conversations that another replica served a moment ago, until a published state has them."""

from __future__ import annotations

from collections.abc import Sequence

from floorline.events import DIRECT, RECOGNISED, Decision, Outcome, RequestContext
from floorline.state.conversations import Conversations
from floorline.state.fold import Fold
from floorline.state.sessions import Sessions
from floorline.zoo import Zoo

_CAPACITY = 2_000
"""Most conversations, and most prompts of conversations, that are remembered here: they are needed
for a second or so, until the published state has them. They take about 3 MB."""
_OWNER_CAPACITY = 500
"""The same of one tenant, or of one key without a tenant."""
_MAX_NAMES = 32
"""Most names that a conversation without a name is looked up by. Its name is the hash of its first
prompt, which is one of the first prefixes of every later one."""


class RecalledSessions:
    """What is known of conversations beside the state of a fold.

    It never changes the state: it is only asked for conversations that the state does not know.

    Parameters
    ----------
    zoo
        The models.
    """

    def __init__(self, zoo: Zoo) -> None:
        self._zoo = zoo
        self._sessions = Sessions(_CAPACITY, _OWNER_CAPACITY)
        self._conversations = Conversations(zoo, _CAPACITY, _OWNER_CAPACITY)

    def attach(self, fold: Fold) -> None:
        """Let a fold ask for conversations that it does not know."""
        if fold.zoo_ != self._zoo:
            self._zoo = fold.zoo_
            self._conversations.set_zoo(fold.zoo_)
        fold.sessions_.elsewhere = self._sessions
        fold.conversations_.elsewhere = self._conversations

    def add(self, context: RequestContext, turns: Sequence[Decision | Outcome]) -> None:
        """Remember earlier turns of a request, in the order in which they were made.

        Of a turn whose outcome is not there yet it is taken that it was answered, because the
        conversation goes on.
        """
        if not self._zoo.caches:
            for turn in turns:
                if isinstance(turn, Decision) and turn.policy != DIRECT and not turn.declined:
                    self._sessions.note(turn)
            return
        known = set(context.prefixes)
        outcomes = {turn.decision: turn for turn in turns if isinstance(turn, Outcome)}
        for turn in turns:
            if not isinstance(turn, Decision) or turn.declined:
                continue
            if turn.prefix in known or not (turn.prefix or context.prefixes):
                self._conversations.decide(turn)
                ended = outcomes.get(turn.id)
                if ended is None:
                    ended = Outcome(decision=turn.id, model=turn.model, cost=0.0, at=turn.at)
                self._conversations.outcome(turn, ended)


def unknown_names(fold: Fold, context: RequestContext) -> list[str]:
    """Return the names by which to look for the earlier turns of a request.

    Returns
    -------
    list of str
        Names of conversations; empty if the fold knows the conversation, or would not use it.
    """
    session = context.session
    if not fold.zoo_.caches:
        given = session and not session.startswith(RECOGNISED)
        return [session] if given and not fold.sessions_.knows(context.owner, session) else []
    conversations = fold.conversations_
    node = conversations.known(context.owner, conversations.find(context))
    if node is not None and node.turn:
        return []
    if session:
        return [session]
    return [RECOGNISED + prefix for prefix in context.prefixes[1:-1][:_MAX_NAMES]]
