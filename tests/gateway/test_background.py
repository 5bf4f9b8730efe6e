"""The tasks beside the requests."""

import asyncio
import contextlib

import pytest
from tests.support.gateway_parts import Parts, chat_request

from floorline.config.sections import DashboardSettings
from floorline.errors import StoreUnavailable
from floorline.gateway import background
from floorline.gateway.auth import Auth, Caller
from floorline.gateway.background import BackgroundTasks, SnapshotWriter
from floorline.gateway.dashboard.history import History
from floorline.stores.recovery import recover

SHORT = 0.002


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    for name in ("_SNAPSHOT_CHECK_SECONDS", "_KEY_CHECK_SECONDS", "_RETENTION_CHECK_SECONDS"):
        monkeypatch.setattr(background, name, SHORT)


@pytest.fixture
def parts(tmp_path):
    parts = Parts(tmp_path, store={"snapshot_every": 3, "retention": None})
    yield parts
    parts.store.close()


class Reloader:
    runs = 0

    async def run(self):
        self.runs += 1
        await asyncio.Event().wait()


def tasks(parts, auth=None, snapshots=None, reloader=None):
    snapshots = snapshots or SnapshotWriter(parts.router, parts.store)
    return BackgroundTasks(parts.config, parts.store, auth or parts.auth, snapshots, reloader)


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(SHORT)


@contextlib.asynccontextmanager
async def running(started):
    started.start()
    try:
        yield
    finally:
        await started.stop()


def decide(parts, times):
    for _ in range(times):
        parts.chat.decide(chat_request(), Caller())


def test_a_snapshot_is_written_at_the_position_of_its_state(parts):
    snapshots = SnapshotWriter(parts.router, parts.store)
    decide(parts, 5)
    assert snapshots.events_since == 5
    asyncio.run(snapshots.write())
    assert snapshots.events_since == 0
    position, body = parts.store.last_snapshot()[:2]
    assert (position, body) == (5, parts.router.snapshot(decisions=False))


def test_events_before_a_restart_count(tmp_path):
    """A gateway that is killed before the end of each interval must write snapshots too."""
    written = []
    for _ in range(5):
        parts = Parts(tmp_path, store={"snapshot_every": 3, "retention": None})
        recover(lambda parts=parts: parts.router, parts.store)
        snapshots = SnapshotWriter(parts.router, parts.store)

        async def scene(parts=parts, snapshots=snapshots):
            async with running(tasks(parts, snapshots=snapshots)):
                decide(parts, 2)
                await asyncio.sleep(20 * SHORT)
                if snapshots.events_since >= 3:
                    await until(lambda: snapshots.events_since < 3)

        asyncio.run(scene())
        written.append(next(iter(parts.store.snapshots()), None))
        parts.store.close()
    assert written == [None, 4, 4, 8, 8]


def test_snapshots_are_written_after_enough_events(parts):
    async def scene():
        async with running(tasks(parts)):
            decide(parts, 2)
            await asyncio.sleep(10 * SHORT)
            assert parts.store.last_snapshot() is None
            decide(parts, 1)
            await until(lambda: parts.store.last_snapshot() is not None)
        assert parts.store.last_snapshot()[0] == 3

    asyncio.run(scene())


def test_a_task_that_fails_warns_and_tries_again(parts, caplog):
    class Failing(SnapshotWriter):
        failures = 2

        async def write(self):
            if self.failures:
                self.failures -= 1
                raise StoreUnavailable("disk full")
            await super().write()

    async def scene():
        decide(parts, 3)
        failing = Failing(parts.router, parts.store)
        failing._written_at = 0
        async with running(tasks(parts, snapshots=failing)):
            await until(lambda: parts.store.last_snapshot() is not None)

    asyncio.run(scene())
    assert caplog.messages == ["cannot write a snapshot: disk full"] * 2


def test_new_keys_are_accepted_and_revoked_ones_refused(parts):
    async def scene():
        key, secret = parts.store.keys.create("app", ("chat",))
        auth = Auth(parts.store.keys.list(), parts.store.costs)
        async with running(tasks(parts, auth=auth)):
            auth.caller({"authorization": f"Bearer {secret}"}, "chat")
            parts.store.keys.revoke(key.id)
            _, other = parts.store.keys.create("other", ("chat",))
            await until(lambda: key.id not in auth._accounts)
            auth.caller({"authorization": f"Bearer {other}"}, "chat")

    asyncio.run(scene())


def test_old_events_are_deleted_if_the_settings_say_so(parts, monkeypatch):
    calls = []
    monkeypatch.setattr(background, "vacuum", lambda engine, before: calls.append(before))

    async def scene():
        async with running(tasks(parts)):
            await asyncio.sleep(10 * SHORT)
            assert calls == []
            store = parts.settings.store.model_copy(update={"retention": 60.0})
            parts.config.settings = parts.settings.model_copy(update={"store": store})
            await until(lambda: len(calls) >= 2)

    asyncio.run(scene())


def test_the_reloader_runs_and_all_tasks_end_at_the_stop(parts):
    async def scene():
        reloader = Reloader()
        async with running(tasks(parts, reloader=reloader)):
            await until(lambda: reloader.runs == 1)
            assert len(asyncio.all_tasks()) == 4
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scene())


def test_without_a_dashboard_nothing_is_folded_for_it(parts, monkeypatch):
    monkeypatch.setattr(background, "_DASHBOARD_CHECK_SECONDS", SHORT)
    history = History(parts.router, parts.store)
    parts.config.settings = parts.settings.model_copy(
        update={"dashboard": DashboardSettings(enabled=False)}
    )
    snapshots = SnapshotWriter(parts.router, parts.store)
    given = (parts.config, parts.store, parts.auth, snapshots, None, None, history)

    async def check():
        async with running(BackgroundTasks(*given)):
            await asyncio.sleep(20 * SHORT)
            assert not history.ready
            parts.config.settings = parts.settings
            await until(lambda: history.ready)

    asyncio.run(check())
