"""Who looks at the dashboard, and what they may see."""

from __future__ import annotations

from typing import NamedTuple

from floorline.gateway.auth import Caller


class Viewer(NamedTuple):
    """Who looks at a page.

    Attributes
    ----------
    caller
        The key that they logged in with; the caller without a key where there are no keys.
    tenant
        The only tenant whose requests they see; None for all of them.
    may_change
        Whether they may send what changes something: they logged in with a key that may.
    csrf
        Token that every form must carry; "" where there is no login, such as without keys.
    name
        Name of the key, for the head of the page; "" where there are no keys.
    login
        Digest of the token of their login; "" without one.
    """

    caller: Caller
    tenant: str | None = None
    may_change: bool = False
    csrf: str = ""
    name: str = ""
    login: str = ""

    @classmethod
    def of(cls, caller: Caller, name: str = "", *, csrf: str = "", login: str = "") -> Viewer:
        """Return who looks with a key: an administrator sees all tenants, as over the API.

        A key with a tenant sees that tenant only; a key for ``view`` without one sees all.
        """
        admin = "admin" in caller.scopes
        tenant = None if admin else caller.tenant or None
        return cls(caller, tenant, admin, csrf, name, login)


class LoginNeeded(Exception):
    """The sender of the request has to log in; the dashboard answers with the login page."""
