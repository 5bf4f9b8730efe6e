"""Pages of the navigation, in its order."""

from __future__ import annotations

from typing import NamedTuple

HOME = "/dashboard"
"""Path of the first page; all others are below it."""


class NavigationLink(NamedTuple):
    """A link of the navigation.

    Attributes
    ----------
    title
        Title of the page; ``Dashboard.page`` marks the link with its page's title as current.
    path
        Path of the page, without the path below which a proxy serves the gateway.
    icon
        Name of the icon in ``icons.html.jinja``.
    """

    title: str
    path: str
    icon: str


REPLICAS = NavigationLink("Replicas", f"{HOME}/replicas", "replicas")
"""Link of the page of the servers, where there are several."""
JUDGES = NavigationLink("Judges", f"{HOME}/judges", "judges")
"""Link of the page of judges, for those who see all tenants, SLAs and models."""
NAVIGATION = (
    NavigationLink("Overview", HOME, "overview"),
    NavigationLink("Models", f"{HOME}/models", "models"),
    NavigationLink("Decisions", f"{HOME}/decisions", "decisions"),
    NavigationLink("Sessions", f"{HOME}/sessions", "sessions"),
    NavigationLink("Budgets", f"{HOME}/budgets", "budgets"),
    NavigationLink("Keys", f"{HOME}/keys", "keys"),
    NavigationLink("Changes", f"{HOME}/changes", "changes"),
    NavigationLink("What-if", f"{HOME}/whatif", "whatif"),
    NavigationLink("Playground", f"{HOME}/playground", "playground"),
)
