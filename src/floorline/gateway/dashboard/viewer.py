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
        Token that every form must carry; "" where nothing can be changed.
    name
        Name of the key, for the head of the page; "" where there are no keys.
    """

    caller: Caller
    tenant: str | None = None
    may_change: bool = False
    csrf: str = ""
    name: str = ""
