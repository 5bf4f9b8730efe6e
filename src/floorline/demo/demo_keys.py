"""API keys of ``floorline serve --demo --keys``: of two tenants, of an application, and of you."""

from __future__ import annotations

from typing import NamedTuple

from floorline.demo.user_behaviour import UserKey
from floorline.stores.keys import KeyStore

_DAY = 86_400.0
_GLOBEX_BUDGET = 20.0
"""Budget of a tenant's key in USD a day: a few times what its requests cost with 20 users."""


class DemoKeys(NamedTuple):
    """The keys of a demo.

    Attributes
    ----------
    administrator
        Secret of a key that sees everything, and may send and rate.
    viewer
        Secret of a key that sees the dashboard of the tenant acme only.
    users
        Keys that the simulated users send, one after another.
    """

    administrator: str
    viewer: str
    users: tuple[UserKey, ...]


def make_keys(store: KeyStore) -> DemoKeys:
    """Create the keys in the store of a demo."""
    _, administrator = store.create("you", ["admin", "chat", "feedback", "metrics"])
    _, viewer = store.create("acme's dashboard", ["view"], tenant="acme")
    sending = ["chat", "feedback"]
    made = [
        store.create("acme's assistant", sending, tenant="acme"),
        store.create(
            "globex's helpdesk", sending, tenant="globex", budget=_GLOBEX_BUDGET, period=_DAY
        ),
        store.create("batch jobs", sending),
    ]
    users = tuple(UserKey(key.id, key.tenant, secret) for key, secret in made)
    return DemoKeys(administrator, viewer, users)
