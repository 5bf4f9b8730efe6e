"""A gateway with the requests of two tenants and of a key without one, for pages that show them."""

from typing import NamedTuple

ACME_ONLY = ("own@acme", "ticket-acme", "acme key")
OTHER_ONLY = ("own@other", "ticket-other", "other key")
"""Names that only one tenant's viewer, and those of all tenants, may see."""


class Party(NamedTuple):
    """A key with its secret, and the decisions that it made, the earliest first."""

    id: str
    secret: str
    decisions: list


class Scene(NamedTuple):
    """What ``two_tenants`` made."""

    acme: Party
    other: Party
    alone: Party
    admin: Party


def two_tenants(keyed, requests=4):
    """Let each party chat, with conversations and feedback, and return them."""

    def party(name, tenant, sla, session, scopes=("chat", "feedback", "view")):
        key, secret = keyed.key(name, list(scopes), tenant=tenant, budget=9.0, period=3600.0)
        made = []
        headers = {"authorization": f"Bearer {secret}"}
        for number in range(requests):
            answer = keyed.live.chat(
                f"Question {number} of {name}",
                f"floorline/{sla}",
                headers=headers,
                floorline={"session": session} if number % 2 else {},
            )
            assert answer.status_code == 200, answer.text
            made.append(answer.headers["x-floorline-decision"])
        rated = {"decision": made[0], "satisfied": False}
        assert keyed.live.http.post("/v1/feedback", json=rated, headers=headers).status_code == 200
        return Party(key.id, secret, made)

    return Scene(
        acme=party("acme key", "acme", "own", "ticket-acme"),
        other=party("other key", "other", "own", "ticket-other"),
        alone=party("lone key", "", "gold", "ticket-alone"),
        admin=party("root", "", "gold", "ticket-root", ("chat", "feedback", "admin")),
    )
