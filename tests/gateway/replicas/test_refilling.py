"""A replica keeps its shares filled, and spends none that may be another one's."""

import asyncio
import time

import pytest
import sqlalchemy as sa

from floorline.gateway.replicas import refilling
from floorline.gateway.replicas.refilling import ShareKeeper
from floorline.replication import tables
from floorline.replication.escrow import Escrow
from floorline.replication.shares import Account, Shares, Wanted
from floorline.stores.engine import open_engine

ACCOUNT = Account("sla:gold", amount=100.0, period=None)


@pytest.fixture
def engine(tmp_path):
    made = open_engine(f"sqlite:///{tmp_path / 'log.db'}")
    tables.create(made)
    yield made
    made.dispose()


def keeper(engine, seen):
    escrow, shares = Escrow(engine, "a"), Shares()
    accounts = [ACCOUNT]
    made = ShareKeeper(shares, escrow, lambda: accounts, lambda: 1, lambda: 0.0, seen)
    asyncio.run(made.fill())
    return made, shares, escrow


def test_a_replica_that_is_not_seen_stops_to_spend_before_its_shares_go(engine, monkeypatch):
    seen = time.monotonic()
    kept, shares, escrow = keeper(engine, lambda: seen)
    assert shares.left("sla:gold", 0.0) == 25.0
    assert refilling._SPEND_SECONDS < refilling.RECLAIM_SECONDS
    start = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: start + refilling._SPEND_SECONDS + 1.0)
    asyncio.run(kept.validate())
    assert shares.left("sla:gold", 0.0) == 0.0
    # The learner gives them to another replica; then this one is seen again.
    assert escrow.reclaim({}) == 25.0
    Escrow(engine, "b").grant([Wanted(ACCOUNT, 0.0, 95.0)], 1)
    seen = time.monotonic()
    asyncio.run(kept.validate())
    assert shares.left("sla:gold", 0.0) == 0.0
    asyncio.run(kept.fill())
    assert shares.left("sla:gold", 0.0) == 5.0 / 4


def test_an_account_with_nothing_left_is_not_asked_all_the_time(engine, monkeypatch):
    kept, shares, _ = keeper(engine, time.monotonic)
    Escrow(engine, "b").grant([Wanted(ACCOUNT, 0.0, 95.0)], 1)
    shares.hold("sla:gold", "1", 25.0, 0.0)
    asked = []

    @sa.event.listens_for(engine, "begin")
    def count(_):
        asked.append(1)

    for _ in range(5):
        asyncio.run(kept.fill())
    assert len(asked) == 1
    start = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: start + 1.5)
    asyncio.run(kept.fill())
    assert len(asked) == 2
