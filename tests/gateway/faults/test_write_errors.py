"""Values that a database cannot hold, sent to a real gateway.

``benchmarks/attack_write_errors.py`` does the same on PostgreSQL too, with constraints.
"""

import pytest
from tests.support.live_gateway import write_settings
from tests.support.serving import Serving
from tests.support.write_errors import send_bad_values

from floorline.stores.engine import open_engine

pytestmark = pytest.mark.slow

REFUSING = (
    "CREATE TRIGGER no BEFORE INSERT ON events "
    "WHEN new.kind = 'outcome' AND new.position % 7 = 0 "
    "BEGIN SELECT RAISE(ABORT, 'the operator said no'); END"
)


@pytest.mark.parametrize("constrained", [False, True])
def test_no_value_stops_the_requests_of_others(constrained, provider, tmp_path):
    serving = Serving(tmp_path, write_settings(provider, store={"url": "sqlite:///log.db"}))
    serving.start()
    if constrained:
        engine = open_engine(f"sqlite:///{tmp_path / 'log.db'}")
        with engine.begin() as connection:
            connection.exec_driver_sql(REFUSING)
        engine.dispose()
    try:
        found = send_bad_values(serving.url, every=40)
        assert found.statuses.total() > 500
        assert (found.failed, found.others_failed) == (0, 0)
    finally:
        assert serving.stop() == 0
    kinds = [type(event).__name__ for _, event in serving.log()]
    assert ("Tombstone" in kinds) == constrained
    _, end = serving.recover()
    assert end == len(kinds)
