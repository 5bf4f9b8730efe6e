"""Databases with the tables of replicas: real PostgreSQL, and SQLite."""

import pytest

from floorline.replication import tables
from floorline.stores.engine import open_engine
from floorline.stores.upgrade import upgrade


@pytest.fixture(params=["postgres", "sqlite"])
def url(request, tmp_path):
    """URL of a database with all tables."""
    if request.param == "sqlite":
        given = f"sqlite:///{tmp_path / 'log.db'}"
    else:
        given = request.getfixturevalue("empty_postgres")
    made = open_engine(given)
    upgrade(made)
    tables.create(made)
    made.dispose()
    return given


@pytest.fixture
def engine(url):
    made = open_engine(url)
    yield made
    made.dispose()
