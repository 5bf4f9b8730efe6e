import pytest

from floorline.stores import open_store
from floorline.stores.engine import open_engine
from floorline.stores.upgrade import upgrade


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """URL of a store with its tables, in SQLite and in PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    given = request.getfixturevalue("empty_postgres")
    engine = open_engine(given)
    upgrade(engine)
    engine.dispose()
    return given


@pytest.fixture
def store(url):
    opened = open_store(url)
    yield opened
    opened.close()
