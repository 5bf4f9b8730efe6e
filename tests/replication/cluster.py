"""Replicas and learners of one store, in one process and step by step."""

from floorline import SLA, Model, Zoo
from floorline.encoders.hashed import HashedNgrams
from floorline.policies import make_policy
from floorline.replication import tables
from floorline.replication.learner import Learner
from floorline.replication.learner_store import LearnerStore
from floorline.replication.lease import Lease
from floorline.replication.replica_router import ReplicaRouter
from floorline.replication.replica_store import ReplicaStore
from floorline.router import Router
from floorline.state.fold import Fold
from floorline.stores.recovery import recover

ZOO = Zoo([Model("small", call_price=1.0), Model("large", call_price=5.0)])
GOLD = SLA("gold", floor=0.8)
SEED = 1
PATIENCE = 120.0
"""Seconds within which a commit must end on a busy machine."""


def new_router(log=None, seed=SEED):
    return Router(ZOO, slas=[GOLD], seed=seed, log=log)


def new_fold():
    return Fold(make_policy("primal_dual"), ZOO, [GOLD], HashedNgrams().dim, memory=50_000)


class Member:
    """A replica: its store and its router."""

    def __init__(self, url, name):
        self.store = ReplicaStore(url, name)
        self.router = ReplicaRouter(ZOO, slas=[GOLD], seed=SEED, log=self.store, id_prefix=name)

    def refresh(self):
        """Take over the latest published state, if it is new; return whether it was."""
        self.store.flush()
        state = self.store.state(self.router.state_position)
        if state is None:
            return False
        self.router.adopt(state, self.router.prepare(state, new_fold()))
        return True

    def close(self):
        self.store.close()


class Cluster:
    """Some replicas, and the learner that holds the lease."""

    def __init__(self, url, engine, names=("a", "b")):
        self.url, self.engine = url, engine
        self.members = {name: Member(url, name) for name in names}
        self.stores = []
        self.learner = None
        self.elect()

    def elect(self):
        """Let a new learner take the lease."""
        # Long, because PostgreSQL ends a transaction of the learner that pauses for as long.
        lease = Lease(self.engine, f"learner {len(self.stores)}", seconds=600.0)
        if self.stores:
            self.stores.pop().close()
        with self.engine.begin() as connection:
            connection.execute(tables.lease.update().values(expires=0.0))
        assert lease.take()
        store = LearnerStore(self.url, lease, patience=PATIENCE)
        self.stores.append(store)
        self.learner = Learner(recover(lambda: new_router(store), store), store)

    def step(self):
        self.learner.step()
        self.learner.publish()

    def settle(self):
        """Let everything reach the log and every replica."""
        for member in self.members.values():
            member.store.flush()
        while self.learner.step():
            pass
        self.learner.publish()
        for member in self.members.values():
            member.refresh()

    def log(self):
        return list(self.learner._store.read())

    def close(self):
        for store in [*self.stores, *self.members.values()]:
            store.close()
