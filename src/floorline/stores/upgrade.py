"""Brings the tables of a store to the version that this Floorline knows."""

from __future__ import annotations

import sqlalchemy as sa

from floorline.errors import StoreUnavailable
from floorline.stores.engine import reported, shown
from floorline.stores.schema import HEAD, metadata

_VERSION = sa.table("alembic_version", sa.column("version_num"))


def version(engine: sa.Engine) -> str | None:
    """Version of a store's tables; None if it has none."""
    with reported(engine), engine.connect() as connection:
        if not sa.inspect(connection).has_table(_VERSION.name):
            return None
        return connection.execute(sa.select(_VERSION.c.version_num)).scalar()


def is_current(engine: sa.Engine) -> bool:
    """Whether a store's tables are those of this Floorline."""
    return version(engine) == HEAD


def upgrade(engine: sa.Engine) -> bool:
    """Create or upgrade the tables, all or nothing; False if there was nothing to do.

    Raises
    ------
    StoreUnavailable
        If the tables were made by a newer Floorline, or the database does not work.
    """
    found = version(engine)
    if found == HEAD:
        return False
    if found is None:
        _create(engine)
    else:
        migrate(engine, found)
    return True


def _create(engine: sa.Engine) -> None:
    """Make all tables at once, as the migrations would have (a test compares them)."""
    with reported(engine), engine.begin() as connection:
        metadata.create_all(connection)
        stamp = sa.Table(
            _VERSION.name, sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True)
        )
        stamp.create(connection)
        connection.execute(stamp.insert(), {"version_num": HEAD})


def migrate(engine: sa.Engine, found: str | None) -> None:
    """Run the migrations that lead from a version to this Floorline's; errors as ``upgrade``."""
    # Takes longer to import than all the rest of a start.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "floorline.stores:migrations")
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreUnavailable(
            f"the store {shown(engine.url)} has tables of version {found!r}, this Floorline knows "
            f"versions up to {HEAD!r}: install the Floorline that wrote it, or a newer one"
        )
    with reported(engine), engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check(engine: sa.Engine) -> None:
    """Make sure of the tables: those in SQLite are upgraded, others must have been.

    Raises
    ------
    StoreUnavailable
        If they are of another version.
    """
    if engine.dialect.name == "sqlite":
        upgrade(engine)
        return
    found = version(engine)
    if found != HEAD:
        state = "no tables" if found is None else f"tables of version {found!r}"
        raise StoreUnavailable(
            f"the store {shown(engine.url)} has {state}, this Floorline needs version {HEAD!r}: "
            "run 'floorline store migrate'"
        )
