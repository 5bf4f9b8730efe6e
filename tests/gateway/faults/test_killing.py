import pytest
from tests.support.killing import kill_repeatedly
from tests.support.live_gateway import write_settings
from tests.support.serving import Serving

pytestmark = pytest.mark.slow


def test_nothing_acknowledged_is_lost_when_the_gateway_is_killed(provider, tmp_path):
    # Few decisions are remembered and snapshots are many: feedback also recalls, and recovery
    # also begins in the middle.
    store = {"url": "sqlite:///log.db", "snapshot_every": 50}
    serving = Serving(tmp_path, write_settings(provider, memory=40, store=store), slow_disk=True)
    found = kill_repeatedly(serving, 3, seed=4, longest=1.0, snapshots=True)
    assert found.from_snapshot == 3
    assert found.book.acknowledgements > 3
    assert set(found.book.statuses) == {200}
    assert (found.lost_decisions, found.lost_feedback, found.differing) == (0, 0, 0)
