"""One server takes a log over that several replicas shared, and gives it back."""

import pytest
import sqlalchemy as sa
from tests.replication.cluster import Cluster, new_router

from floorline.errors import StoreUnavailable
from floorline.replication.lease import Lease
from floorline.replication.sole_store import SoleStore
from floorline.replication.tables import inbox
from floorline.stores.recovery import recover

POSTGRES = pytest.mark.parametrize("url", ["postgres"], indirect=True)
"""In SQLite the lock of the file keeps a second writer away."""


def test_one_server_goes_on_where_replicas_were_and_back(url, engine):
    cluster = Cluster(url, engine)
    a = cluster.members["a"]
    a.router.route("Question 1", at=1.0)
    cluster.settle()
    cluster.close()
    store = SoleStore(url)
    router = recover(lambda: new_router(store), store)
    router.route("Question 2", at=2.0)
    store.flush()
    assert router.status("gold").requests == 2
    if engine.dialect.name == "postgresql":
        assert not Lease(engine, "learner").take()
    store.close()
    again = Cluster(url, engine)
    again.settle()
    assert again.members["a"].router.status("gold").requests == 2
    again.close()


@POSTGRES
def test_a_learner_at_work_keeps_it_away(url, engine):
    learner = Lease(engine, "learner", seconds=30.0)
    assert learner.take()
    with pytest.raises(StoreUnavailable, match=r"a learner writes .* replicas.enabled"):
        SoleStore(url)
    learner.release()
    SoleStore(url).close()


def test_events_that_wait_are_not_left_behind(url, engine):
    cluster = Cluster(url, engine)
    cluster.members["a"].router.route("Question 1", at=1.0)
    cluster.close()
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(inbox)) == 1
    with pytest.raises(StoreUnavailable, match=r"1 events of replicas wait .* 'floorline learn'"):
        SoleStore(url)
