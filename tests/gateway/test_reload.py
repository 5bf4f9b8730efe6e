import asyncio
import os
import signal
from pathlib import Path

import pytest
from tests.support.two_configs import AFTER, BEFORE

from floorline.config import load
from floorline.errors import FloorlineError
from floorline.gateway import signals
from floorline.gateway.reload import Reloader


class Watched:
    """A file with a reloader that looks at it when it is told to."""

    def __init__(self, folder: Path, apply=None, **given):
        self.path = folder / "floorline.yaml"
        (folder / "key").write_text("sk-old")
        self.write(BEFORE)
        self.applied = []
        self.reloader = Reloader(
            self.path, apply or self._apply, load(self.path, {}), environ={}, **given
        )

    def _apply(self, old, new):
        self.applied.append((old, new))

    def write(self, text):
        """Put another file in place, as editors do."""
        part = self.path.with_suffix(".part")
        part.write_text(text)
        part.replace(self.path)

    async def check_twice(self):
        await self.reloader.check()
        return await self.reloader.check()


@pytest.fixture
def watched(tmp_path):
    return Watched(tmp_path)


def test_a_file_that_did_not_change_is_not_applied(watched):
    assert asyncio.run(watched.check_twice()) is None
    assert watched.applied == []


def test_a_changed_file_is_applied(watched):
    async def change():
        watched.write(AFTER)
        return await watched.check_twice()

    found = asyncio.run(change())
    assert found.models_added == ("large",)
    ((old, new),) = watched.applied
    assert old.as_zoo().names == ("small", "medium")
    assert new.as_zoo().names == ("small", "large")
    assert watched.reloader.settings is new
    assert set(watched.reloader.restart) == {"store.url", "server.port", "policy"}
    assert watched.reloader.reloads == 1


def test_a_file_is_not_read_while_it_is_being_written(watched):
    async def change():
        watched.write(BEFORE[:60])
        assert await watched.reloader.check() is None
        watched.write(AFTER)
        assert await watched.reloader.check() is None
        return await watched.reloader.check()

    assert asyncio.run(change()).models_added == ("large",)
    assert watched.reloader.failures == 0


def test_a_bad_file_leaves_the_old_settings_in_force(watched, caplog):
    before = watched.reloader.settings

    async def change():
        watched.write(AFTER.replace("output_price: 2", "output_price: -2"))
        assert await watched.check_twice() is None
        # It stays bad: one message is enough.
        assert await watched.check_twice() is None

    asyncio.run(change())
    assert watched.reloader.settings is before
    assert watched.applied == []
    assert "models[0].output_price is -2" in watched.reloader.error
    assert watched.reloader.failures == 1
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 1

    async def mend():
        watched.write(AFTER)
        return await watched.check_twice()

    assert asyncio.run(mend()).models_added == ("large",)
    assert watched.reloader.error is None


@pytest.mark.parametrize("kind", [FloorlineError, KeyError])
def test_settings_that_are_refused_are_not_in_force(tmp_path, kind):
    def refuse(old, new):
        raise kind("SLA 'gold' names a model that is gone")

    watched = Watched(tmp_path, refuse)
    before = watched.reloader.settings
    watched.write(AFTER)
    assert asyncio.run(watched.check_twice()) is None
    assert watched.reloader.settings is before
    assert "SLA 'gold' names a model that is gone" in watched.reloader.error


def test_another_cost_unit_is_refused_whole(watched):
    watched.write(BEFORE + "cost_unit: J\n")
    assert asyncio.run(watched.check_twice()) is None
    assert watched.applied == []
    assert "cost_unit is 'J': keep 'USD', or restart" in watched.reloader.error


def test_a_new_key_in_a_file_is_applied(watched, caplog):
    caplog.set_level("INFO")
    (watched.path.parent / "key").write_text("sk-new-one")
    found = asyncio.run(watched.check_twice())
    assert found.models_changed == ("small",)
    assert found.prices == ()
    assert watched.reloader.settings.models[0].key.get_secret_value() == "sk-new-one"
    assert "configuration reloaded: models changed: small" in caplog.text
    assert "sk-new-one" not in caplog.text


def test_a_key_file_that_is_written_later_ends_the_error(watched):
    async def change():
        watched.write(AFTER.replace("api_key_file: key", "api_key_file: later"))
        assert await watched.check_twice() is None
        assert "api_key_file is not valid" in watched.reloader.error
        (watched.path.parent / "later").write_text("sk-late")
        return await watched.reloader.check()

    assert asyncio.run(change()) is not None
    assert watched.reloader.settings.models[0].key.get_secret_value() == "sk-late"


def test_only_a_change_that_waits_for_a_restart_applies_nothing(watched):
    watched.write(BEFORE + "seed: 5\n")
    assert asyncio.run(watched.check_twice()).restart == ("seed",)
    assert watched.applied == []
    assert watched.reloader.restart == ("seed",)
    assert watched.reloader.settings.seed == 0


def test_options_of_the_command_line_are_no_change_of_the_file(tmp_path):
    watched = Watched(tmp_path)
    given = load(watched.path, {})
    given = given.model_copy(update={"server": given.server.model_copy(update={"port": 1234})})
    reloader = Reloader(watched.path, watched._apply, given, environ={})
    watched.write(BEFORE.replace("0.7", "0.6"))
    assert asyncio.run(reloader.reload()).restart == ()
    assert reloader.settings.server.port == 1234
    watched.write(BEFORE + "server: {port: 9000}\n")
    assert asyncio.run(reloader.reload()).restart == ("server.port",)
    assert reloader.settings.server.port == 1234


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")
def test_sighup_reads_the_file_at_once(tmp_path):
    taken = asyncio.Event()

    async def apply(old, new):
        taken.set()

    async def main():
        watched = Watched(tmp_path, apply, every=3600.0)
        task = asyncio.create_task(watched.reloader.run())
        await asyncio.sleep(0)
        watched.write(AFTER)
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(60):
            await taken.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")
def test_sighup_before_the_file_is_watched_is_not_lost(tmp_path):
    before = signal.getsignal(signal.SIGHUP)
    taken = asyncio.Event()

    async def main():
        watched = Watched(tmp_path, lambda old, new: taken.set(), every=3600.0)
        watched.write(AFTER)
        os.kill(os.getpid(), signal.SIGHUP)
        task = asyncio.create_task(watched.reloader.run())
        async with asyncio.timeout(60):
            await taken.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # As at the end of a server.
        os.kill(os.getpid(), signal.SIGHUP)

    try:
        signals.note_hangups()
        asyncio.run(main())
        assert signals.take_early_hangup()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_changes_are_found_without_a_signal(tmp_path):
    taken = asyncio.Event()

    async def main():
        watched = Watched(tmp_path, lambda old, new: taken.set(), every=0.01)
        task = asyncio.create_task(watched.reloader.run())
        watched.write(AFTER)
        async with asyncio.timeout(60):
            await taken.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
