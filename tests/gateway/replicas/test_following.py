"""A replica that follows a learner, in one process."""

import asyncio

import pytest
from tests.replication.cluster import Cluster, new_fold
from tests.stores.conftest import empty_postgres, postgres

from floorline.errors import FloorlineError
from floorline.gateway.replicas.following import StateFollower
from floorline.replication import tables
from floorline.state import router_snapshot
from floorline.stores.engine import open_engine
from floorline.stores.upgrade import upgrade

__all__ = ["empty_postgres", "postgres"]


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
    member = cluster.members["a"]

    async def start():
        waiting = asyncio.create_task(follower_of(member).wait(60))
        await asyncio.sleep(0.2)
        assert not waiting.done(), waiting.exception()
        # Another learner, which is upgraded, folds the log and publishes.
        await asyncio.to_thread(cluster.elect)
        await asyncio.to_thread(cluster.step)
        await waiting

    asyncio.run(start())
    assert member.router.state_position == 0


def test_it_says_which_version_it_waited_for(cluster, monkeypatch):
    cluster.step()
    monkeypatch.setattr(router_snapshot, "_VERSION", router_snapshot._VERSION + 1)
    with pytest.raises(
        FloorlineError, match=r"for this server .* version [0-9]+, this router [0-9]+"
    ):
        asyncio.run(follower_of(cluster.members["a"]).wait(0.1))
