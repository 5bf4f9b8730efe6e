"""Creation, upgrade and check of the tables of a store."""

from __future__ import annotations

import sqlalchemy as sa

from floorline.errors import StoreDamaged, StoreUnavailable
from floorline.stores import marks
from floorline.stores.engine import store_errors, url_without_password
from floorline.stores.schema import HEAD, events, metadata

_VERSION = sa.table("alembic_version", sa.column("version_num"))


def version(engine: sa.Engine) -> str | None:
    """Return the version of a store's tables; None if it has no tables."""
    with store_errors(engine), engine.connect() as connection:
        if not sa.inspect(connection).has_table(_VERSION.name):
            return None
        return connection.execute(sa.select(_VERSION.c.version_num)).scalar()


def has_events(engine: sa.Engine) -> bool:
    """Return whether a store has the table of events."""
    with store_errors(engine), engine.connect() as connection:
        return sa.inspect(connection).has_table(events.name)


def is_current(engine: sa.Engine) -> bool:
    """Return whether the tables have the version of this Floorline."""
    return version(engine) == HEAD


def upgrade(engine: sa.Engine) -> bool:
    """Create or upgrade the tables in one transaction; return False if they are current.

    Raises
    ------
    StoreUnavailable
        If the tables were created by a newer Floorline, or the database raises an error.
    """
    found = version(engine)
    if found == HEAD:
        return False
    if found is None and has_events(engine):
        # Else the marks of the log would be written anew.
        raise StoreDamaged(url_without_password(engine.url), "the version of its tables is missing")
    if found is None:
        _create(engine)
    else:
        migrate(engine, found)
    return True


def _create(engine: sa.Engine) -> None:
    """Create all tables at once; a test compares them with those of the migrations."""
    with store_errors(engine), engine.begin() as connection:
        metadata.create_all(connection)
        stamp = sa.Table(
            _VERSION.name, sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True)
        )
        stamp.create(connection)
        connection.execute(stamp.insert(), {"version_num": HEAD})
        marks.set_up(connection)


def migrate(engine: sa.Engine, found: str | None) -> None:
    """Run the migrations from a version to that of this Floorline.

    Raises
    ------
    StoreUnavailable
        As for ``upgrade``.
    """
    # Imported here, because Alembic takes longer to import than the rest of a start.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "floorline.stores:migrations")
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreUnavailable(
            f"the store {url_without_password(engine.url)} has tables of version {found!r}, this "
            f"Floorline supports versions up to {HEAD!r}: install the version of Floorline that "
            "wrote it, or a newer one"
        )
    with store_errors(engine), engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check(engine: sa.Engine) -> None:
    """Upgrade the tables of SQLite; check the version of those of PostgreSQL.

    Raises
    ------
    StoreUnavailable
        If the tables are of another version.
    """
    if engine.dialect.name == "sqlite":
        upgrade(engine)
        return
    require_current(engine)


def require_current(engine: sa.Engine) -> None:
    """Check that the tables have the version of this Floorline; nothing is changed.

    Raises
    ------
    StoreUnavailable
        If they have another one.
    """
    found = version(engine)
    if found != HEAD:
        state = "no tables" if found is None else f"tables of version {found!r}"
        raise StoreUnavailable(
            f"the store {url_without_password(engine.url)} has {state}, this Floorline needs "
            f"version {HEAD!r}: run 'floorline store migrate'"
        )
