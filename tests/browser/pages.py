"""The pages of the dashboard, and when one of them is complete."""

import os
from pathlib import Path

# Its import registers the tables of all pages.
from floorline.gateway.dashboard import routes
from floorline.gateway.dashboard.tables import TABLES

assert routes

PAGES = {
    "overview": "/dashboard",
    "models": "/dashboard/models",
    "decisions": "/dashboard/decisions",
    "decision": "/dashboard/decisions/{decision}",
    "sessions": "/dashboard/sessions",
    "session": "/dashboard/sessions/turns?tenant={tenant}&name={tenant}-support-7",
    "budgets": "/dashboard/budgets",
    "keys": "/dashboard/keys",
    "changes": "/dashboard/changes",
    "whatif": "/dashboard/whatif",
    "playground": "/dashboard/playground",
}
"""Paths of the pages that need a login; decisions and sessions are those of a tenant."""
PARTS = {"decision": "decisions", "session": "sessions"}
"""Pages that belong to another one, which the navigation marks."""
DATA = tuple(TABLES)
"""Names of the data of charts and tables, below ``/dashboard/data``."""
HEIGHT = 844
"""Of the window, in CSS pixels."""
FOLDER = Path(os.environ.get("FLOORLINE_BROWSER_OUT", "browser-out"))
"""Where pictures of the pages are written."""
_COMPLETE = """() => [...document.querySelectorAll('figure.chart')].every(
    (figure) => ['drawn', 'empty', 'error'].includes(figure.dataset.state))"""


def path_of(scene, name, key="acme"):
    """Path of a page; a decision is the latest one that was made with a key."""
    return PAGES[name].format(decision=scene.decisions[key][-1], tenant=key)


def with_query(path, query):
    """Address of a page with a further part of its query."""
    return f"{path}{'&' if '?' in path else '?'}{query}" if query else path


def settle(page):
    """Wait until all charts of a page are drawn."""
    page.wait_for_load_state("load")
    page.wait_for_function(_COMPLETE)


def change(page, width, theme):
    """Make the window of a page as wide, and ask for a theme; wait until charts follow."""
    page.set_viewport_size({"width": width, "height": HEIGHT})
    page.emulate_media(color_scheme=theme)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.uplot')].every("
        "(plot) => plot.getBoundingClientRect().width <= plot.parentElement.clientWidth + 1)"
    )


def overflow(page):
    """Elements that are wider than the window, apart from those within a part that scrolls."""
    return page.evaluate(
        """() => {
          const width = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= width) return [];
          return [...document.querySelectorAll('body *')]
            .filter((one) => one.getBoundingClientRect().right > width + 1)
            .map((one) => `${one.tagName}.${one.className}`).slice(0, 8);
        }"""
    )


def picture(page, name):
    """Write a picture of the whole page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=FOLDER / f"{name}.png", full_page=True)
