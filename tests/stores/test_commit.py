"""Group commit: batches, positions, failures and waiting."""

import asyncio
import threading
import time

import pytest

from floorline.errors import InvalidInput, StoreUnavailable
from floorline.stores import commit
from floorline.stores.commit import GroupCommit


class ListSink:
    """Keeps batches in a list; a test can hold it back and let it fail."""

    def __init__(self):
        self.batches = []
        self.positions = []
        self.errors = []
        self.attempts = 0
        self.open = threading.Event()
        self.open.set()

    def encode(self, position, items):
        self.positions.append(position)
        return list(items)

    def write(self, batch):
        self.open.wait(60)
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)
        self.batches.append(batch)

    @property
    def items(self):
        return [item for batch in self.batches for item in batch]


@pytest.fixture
def sink():
    return ListSink()


@pytest.fixture
def commits(sink):
    made = GroupCommit(sink, durable=0, max_pending=100, patience=10.0)
    yield made
    sink.open.set()
    sink.errors.clear()
    if made._thread.is_alive():
        made.close(10.0)


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def hold(sink, commits, item="first"):
    """Let the thread take one item and keep it in its write."""
    sink.open.clear()
    commits.append(item)
    wait_until(lambda: sink.positions)


def test_what_is_queued_during_a_commit_goes_into_the_next_one(sink, commits):
    hold(sink, commits)
    for n in range(50):
        commits.append(n)
    assert (commits.appended, commits.durable) == (51, 0)
    sink.open.set()
    commits.flush(None, None)
    assert sink.batches == [["first"], list(range(50))]
    assert sink.positions == [0, 1]
    assert commits.durable == 51


def test_a_batch_is_bounded(sink, commits, monkeypatch):
    monkeypatch.setattr(commit, "_MAX_BATCH", 20)
    hold(sink, commits)
    for n in range(50):
        commits.append(n)
    sink.open.set()
    commits.flush(None, None)
    assert [len(batch) for batch in sink.batches] == [1, 20, 20, 10]
    assert sink.items == ["first", *range(50)]


def test_items_without_a_number_have_no_position(sink, commits):
    hold(sink, commits)
    commits.append("prompt", numbered=False)
    commits.append("event")
    assert commits.appended == 2
    sink.open.set()
    commits.flush(2, None)
    assert (commits.durable, sink.positions) == (2, [0, 1])
    commits.append("prompt", numbered=False)
    commits.flush(None, None)
    assert sink.items == ["first", "prompt", "event", "prompt"]


def test_positions_go_on_where_the_sink_ends(sink):
    commits = GroupCommit(sink, durable=7, max_pending=100, patience=10.0)
    commits.append("event")
    commits.flush(8, None)
    assert (commits.appended, commits.durable, sink.positions) == (8, 8, [7])
    commits.close(None)


def test_a_failed_commit_is_tried_again_and_loses_nothing(sink, commits):
    sink.errors = [StoreUnavailable("disk full")] * 3
    commits.append("event")
    wait_until(lambda: sink.attempts)
    commits.flush(1, None)
    assert (sink.items, sink.attempts, commits.failure) == (["event"], 4, None)


def test_while_commits_fail_the_reason_is_told_and_waiting_is_short(sink):
    sink.errors = [StoreUnavailable("disk full")] * 1000
    commits = GroupCommit(sink, durable=0, max_pending=100, patience=600.0)
    commits.append("event")
    wait_until(lambda: commits.failure)
    assert commits.failure == "disk full"
    with pytest.raises(StoreUnavailable, match="1 events are not committed yet: disk full"):
        commits.flush(1, 0.05)
    # It has failed longer than callers wait, so they need not wait again.
    commits._failing_since -= 600.0
    with pytest.raises(StoreUnavailable, match="disk full"):
        commits.flush(1, None)
    commits._patience = 0.0
    with pytest.raises(StoreUnavailable):
        commits.close(None)


