"""One learner at a time, whatever the clocks say and whenever the others wake up."""

import threading
import time
from contextlib import contextmanager, suppress

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from floorline.errors import StoreUnavailable
from floorline.replication import tables
from floorline.replication.lease import Lease, LeaseLost, is_fenced_off
from floorline.stores.engine import open_engine
from floorline.stores.schema import events

ROW = {"position": 0, "kind": "outcome", "at": 1.0, "body": b"b", "checksum": b"c", "link": b"l"}


@contextmanager
def held_by(url, lease):
    """A connection of the holder of a lease."""
    engine = open_engine(url)
    lease.fence(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def write(url, lease, position=0):
    """Write a row of the log as the holder of a lease."""
    with held_by(url, lease) as connection, connection.begin():
        connection.execute(events.insert(), {**ROW, "position": position})


def end(engine):
    """Let the time of the lease be over."""
    with engine.begin() as connection:
        connection.execute(tables.lease.update().values(expires=tables.now(engine) - 1.0))


def test_one_process_holds_the_lease(engine):
    one, other = Lease(engine, "one"), Lease(engine, "other")
    assert one.take()
    assert not other.take()
    one.renew()
    end(engine)
    assert other.take()
    assert (one.epoch, other.epoch) == (1, 2)
    with pytest.raises(LeaseLost, match="epoch 1"):
        one.renew()
    one.release()
    other.renew()


def test_a_released_lease_is_free_at_once(engine):
    one, other = Lease(engine, "one"), Lease(engine, "other")
    assert one.take()
    one.release()
    assert other.take()


def test_of_many_that_ask_at_a_time_one_gets_it(engine):
    leases = [Lease(engine, str(n)) for n in range(5)]
    results = []
    begin = threading.Barrier(len(leases))

    def ask(lease):
        begin.wait()
        results.append(lease.take())

    threads = [threading.Thread(target=ask, args=[lease]) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 4 + [True]


def test_a_lease_that_ended_holds_until_another_takes_it(engine, url):
    lease = Lease(engine, "one")
    assert lease.take()
    end(engine)
    write(url, lease)
    lease.renew()


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_the_database_refuses_writes_of_an_old_epoch(engine, url):
    old, new = Lease(engine, "old"), Lease(engine, "new")
    assert old.take()
    write(url, old)
    end(engine)
    assert new.take()
    for table in (events, tables.states, tables.replicas):
        with (
            held_by(url, old) as connection,
            pytest.raises(sa.exc.DBAPIError) as caught,
            connection.begin(),
        ):
            connection.execute(table.delete())
        assert is_fenced_off(caught.value)
    # Without any epoch, too: a server that knows nothing of replicas.
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError) as caught:
        connection.execute(events.insert(), {**ROW, "position": 1})
    assert is_fenced_off(caught.value)
    write(url, new, position=1)


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_new_holder_waits_for_a_write_that_is_about_to_be_committed(engine, url):
    old, new = Lease(engine, "old"), Lease(engine, "new")
    assert old.take()
    end(engine)
    order = []

    def take():
        assert new.take()
        order.append("taken")

    with held_by(url, old) as connection, connection.begin():
        connection.execute(events.insert(), ROW)
        waiting = threading.Thread(target=take)
        waiting.start()
        # Time in which it would take the lease if it did not wait.
        time.sleep(0.3)
        order.append("committed")
    waiting.join()
    assert order == ["committed", "taken"]


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_holder_that_stops_within_a_transaction_gives_way(engine, url):
    # Its machine was stopped or cut off. PostgreSQL would hold the lease's row for hours.
    old, new = Lease(engine, "old", seconds=0.05), Lease(engine, "new")
    assert old.take()
    end(engine)
    taken = []
    with held_by(url, old) as connection:
        within = connection.begin()
        connection.execute(events.insert(), ROW)
        waiting = threading.Thread(target=lambda: taken.append(new.take()))
        waiting.start()
        waiting.join(60)
        stopped = waiting.is_alive()
        with suppress(sa.exc.DBAPIError):
            within.rollback()
    waiting.join()
    assert not stopped
    assert taken == [True]
    with engine.connect() as connection:
        assert not connection.scalar(sa.select(sa.func.count()).select_from(events))


def test_a_database_that_is_away_is_said(empty_postgres):
    gone = open_engine(empty_postgres.replace("store_", "gone_"))
    with pytest.raises(StoreUnavailable):
        Lease(gone, "one").take()
    gone.dispose()


def shift(engine, seconds):
    """Let the lease have been renewed and begun earlier by some seconds."""
    lease = tables.lease
    with engine.begin() as connection:
        connection.execute(
            lease.update().values(expires=lease.c.expires - seconds, since=lease.c.since - seconds)
        )


@pytest.mark.parametrize("how", ["released", "killed"])
def test_the_next_learner_counts_on_from_the_one_before(engine, how):
    one, other = Lease(engine, "one"), Lease(engine, "other")
    assert one.take()
    shift(engine, 4.0)
    one.renew()
    if how == "released":
        one.release()
    else:
        shift(engine, 5.5)
    assert one.at_work_seconds() == 0.0
    assert other.take()
    assert other.at_work_seconds() >= 4.0
    assert one.at_work_seconds() == 0.0


@pytest.mark.parametrize("how", ["renew", "take"])
def test_after_a_time_in_which_no_learner_reached_the_database_it_counts_anew(engine, how):
    lease = Lease(engine, "one")
    assert lease.take()
    shift(engine, 4.0)
    lease.renew()
    shift(engine, 60.0)
    assert lease.at_work_seconds() == 0.0
    if how == "take":
        lease = Lease(engine, "other")
        assert lease.take()
    else:
        lease.renew()
    assert lease.at_work_seconds() < 30.0


def test_the_table_of_an_earlier_version_gets_its_column(engine):
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE lease DROP COLUMN since")
    tables.create(engine)
    lease = Lease(engine, "one")
    assert lease.take()
    lease.renew()
    assert lease.at_work_seconds() >= 0.0


@contextmanager
def impatient(url):
    """An engine whose statements do not wait for locks."""
    engine = open_engine(url)

    @sa.event.listens_for(engine, "connect")
    def set_up(connection, _):
        connection.execute("SET lock_timeout = '200ms'")
        connection.commit()

    yield engine
    engine.dispose()


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_start_does_not_wait_for_what_is_written(url, engine):
    with impatient(url) as starting, engine.connect() as writing:
        writing.execute(events.insert(), ROW)
        tables.create(starting)


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    "change",
    [
        "DROP TRIGGER floorline_fence ON events",
        "ALTER TABLE events DISABLE TRIGGER floorline_fence",
        "COMMENT ON TRIGGER floorline_fence ON events IS 'of another version'",
    ],
)
def test_a_start_mends_the_fence(url, engine, change):
    with engine.begin() as connection:
        connection.exec_driver_sql(change)
    tables.create(engine)
    assert Lease(engine, "one").take()
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(events.insert(), ROW)
