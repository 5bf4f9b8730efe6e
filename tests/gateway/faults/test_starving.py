import contextlib

import pytest
from tests.support.live_gateway import write_settings
from tests.support.serving import Serving
from tests.support.starving import fill, small_disk, starve

pytestmark = pytest.mark.slow


def check(serving, found):
    """Nothing that users were told is missing, and the log has no gap."""
    assert serving.stop() == 0
    log = serving.log()
    assert [position for position, _ in log] == list(range(len(log)))
    assert found.book.lost([event for _, event in log]) == (set(), [])
    assert found.book.broken == 0
    assert set(found.book.statuses) == {200, 503}
    assert serving.recover() == serving.recover(snapshots=False)


def test_files_that_may_not_grow(provider, tmp_path):
    serving = Serving(tmp_path, write_settings(provider)).start()
    try:
        found = starve(serving, lambda: serving.limit_files(1), lambda: serving.limit_files(None))
        check(serving, found)
    finally:
        serving.kill()


def test_a_disk_that_is_full(provider, tmp_path):
    (tmp_path / "disk").mkdir()
    with contextlib.ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(tmp_path / "disk", "16m"))
        except PermissionError as error:
            pytest.skip(str(error))
        store = {"url": f"sqlite:///{disk}/log.db"}
        serving = Serving(tmp_path, write_settings(provider, store=store)).start()
        stack.callback(serving.kill)
        ballast = []
        found = starve(serving, lambda: ballast.append(fill(disk)), lambda: ballast.pop().unlink())
        check(serving, found)