def test_an_error_that_would_repeat_ends_the_thread(sink, commits):
    sink.errors = [ValueError("malformed")]
    commits.append("event")
    with pytest.raises(StoreUnavailable, match="the store failed for good: malformed"):
        commits.flush(1, None)
    with pytest.raises(StoreUnavailable, match="the store failed for good: malformed"):
        commits.append("another")
    with pytest.raises(StoreUnavailable):
        asyncio.run(commits.committed(1, None))
    with pytest.raises(StoreUnavailable):
        commits.close(None)
    assert sink.items == []


def test_a_full_queue_refuses_items_and_keeps_the_others(sink):
    commits = GroupCommit(sink, durable=0, max_pending=2, patience=10.0)
    hold(sink, commits)
    commits.append("second")
    with pytest.raises(StoreUnavailable, match=r"2 events wait .* \(max_pending\): the store is"):
        commits.append("third")
    sink.open.set()
    commits.close(None)
    assert sink.items == ["first", "second"]


def test_nothing_is_appended_after_the_end(sink, commits):
    commits.append("event")
    commits.close(None)
    assert sink.items == ["event"]
    with pytest.raises(StoreUnavailable, match="the store is closed"):
        commits.append("late")


def test_a_position_that_was_not_appended_is_refused(commits):
    with pytest.raises(InvalidInput, match="position is 1: give at most 0, the number of"):
        commits.flush(1, None)
    with pytest.raises(InvalidInput):
        asyncio.run(commits.committed(1, None))


def test_coroutines_wait_for_their_position_only(sink, commits):
    hold(sink, commits)

    async def scene():
        first = asyncio.create_task(commits.committed(1, None))
        await asyncio.sleep(0)
        commits.append("second")
        both = asyncio.create_task(commits.committed(None, None))
        await asyncio.sleep(0.01)
        assert not first.done()
        sink.open.set()
        await first
        await both
        assert commits.durable == 2

    asyncio.run(scene())


def test_a_cancelled_coroutine_does_not_disturb_the_others(sink, commits):
    hold(sink, commits)

    async def scene():
        gone, stays = (asyncio.create_task(commits.committed(1, None)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        sink.open.set()
        await stays
        assert gone.cancelled()

    asyncio.run(scene())


def test_a_coroutine_waits_no_longer_than_told(sink, commits):
    hold(sink, commits)

    async def scene():
        with pytest.raises(StoreUnavailable, match="the store is slower than the requests"):
            await commits.committed(1, 0.02)
        sink.open.set()
        await commits.committed(1, None)

    asyncio.run(scene())


def test_an_item_that_is_not_urgent_shares_the_commit_of_an_urgent_one(sink, commits, monkeypatch):
    monkeypatch.setattr(commit, "_NOT_URGENT_SECONDS", 5.0)

    async def scene():
        wait_until(lambda: commits._idle)
        commits.append("outcome", urgent=False)
        await asyncio.sleep(0.05)
        assert sink.batches == []
        commits.append("decision")
        await commits.committed(None, None)
        assert sink.batches == [["outcome", "decision"]]

    asyncio.run(scene())


def test_an_item_that_is_not_urgent_is_committed_soon(sink, commits):
    async def scene():
        wait_until(lambda: commits._idle)
        commits.append("outcome", urgent=False)
        async with asyncio.timeout(60):
            while commits.durable < 1:
                await asyncio.sleep(0.001)
        assert sink.batches == [["outcome"]]

    asyncio.run(scene())


def test_waiting_does_not_wait_for_what_is_not_urgent(sink, commits, monkeypatch):
    monkeypatch.setattr(commit, "_NOT_URGENT_SECONDS", 60.0)

    async def scene():
        wait_until(lambda: commits._idle)
        commits.append("outcome", urgent=False)
        async with asyncio.timeout(60):
            await commits.committed(1, None)

    asyncio.run(scene())


def test_two_event_loops_are_woken_each(sink, commits):
    hold(sink, commits)
    woken = []

    def wait():
        asyncio.run(commits.committed(1, None))
        woken.append(threading.get_ident())

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    sink.open.set()
    for thread in threads:
        thread.join(60)
    assert len(set(woken)) == 2
