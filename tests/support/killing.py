"""Kill a gateway again and again while it is used, and look at what is left each time."""

import asyncio
import random

from tests.support.users import Book, Users


class Killing:
    """What came out of it.

    Attributes
    ----------
    kills, from_snapshot
        How often it was killed, and how often a snapshot was there to recover from.
    book
        What the users were told.
    events
        Length of the log in the end.
    lost_decisions, lost_feedback
        What users were told and the log did not hold, after any of the kills.
    differing
        Kills after which snapshot and tail gave another state than the whole log.
    """

    def __init__(self):
        self.kills = 0
        self.from_snapshot = 0
        self.book = Book()
        self.events = 0
        self.lost_decisions = 0
        self.lost_feedback = 0
        self.differing = 0


def kill_repeatedly(serving, kills, *, seed, clients=8, longest=1.5, snapshots=False):
    """Start, use, kill at a random moment, recover and check; as often as told.

    With ``snapshots`` no moment comes before there is one to recover from.
    """
    rng = random.Random(seed)
    found = Killing()
    for number in range(kills):
        serving.start()
        try:
            moment = rng.uniform(0.0, longest)
            asyncio.run(
                _use_and_kill(serving, found.book, f"{seed}/{number}", clients, moment, snapshots)
            )
        finally:
            serving.kill()
        _check(serving, found)
    return found


async def _use_and_kill(serving, book, seed, clients, moment, snapshots):
    users = Users(serving.url, book, seed)
    known = book.acknowledgements
    using = asyncio.create_task(users.run(clients))
    while book.acknowledgements == known and not using.done():
        await asyncio.sleep(0.005)
    while snapshots and serving.snapshot_position() is None and not using.done():
        await asyncio.sleep(0.05)
    await asyncio.wait([using], timeout=moment)
    assert not using.done(), "the gateway died by itself: " + serving.said.read_text()
    serving.process.kill()
    await using


def _check(serving, found):
    log = serving.log()
    assert [position for position, _ in log] == list(range(len(log))), "the log has gaps"
    decisions, feedback = found.book.lost([event for _, event in log])
    found.kills += 1
    found.events = len(log)
    found.lost_decisions += len(decisions)
    found.lost_feedback += len(feedback)
    found.from_snapshot += serving.snapshot_position() is not None
    found.differing += serving.recover() != serving.recover(snapshots=False)
