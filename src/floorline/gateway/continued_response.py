"""Requests that continue a response which the provider keeps: only its owner may do so."""

from __future__ import annotations

from floorline.errors import abbreviated
from floorline.gateway.auth import Caller
from floorline.gateway.chat_request import ChatBody
from floorline.gateway.decision_lookup import DecisionLookup
from floorline.gateway.errors import ApiError

_FIELD = "previous_response_id"


async def check_continued(chat: ChatBody, caller: Caller, decisions: DecisionLookup) -> None:
    """Check that the response which a request continues went to the caller.

    All tenants share the key of a provider, which would continue the response of any of them.

    Parameters
    ----------
    chat
        A request of OpenAI's responses.
    caller
        Who sent it; without keys every response is theirs.
    decisions
        Knows the ids of responses and their owners.

    Raises
    ------
    ApiError
        404 if the log has no answer to the caller with this id.
    StoreUnavailable
        If the event log cannot be read.
    """
    if not caller.key or _FIELD not in chat.fields:
        return
    id = chat.values()[_FIELD]
    # The provider refuses what is no id.
    if isinstance(id, str) and id and not await decisions.has_completion(id, caller):
        raise ApiError(
            404,
            f"{_FIELD} is {abbreviated(id)}, and no answer to this API key or its tenant has that "
            "id: send the whole conversation as input",
            code="previous_response_not_found",
            param=_FIELD,
        )
