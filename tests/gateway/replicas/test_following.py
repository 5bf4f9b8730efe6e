"""A replica that follows a learner, in one process."""

import asyncio

import pytest
from tests.replication.cluster import Cluster, new_fold

from floorline.gateway.replicas import following
from floorline.gateway.replicas.following import StateFollower
from floorline.gateway.start import Start, StartStopped
from floorline.replication import tables
from floorline.state import router_snapshot
from floorline.stores.engine import open_engine
from floorline.stores.upgrade import upgrade


@pytest.fixture
def cluster(empty_postgres):
    engine = open_engine(empty_postgres)
    upgrade(engine)
    tables.create(engine)
    made = Cluster(empty_postgres, engine, names=("a",))
    yield made
    made.close()
    engine.dispose()


def follower_of(member):
    return StateFollower(member.router, member.store, new_fold, dict, every=0.02)


def test_an_upgraded_server_waits_for_a_learner_of_its_version(cluster, monkeypatch):
    cluster.step()
    monkeypatch.setattr(router_snapshot, "_VERSION", router_snapshot._VERSION + 1)
    monkeypatch.setattr(following, "_PATIENCE_SECONDS", 0.0)
    member = cluster.members["a"]
    start = Start()
    reads = []
    read = member.store.state
    monkeypatch.setattr(member.store, "state", lambda after: reads.append(after) or read(after))

    async def wait():
        waiting = asyncio.create_task(follower_of(member).wait(start))
        while start.waits_for is None:
            await asyncio.sleep(0.01)
        new = router_snapshot._VERSION
        assert f"version {new - 1}, this router {new}" in start.waits_for
        assert "'floorline learn' of the same version" in start.waits_for
        # The old learner goes on, and the bodies of its states are not read again.
        member.router.route("Why?", "gold")
        await asyncio.to_thread(member.store.flush)
        monkeypatch.setattr(router_snapshot, "_VERSION", router_snapshot._VERSION - 1)
        await asyncio.to_thread(cluster.step)
        monkeypatch.setattr(router_snapshot, "_VERSION", router_snapshot._VERSION + 1)
        for _ in range(5):
            await asyncio.sleep(0.05)
        assert not waiting.done(), waiting.exception()
        assert reads == [-1]
        # Another learner, which is upgraded, folds the log and publishes.
        await asyncio.to_thread(cluster.elect)
        await asyncio.to_thread(cluster.step)
        await waiting

    asyncio.run(wait())
    assert start.waits_for is None
    assert member.router.state_position == 1


def test_a_server_that_waits_ends_when_it_is_asked_to(cluster):
    start = Start()

    async def wait():
        waiting = asyncio.create_task(follower_of(cluster.members["a"]).wait(start))
        await asyncio.sleep(0.05)
        start.stop.set()
        with pytest.raises(StartStopped):
            await waiting

    asyncio.run(wait())
