import asyncio
import threading

import pytest
import sqlalchemy as sa

from floorline.errors import StoreUnavailable
from floorline.gateway.dashboard import login_limits
from floorline.gateway.dashboard import logins as logins_module
from floorline.gateway.dashboard.login_limits import ATTEMPTS, LoginLimits
from floorline.gateway.dashboard.logins import (
    FRESH_SECONDS,
    IDLE_SECONDS,
    MOST_PER_KEY,
    MOST_SECONDS,
    SAW_SECONDS,
    UNKNOWN_PER_MINUTE,
    Logins,
    digest_of,
)
from floorline.stores.engine import open_engine
from floorline.stores.logins import LoginStore
from floorline.stores.upgrade import upgrade


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def engine(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/log.db")
    upgrade(engine)
    yield engine
    engine.dispose()


class Process:
    """The logins of one process, which a test asks one after another."""

    def __init__(self, engine, clock):
        self.reads = []
        self.store = LoginStore(engine)
        read = self.store.get
        self.store.get = lambda digest: self.reads.append(digest) or read(digest)
        self.logins = Logins(self.store, clock, clock)

    def begin(self, key):
        return digest_of(asyncio.run(self.logins.begin(key)))

    def use(self, digest):
        return asyncio.run(self.logins.use(digest))

    def end(self, digest):
        asyncio.run(self.logins.end(digest))


@pytest.fixture
def process(engine, clock):
    return Process(engine, clock)


@pytest.fixture
def another(engine, clock):
    return Process(engine, clock)


def test_a_login_is_found_by_its_token_only(process, engine):
    token = asyncio.run(process.logins.begin("a"))
    assert process.use(digest_of(token)).key == "a"
    assert process.use(digest_of("another")) is None
    assert process.use(token) is None
    with engine.connect() as connection:
        assert token not in str(connection.execute(sa.text("SELECT * FROM logins")).all())


def test_a_login_holds_in_every_process_and_after_a_restart(process, another):
    digest = process.begin("a")
    assert another.use(digest) == process.use(digest)


def test_a_logout_in_one_process_ends_the_login_in_all(process, another, clock):
    digest = process.begin("a")
    assert another.use(digest) is not None
    process.end(digest)
    assert process.use(digest) is None
    clock.now += FRESH_SECONDS
    assert another.use(digest) is None


def test_a_login_is_looked_up_once_in_a_while(process, clock):
    digest = process.begin("a")
    for _ in range(5):
        process.use(digest)
    assert process.reads == []
    clock.now += FRESH_SECONDS
    for _ in range(5):
        process.use(digest)
    assert process.reads == [digest]


def test_a_login_that_is_not_used_ends(process, clock):
    digest = process.begin("a")
    clock.now += IDLE_SECONDS - 1
    assert process.use(digest) is not None
    clock.now += IDLE_SECONDS + 1
    assert process.use(digest) is None


def test_use_in_one_process_keeps_the_login_in_the_others(process, another, clock):
    digest = process.begin("a")
    clock.now += IDLE_SECONDS - 1
    assert process.use(digest) is not None
    clock.now += SAW_SECONDS
    assert another.use(digest) is not None


def test_a_login_that_is_used_ends_after_a_week(process, clock):
    digest = process.begin("a")
    end = clock.now + MOST_SECONDS
    while clock.now <= end:
        assert process.use(digest) is not None
        clock.now += IDLE_SECONDS / 2
    assert process.use(digest) is None


def test_looking_at_a_login_does_not_prolong_it(process, clock):
    async def holds():
        return process.logins.holds(digest)

    digest = process.begin("a")
    clock.now += IDLE_SECONDS - 1
    assert asyncio.run(holds())
    clock.now += 2
    assert not asyncio.run(holds())


def test_a_stream_learns_that_another_process_ended_its_login(process, another, clock):
    async def looked():
        assert process.logins.holds(digest)
        await asyncio.gather(*process.logins._looking.values())
        return process.logins.holds(digest)

    digest = process.begin("a")
    another.use(digest)
    another.end(digest)
    clock.now += FRESH_SECONDS
    assert not asyncio.run(looked())


def test_one_key_cannot_end_the_logins_of_others(process, clock):
    other = process.begin("other")
    own = []
    for _ in range(MOST_PER_KEY + 5):
        clock.now += 1
        own.append(process.begin("a"))
    clock.now += FRESH_SECONDS
    assert process.use(other) is not None
    held = [process.use(digest) is not None for digest in own]
    assert held == [False] * 5 + [True] * MOST_PER_KEY


def test_the_number_of_logins_is_bounded(process, clock, monkeypatch):
    monkeypatch.setattr(logins_module, "MOST_LOGINS", 5)
    made = []
    for number in range(8):
        clock.now += 1
        made.append(process.begin(f"key {number}"))
    clock.now += FRESH_SECONDS
    assert [process.use(digest) is not None for digest in made] == [False] * 3 + [True] * 5
    assert len(process.store.all()) == 5
    assert len(process.logins._known) <= 5


def test_logins_that_are_over_are_removed(process, clock):
    process.begin("a")
    clock.now += IDLE_SECONDS + 1
    kept = process.begin("b")
    assert list(process.store.all()) == [kept]


def test_known_logins_hold_while_the_store_cannot_be_read(process, clock, caplog):
    def fail(*given):
        raise StoreUnavailable("the disk is gone")

    digest = process.begin("a")
    for name in ("get", "add", "all", "saw"):
        setattr(process.store, name, fail)
    clock.now += SAW_SECONDS + 1
    assert process.use(digest) is not None
    assert process.use("unknown") is None
    assert process.use(process.begin("b")).key == "b"
    assert "the disk is gone" in caplog.text


def test_guessed_tokens_do_not_load_the_store(process, another, clock):
    async def guess():
        for number in range(int(UNKNOWN_PER_MINUTE) + 50):
            assert await process.logins.use(f"guess {number}") is None

    digest = process.begin("a")
    asyncio.run(guess())
    assert len(process.reads) == UNKNOWN_PER_MINUTE
    assert process.use(digest) is not None


def test_attempts_of_one_address_are_limited(clock):
    limits = LoginLimits(clock)
    assert [limits.take("192.0.2.1") for _ in range(int(ATTEMPTS))] == [0.0] * int(ATTEMPTS)
    assert limits.take("192.0.2.1") == pytest.approx(6.0)
    assert limits.take("192.0.2.2") == 0.0
    clock.now += 6.1
    assert limits.take("192.0.2.1") == 0.0


def test_a_network_of_ipv6_counts_as_one_client(clock):
    limits = LoginLimits(clock)
    waits = [limits.take(f"2001:db8::{number}") for number in range(int(ATTEMPTS) + 1)]
    assert waits[-1] > 0.0


def test_many_addresses_together_are_limited_and_forgotten(clock, monkeypatch):
    monkeypatch.setattr(login_limits, "_MOST_ADDRESSES", 10)
    limits = LoginLimits(clock)
    waits = [limits.take(f"192.0.2.{number}") for number in range(200)]
    assert waits[0] == 0.0
    assert waits[-1] > 0.0
    assert len(limits._buckets) == 10


def test_a_look_up_brings_no_ended_login_back(process, clock):
    digest = process.begin("a")
    clock.now += FRESH_SECONDS
    found, goes_on = threading.Event(), threading.Event()
    read = process.store.get

    def slow(digest):
        login = read(digest)
        found.set()
        assert goes_on.wait(60)
        return login

    async def log_out_meanwhile():
        process.store.get = slow
        looking = asyncio.create_task(process.logins.use(digest))
        await asyncio.to_thread(found.wait, 10)
        await process.logins.end(digest)
        goes_on.set()
        return await looking

    assert asyncio.run(log_out_meanwhile()) is None
    assert process.use(digest) is None
    assert not process.logins.holds(digest)
