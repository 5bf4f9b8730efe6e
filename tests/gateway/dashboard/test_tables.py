"""The tables of the dashboard, and the page that lists them."""

import re
from pathlib import Path

import pytest

from floorline.gateway.dashboard import routes
from floorline.gateway.dashboard.tables import TABLES

assert routes  # Its import registers all tables.

_PAGE = Path(__file__).parents[3] / "docs" / "dashboard-data.md"


def listed():
    """Names in the first column of the page's table."""
    rows = [line for line in _PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    return re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in rows))


@pytest.mark.parametrize("name", sorted(TABLES))
def test_the_page_lists_every_table_once(name):
    assert listed().count(name) == 1


def test_the_page_lists_no_other_table():
    assert set(listed()) == set(TABLES)
